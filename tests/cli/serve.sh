# The server's answers, dialect by dialect, and what it makes of bad requests.
echo '{"_id": "a1", "title": "Lockers", "text": "The purser opens the lockers.", "year": 2020}' >notes.jsonl
assay index notes.jsonl --collection notes --json >/dev/null
code assay serve --port 0 --socket server.sock
code assay serve --certificate file
code assay serve --add-key alice
code assay serve --model nowhere --port 1 2>&1 | cut -d: -f1-3
assay serve --keys keys --add-key alice 2>&1 | sed 's/^ak-[0-9a-f]\{48\}$/KEY/'
sed 's/ [0-9a-f]\{64\}$/ HASH/' keys

echo '{"port": "x"}' >config.json
code assay serve --config config.json
echo '{"prot": 1}' >config.json
code assay serve --config config.json
echo '[]' >config.json
code assay serve --config config.json

start() { # start OPTION...: a server on server.sock, nobody else's port
    : >log
    assay serve --socket server.sock --port "$(free_port)" --precision fp32 "$@" 2>log &
    server=$!
    for _ in $(seq 200); do
        grep -qs server.sock log && return
        sleep 0.05
    done
    cat log
}
stop() {
    kill $server
    wait $server
    [ $? = 0 ] || echo "the server ended with $?"
}

start --max-documents 8
python3 "$ROOT/tests/server/ask.py" server.sock "$ROOT/tests/server/requests.txt"
stop
grep -c '"status":200' log
python3 -m json.tool "$ROOT/web/openapi.json" >/dev/null
grep -ho 'https\?://[^"]*' "$ROOT"/web/*.html "$ROOT"/web/*.css "$ROOT"/web/*.js # of other hosts: a name space
grep 'purser\|blue' log

echo "with keys:"
printf 'bob d4dec180a993cd5fa065cac46b9bbfd1528c39080afa14d683a5bc657c453892 1\n' >>keys
printf 'eve 0c1cd0ff9cf5edd4c7b8d5a5b2b6c0b0 write\n' >wrong
code assay serve --keys wrong --port 1 2>&1 | head -1
printf 'dan %s 600\n' "$(printf dans-key | sha256sum | cut -d' ' -f1)" >>keys
printf 'fay %s report requests-a-day=1\n' "$(printf fays-key | sha256sum | cut -d' ' -f1)" >>keys
printf 'gil %s tokens-a-day=5\n' "$(printf gils-key | sha256sum | cut -d' ' -f1)" >>keys
printf 'carol %s write\n' "$(printf carols-key | sha256sum | cut -d' ' -f1)" >>keys
echo '{"keys": "keys", "quiet": true, "write": true, "model": ["cross", "mine=dense"]}' >config.json
start --config config.json
cat >requests.txt <<'END'
GET /health

GET /v1/models

GET /v1/models | Authorization: Bearer wrong

GET /v1/models | Authorization: Bearer bobs-key

GET /v1/models | X-Api-Key: bobs-key

POST /v1/collections/new/documents | X-Api-Key: carols-key
{"documents": [{"id": "a", "text": "b"}], "model": "none"}

POST /v1/collections/new/documents/delete | X-Api-Key: dans-key
{"ids": ["a"]}

GET /v1/report | X-Api-Key: dans-key

GET /v1/report | X-Api-Key: fays-key

GET /v1/models | X-Api-Key: fays-key

POST /v1/search | X-Api-Key: gils-key
{"query": "lockers", "collection": "notes"}

GET /v1/models | X-Api-Key: gils-key

POST /rerank
{"query": "a", "texts": ["a"]}
END
python3 "$ROOT/tests/server/ask.py" server.sock requests.txt
kill -HUP $server
stop
cat log | sed 's/[0-9]\{5\}$/PORT/'
