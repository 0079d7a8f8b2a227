# Answers beside those of the servers whose dialects are spoken: tests/golden/dialects.
port=$(free_port)
assay serve --port "$port" --quiet --precision fp32 --max-documents 8 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
python3 "$ROOT/tests/server/shapes.py" "$port" "$GOLDEN"/dialects/*.json
kill $server
wait $server
