# The clients of other services, as PyPI has them, against the server. $PYTHON names a
# Python that has them; those that are not there are skipped.
${PYTHON:-python3} -c 'import cohere' 2>/dev/null ||
    { echo "SKIP: no cohere, voyageai, openai ... (\$PYTHON with tests/server/clients.txt installed)"; exit 77; }
port=$(free_port)
assay serve --port $port --quiet --precision fp32 2>log &
server=$!
for _ in $(seq 400); do grep -q serving log && break; sleep 0.05; done
"${PYTHON:-python3}" -W ignore "$ROOT/tests/server/clients.py" http://127.0.0.1:$port >printed 2>&1 || cat printed
kill $server
wait $server
