# What stands in packaging/: every metric that dashboard and alerts name is one that the
# server has; where Prometheus' promtool is installed, rules, their tests and the queries of
# the dashboard pass it; where Grafana's model of dashboards is ($PYTHON), the dashboard fits it;
# where Docker's compose is, it reads compose.yaml; where systemd-analyze is, the units pass it.
cd "$ROOT/packaging" || exit 1
assay serve --socket "$HOME/s" --port "$(free_port)" --record 1 --traces http://127.0.0.1:1 --quiet 2>"$HOME/log" &
server=$!
for _ in $(seq 400); do grep -qs "$HOME/s" "$HOME/log" && break; sleep 0.05; done
printf 'GET /metrics\n\nPOST /rerank\n{"query": "a", "texts": ["b"]}\n\nGET /metrics\n' >"$HOME/requests"
python3 "$ROOT/tests/server/ask.py" "$HOME/s" "$HOME/requests" | grep -E '^(assay|te)_|^# ' >"$HOME/metrics"
kill $server
wait $server
grep -ohE '\b(assay|te)_[a-z_]+' monitoring/dashboard.json monitoring/alerts.yml | sed -E 's/_(bucket|sum|count)$//' | sort -u |
    while read -r name; do grep -q "^# TYPE $name " "$HOME/metrics" || echo "$name is no metric"; done
python3 -c 'import json, sys
for panel in json.load(open("monitoring/dashboard.json"))["panels"]:
    for target in panel["targets"]:
        print("      - {record: x, expr: " + json.dumps(target["expr"].replace("$__rate_interval", "5m").replace("$instance", "a")) + "}")' |
    (printf 'groups:\n  - name: dashboard\n    rules:\n'; cat) >"$HOME/queries.yml"
if command -v promtool >/dev/null; then
    promtool check rules --lint=none monitoring/alerts.yml "$HOME/queries.yml" >"$HOME/said" 2>&1 || cat "$HOME/said"
    promtool check config --syntax-only monitoring/prometheus.yml >"$HOME/said" 2>&1 || cat "$HOME/said"
    promtool test rules "$ROOT/tests/server/alerts_test.yml" >"$HOME/said" 2>&1 || cat "$HOME/said"
fi
if "${PYTHON:-python3}" -c 'import grafana_foundation_sdk' 2>/dev/null; then
    "${PYTHON:-python3}" "$ROOT/tests/server/dashboard.py" monitoring/dashboard.json >"$HOME/said" 2>&1 || cat "$HOME/said"
fi
for compose in "docker compose" docker-compose none; do # none: not checked
    $compose version >/dev/null 2>&1 && break
done
[ "$compose" = none ] || $compose -f compose.yaml config -q >"$HOME/said" 2>&1 || cat "$HOME/said"
grep -oE '\./[a-z./]+' compose.yaml | while read -r file; do [ -e "$file" ] || echo "no $file for compose"; done
if command -v systemd-analyze >/dev/null; then
    sed 's|/usr/local/bin/assay|/bin/true|' assay.service >"$HOME/assay.service"
    cp assay.socket "$HOME"
    systemd-analyze verify "$HOME/assay.service" "$HOME/assay.socket" 2>&1 | grep assay
fi
echo checked
