# SIGHUP: the configuration read again, models and pipelines replaced while requests are
# answered, what takes a restart told; a configuration that is wrong changes nothing.
echo '{"_id": "a1", "title": "Lockers", "text": "The purser opens the lockers."}' >notes.jsonl
assay index notes.jsonl --collection notes --json >/dev/null
echo '{"retriever": "bm25"}' >words.json
port=$(free_port)
config() { echo "{\"port\": ${2:-$port}, \"precision\": \"fp32\", \"quiet\": true, $1}" >config.json; }
config '"model": ["cross", "dense"], "pipeline": ["words=words.json"]'
assay serve --config config.json 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
ask() { # ask METHOD PATH [BODY]: the status and the answer
    python3 -c 'import sys, urllib.error, urllib.request
method, url, body = sys.argv[1], sys.argv[2], (sys.argv[3].encode() if len(sys.argv) > 3 else None)
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method))
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode()[:100])' "$1" "http://127.0.0.1:$port$2" "${@:3}"
}
look() {
    ask GET /v1/models | grep -o '"id":"[^"]*"' | tr '\n' ' '
    ask GET /v1/collections | grep -o '"pipelines":[^]]*]'
    ask POST /rerank '{"query": "a", "texts": ["1", "2", "3"]}' | cut -c1-40
}
hup() {
    kill -HUP $server
    for _ in $(seq 400); do # the last line of each reload
        [ "$(grep -c 'collections read again' log)" -ge "$1" ] && break
        sleep 0.05
    done
}
look
echo "another configuration:"
config '"model": ["mine=cross"], "max-documents": 2, "pipeline": ["also=words.json", "quick=fast"], "workers": 1' 1
hup 1
look
ask POST /v1/search '{"query": "purser", "collection": "notes", "pipeline": "also"}' | cut -c1-3
echo "one that is wrong:"
echo '{"model": ["nowhere"], "max-body": "many"}' >config.json
hup 2
look
echo "models and pipelines that are not there:"
config '"model": ["nowhere"], "pipeline": ["x=nowhere.json"], "compare": "default,x", "record": 1'
hup 3
look
echo "and back, while requests are answered:"
config '"model": ["cross", "dense"], "pipeline": ["words=words.json"]'
python3 "$ROOT/tests/server/reload.py" "$port" $server
kill $server
wait $server || echo "the server ended with $?"
head -17 log | sed "s/$port/PORT/; s/nowhere:.*; the/nowhere: REASON; the/"
