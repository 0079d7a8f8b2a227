# Spans to an OpenTelemetry collector: of a rerank request, of a search, with the trace that
# the caller began; and a collector that is not there.
echo '{"_id": "a1", "title": "Lockers", "text": "The purser opens the lockers."}' >notes.jsonl
assay index notes.jsonl --collection notes --json >/dev/null
mkfifo end
python3 "$ROOT/tests/server/collector.py" <end >spans &
collector=$!
exec 9>end
while [ ! -s spans ]; do sleep 0.05; done
start() {
    : >log
    assay serve --socket server.sock --port "$(free_port)" --precision fp32 --quiet "$@" 2>log &
    server=$!
    for _ in $(seq 200); do grep -qs server.sock log && return; sleep 0.05; done
    cat log
}
stop() { kill $server; wait $server || echo "the server ended with $?"; }
cat >requests <<'END'
POST /tei/rerank | traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
{"query": "how tall is it", "texts": ["It is blue.", "8 m", "It is 8 m tall."]}

POST /v1/search
{"query": "the purser", "collection": "notes"}

GET /v1/models | traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00

POST /v1/search | traceparent: nonsense
{"query": ""}
END
start --traces "http://127.0.0.1:$(head -1 spans)"
python3 "$ROOT/tests/server/ask.py" server.sock requests >/dev/null
stop
exec 9>&-
wait $collector
sed 1d spans
start --traces "http://127.0.0.1:1/somewhere"
python3 "$ROOT/tests/server/ask.py" server.sock requests >/dev/null
stop
grep spans log
code assay serve --traces https://collector
code assay serve --traces http://:4318
