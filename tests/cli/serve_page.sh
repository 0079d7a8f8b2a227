# The page in a real browser, where there is one ($CHROMIUM names it).
browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -x "$browser" ] || { echo "SKIP: no chromium (\$CHROMIUM names one)"; exit 77; }
echo '{"retriever": "bm25"}' >words.json
printf '%s\n' '{"_id": "a", "title": "Lockers", "text": "The purser opens the lockers at nine."}' \
    '{"_id": "b", "text": "The purser keeps lists."}' '{"_id": "c", "text": "Lockers are blue."}' |
    assay index - --collection notes --json >/dev/null
port=$(free_port)
assay serve --port "$port" --record 1 --pipeline words=words.json --precision fp32 --quiet 2>log &
server=$!
for _ in $(seq 400); do grep -qs serving log && break; sleep 0.05; done
python3 "$ROOT/tests/server/page.py" "$port" "$browser"
kill $server
wait $server
