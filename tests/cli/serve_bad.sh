# What is no request, for every dialect: each refuses it in its own form (tests/server/bad.py).
assay serve --keys keys --add-key alice 2>/dev/null >key
port=$(free_port)
assay serve --port "$port" --keys keys --max-body 4000000 --model cross --model other=cross \
    --model dense --model more=dense --precision fp32 --quiet 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
python3 "$ROOT/tests/server/bad.py" "$port" "$(cat key)"
kill $server
wait $server || echo "the server ended with $?"
