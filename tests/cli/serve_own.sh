# assay's own interface over HTTP: documents in and out, pipelines by name, events and the
# report of them; the same report from the command line.
echo '{"retriever": "bm25"}' >words.json
echo '{"stages": [{"kind": "cross", "keep": 30, "spread": 0}]}' >bold.json
start() {
    : >log
    port=$(free_port)
    assay serve --port "$port" --precision fp32 "$@" 2>log &
    server=$!
    for _ in $(seq 400); do grep -qs serving log && return; sleep 0.05; done
    cat log
}
request() { # request METHOD PATH [BODY]
    python3 -c 'import sys, urllib.error, urllib.request
method, url, body = sys.argv[1], sys.argv[2], (sys.argv[3].encode() if len(sys.argv) > 3 else None)
try:
    print(urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)).read().decode())
except urllib.error.HTTPError as error:
    print(error.read().decode())' "$1" "http://127.0.0.1:$port$2" "${@:3}"
}
stop() {
    kill $server
    wait $server || echo "the server ended with $?"
}
start --write --record 1 --pipeline words=words.json --pipeline bold=bold.json
python3 "$ROOT/tests/server/own.py" "$port" $server
echo '{"_id": "l", "text": "later"}' | assay index - --collection later --model none --json >/dev/null
request GET /v1/collections/later | json 'd["error"]["code"]'
kill -HUP $server
for _ in $(seq 100); do grep -q 'collections read again' log && break; sleep 0.05; done
request GET /v1/collections/later | json 'd["documents"]'
request GET /metrics | grep -E '^assay_(events_total.*(click|dwell)|record_dropped|lift_places_(sum|count))'
stop
grep -c '"fault"' log | sed 's/^[1-9][0-9]*$/refusals are in the log/'
grep -i 'purser\|locker' log
assay report | sed 's/[0-9.]* mean.*/TIMES/; s/[0-9a-f]\{32\}/HASH/'
assay report --json | json '[d["clicked"], d["clicks"], d["unseen"], d["moves"][10] >= 0]'
assay report --html page.html && grep -c 'Report.show(document' page.html
assay report --collection nothing
code assay report --qrels - --queries queries.jsonl
cat "$ASSAY_HOME"/feedback.sqlite* | grep -aci 'purser\|locker'

echo "two pipelines compared:"
start --record 1 --record-text --pipeline words=words.json --compare default,words --collection notes
for i in 1 2 3; do
    request POST /v1/search '{"query": "new <b>", "collection": "notes"}' |
        json '[d["pipeline"], d["interleaved_with"], [h["rank"] for h in d["hits"]]]'
done
request POST /v1/search '{"query": "new", "collection": "notes", "pipeline": "words"}' |
    json '[d["pipeline"], d["interleaved_with"]]'
stop
assay report --json | json '[[t["trial"], t["first"], t["second"], t["searches"], t["better"]] for t in d["trials"]]'
cat "$ASSAY_HOME"/feedback.sqlite* | grep -ac 'new <b>' | sed 's/^[1-9][0-9]*$/the text is kept/'
start --record 1 --compare-by split --pipeline words=words.json --compare default,words --collection notes
for session in a b c d e f; do
    for again in 1 2; do
        request POST /v1/search "{\"query\": \"new\", \"collection\": \"notes\", \"session\": \"$session\"}" |
            json 'd["pipeline"]'
    done | uniq | wc -l
done | uniq -c | tr -s ' '
request DELETE /v1/collections/notes | json 'd["error"]["code"]'
stop
code assay serve --compare default,words
code assay serve --record 1 --compare default,words --port 1
code assay serve --record 1 --compare default --port 1
code assay serve --pipeline x=nowhere.json --port 1 2>&1 | head -1 | cut -c1-60
code assay serve --record 2
rm "$ASSAY_HOME"/feedback.sqlite*
code assay report
