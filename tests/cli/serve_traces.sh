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

echo "a client and a collector that drip do not hold up the end:"
coproc DRIP { exec python3 "$ROOT/tests/server/drip.py"; }
read -r collector <&"${DRIP[0]}"
: >log
port=$(free_port)
assay serve --port "$port" --precision fp32 --quiet --traces "http://127.0.0.1:$collector" 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
echo "$port" >&"${DRIP[1]}"
read -r begun <&"${DRIP[0]}"
python3 -c 'import sys, urllib.request
print(urllib.request.urlopen("http://127.0.0.1:" + sys.argv[1] + "/health").status)' "$port"
SECONDS=0
stop
[ $SECONDS -lt 25 ] && echo "it ended"
echo >&"${DRIP[1]}"
