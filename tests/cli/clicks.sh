# What users clicked becomes what a model learns: searches recorded by the server, events
# of its clients, judgments of the report, mined negatives, a trained model.
cp -R "$DATA/beir" beir
assay index beir --collection beir >index.out 2>index.err
port=$(free_port)
assay serve --port "$port" --record 1 --record-text --precision fp32 --quiet 2>log &
server=$!
for _ in $(seq 400); do
    python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null && break
    sleep 0.05
done
python3 - "$port" <<'PY'
import json, sys, urllib.request

def post(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request).read())

# Who asks clicks what the judgments of the folder call relevant.
relevant = {}
for line in list(open("beir/qrels/test.tsv"))[1:]:
    query, document, grade = line.split()
    if int(grade) > 0:
        relevant.setdefault(query, set()).add(document)
clicks = 0
for line in open("beir/queries.jsonl"):
    query = json.loads(line)
    for session in range(3):
        found = post("/v1/search", {"query": query["text"], "collection": "beir", "top": 10,
                                    "session": f"{query['_id']}-{session}"})
        for hit in found["hits"]:
            if hit["document"] in relevant.get(query["_id"], ()):
                post("/v1/events", {"search": found["search"], "type": "click",
                                    "document": hit["document"]})
                clicks += 1
print("clicked:", clicks > 0)
PY
kill $server
wait $server
assay report --qrels clicks.txt --queries clicks.jsonl >report.out
python3 - <<'PY'
import json
texts = {json.loads(line)["text"] for line in open("beir/queries.jsonl")}
queries = {q["_id"]: q["text"] for q in map(json.loads, open("clicks.jsonl"))}
judged = [line.split() for line in open("clicks.txt")]
print("questions as they were asked:", bool(queries) and set(queries.values()) <= texts)
print("judgments of them alone:", bool(judged) and {j[0] for j in judged} <= set(queries))
PY
assay mine --collection beir --queries clicks.jsonl --qrels clicks.txt --output train.jsonl \
    --negatives 3 --random 2 --json | json 'd["queries"] > 0'
assay train cross --data train.jsonl --dev train.jsonl --batch 2 --negatives 3 --steps 2 --rate 0.00005 \
    --evaluations 1 --out learned --json | json '[d["steps"], "nDCG@10" in d]'
assay eval beir --collection beir --rerank ./learned --json | json '"nDCG@10" in d["metrics"]'
