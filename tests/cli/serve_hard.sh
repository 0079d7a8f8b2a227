# A server that is treated badly: tests/server/hard.py.
port=$(free_port)
: >log
assay serve --port $port --queue 4 --batch-tokens 128 --max-body 1000000 --quiet --precision fp32 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
python3 "$ROOT/tests/server/hard.py" $port $server || kill $server
wait $server && echo "the server ended well"
cat log | sed 's/[0-9]\{4,5\}$/PORT/'
: >log
port=$(free_port)
assay serve --port $port --connections 32 --quiet --precision fp32 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
python3 "$ROOT/tests/server/crowd.py" $port || kill -9 $server
kill $server
wait $server && echo "the server ended well"
