# Requests that schemathesis makes up from the description of the interface: none is answered
# with a 5xx, and every answer is as described. $PYTHON names a Python that has schemathesis.
# Deadlines are left out: where one of a millisecond is asked for, 504 is right.
schemathesis=$(dirname "$(command -v "${PYTHON:-python3}")")/schemathesis
[ -x "$schemathesis" ] || { echo "SKIP: no schemathesis (\$PYTHON with tests/server/clients.txt installed)"; exit 77; }
echo '{"_id": "a1", "title": "Lockers", "text": "The purser opens the lockers.", "year": 2020}' |
    assay index - --collection default --json >/dev/null
port=$(free_port)
assay serve --port "$port" --write --record 1 --precision fp32 --quiet 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
python3 -c 'import json, sys
described = json.load(open(sys.argv[1]))
for path in described["paths"].values():
    for operation in path.values():
        operation["parameters"] = [p for p in operation.get("parameters", [])
                                   if p.get("$ref", "").rsplit("/", 1)[-1] != "Deadline"]
json.dump(described, open("openapi.json", "w"))' "$ROOT/web/openapi.json"
"$schemathesis" run openapi.json --url "http://127.0.0.1:$port" --request-timeout 60 --seed 1 --max-examples "${EXAMPLES:-10}" \
    --checks not_a_server_error,response_schema_conformance,content_type_conformance >printed 2>&1 || tail -60 printed
kill $server
wait $server
