# A real Prometheus, where there is one, scrapes a real server with a key of its own, by the
# configuration in packaging/: tests/server/prometheus.py.
command -v prometheus >/dev/null || { echo "SKIP: no prometheus"; exit 77; }
echo '{"_id": "a", "title": "Lockers", "text": "The purser opens the lockers at nine."}' |
    assay index - --collection notes --json >/dev/null
assay serve --keys keys --add-key prometheus 2>/dev/null >key
port=$(free_port) own=$(free_port)
assay serve --port "$port" --keys keys --record 1 --precision fp32 --quiet 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
sed -e "s/assay:7700/127.0.0.1:$port/; s/15s/1s/; s|alerts.yml|$ROOT/packaging/monitoring/alerts.yml|" \
    -e "s|# With --keys: authorization: {credentials_file: [^}]*}|authorization: {credentials_file: $PWD/key}|" \
    "$ROOT/packaging/monitoring/prometheus.yml" >prometheus.yml
prometheus --config.file=prometheus.yml --storage.tsdb.path=series --web.listen-address="127.0.0.1:$own" 2>said &
prometheus=$!
python3 "$ROOT/tests/server/prometheus.py" "$port" "$own" "$(cat key)" "$ROOT/packaging/monitoring/dashboard.json"
kill $prometheus $server
wait $prometheus $server
