# Socket activation, readiness, and restarts while clients ask: tests/server/restart.py.
python3 "$ROOT/tests/server/restart.py" 2>log
grep -v 'serving on 1 socket handed over' log
true
