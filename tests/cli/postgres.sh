# A store in PostgreSQL: the same answers as from SQLite, what a killed process leaves, and a
# server that goes away and comes back.
server() { "${PYTHON:-python3}" "$ROOT/tests/postgres.py" "$1" "$PWD/postgres"; }
url=$(server start) || { echo "$url"; exit 77; }
trap 'server stop' EXIT
unset ASSAY_STORE
# The port is not the same twice.
hide() { sed "s|${url%/*}|URL|g; s|${url%%:*}://127[^/]*|URL|g"; }

cp -R "$DATA/folder" docs
cat >docs/records.jsonl <<'EOF'
{"_id": "leave", "text": "Leave is taken in summer.", "year": 2019, "lang": "en"}
{"_id": "urlaub", "text": "Leave is called Urlaub here.", "year": 2021, "lang": "de"}
EOF
ask() {
    for question in 'where is the archive' 'who takes visitors on leave' parking; do
        for how in '--retriever bm25 --rerank none' '--retriever dense' ''; do
            assay search $question $how --json |
                json '[(h["document"], h["rank_bm25"], h["rank_dense"], h["score"]) for h in d["hits"]]'
        done
        assay search $question --filter 'year > 2000 and not lang = "de"' --json |
            json '[h["document"] for h in d["hits"]], d["filter"]'
    done
}
all() {
    assay index docs --json 2>/dev/null | json '[d["seen"], d["added"], d["failed"], d["passages"]]'
    assay index docs --json 2>/dev/null | json '[d["added"], d["unchanged"]]'
    ask
    echo 'A new file about parking.' >docs/new.txt
    assay index docs --prune --json 2>/dev/null | json '[d["added"], d["removed"]]'
    rm docs/new.txt
    assay search parking --json | json 'd["hits"][0]["document"]'
    assay info --collection default --json | json '[d[k] for k in ("documents", "passages", "vectors", "tokenized", "text_bytes")]'
    assay check
}
# Late interaction with kept vectors, by itself and as a reranker.
late() {
    assay index docs "$@" --json 2>/dev/null | json 'd["late"]'
    assay info --collection default --json | json '[d[k] for k in ("late_model", "late_vectors", "late_bytes", "late_codes", "late_pool")]'
    for question in 'where is the archive' 'who takes visitors on leave'; do
        for how in '--retriever late --rerank none' '--retriever late --rerank none --exact' '--rerank late'; do
            assay search $question $how --json |
                json '[(h["document"], h["score"]) for h in d["hits"]], d["scores"]["kept_vectors"]'
            assay search $question $how --filter 'year > 2000 and not lang = "de"' --json |
                json '[h["document"] for h in d["hits"]], d["filter"]'
            assay search $question $how --filter 'year > 2000' --json |
                json '[h["document"] for h in d["hits"]]'
        done
    done
    assay check
}
all >sqlite.txt
late --late late >>sqlite.txt
late --late-codes b4 --late-pool 2 >>sqlite.txt
late --late-codes f16 --late-pool 1 >>sqlite.txt
ASSAY_STORE=$url all >postgres.txt
ASSAY_STORE=$url late --late late >>postgres.txt
ASSAY_STORE=$url late --late-codes b4 --late-pool 2 >>postgres.txt
ASSAY_STORE=$url late --late-codes f16 --late-pool 1 >>postgres.txt
python3 - sqlite.txt postgres.txt <<'EOF'
import re, sys
ONE = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
a, b = (open(name).read() for name in sys.argv[1:])
apart = [(x, y) for x, y in zip(ONE.findall(a), ONE.findall(b)) if not abs(float(x) - float(y)) < 5e-5]
if ONE.sub("#", a) == ONE.sub("#", b) and not apart:
    print(f"the same: {len(a.splitlines())} lines")
else:
    print(a, b, apart, sep="\n")
EOF

echo '-- an index of vectors in the database'
assay index docs --store "$url" --index hnsw --json 2>/dev/null | json '[d["unchanged"], d["vector_index"]]'
for exact in '' --exact; do
    assay search archive --store "$url" --retriever dense --rerank none $exact --json |
        json '[h["document"] for h in d["hits"]]'
done
described() {
    assay info --collection default --store "$url" --json |
        json '[d["vector_index"], d["vector_index_wanted"], d["vector_index_bytes"] > 0, d.get("tuned")]'
}
described
assay index --store "$url" --collection default --tune recall=0.9 --json 2>/dev/null |
    json 'sorted(d["tuned"].items())'
described
assay index docs --store "$url" --index ivf --json 2>/dev/null | json '[d["unchanged"], d["vector_index"]]'
described
assay index --store "$url" --collection default --tune recall=0.9 --json 2>/dev/null |
    json 'sorted(d["tuned"].items())'
assay search archive --store "$url" --retriever dense --rerank none --json |
    json '[h["document"] for h in d["hits"]]'

echo '-- killed while it writes, it goes on'
python3 - "$url" <<'PY'
import json, os, subprocess, sys, time
with open("many.jsonl", "w") as out:
    for i in range(1500):
        out.write(json.dumps({"_id": str(i), "text": f"Document {i} speaks of subject {i % 97}."}) + "\n")
os.environ["ASSAY_STORE"] = sys.argv[1]
index = ["assay", "index", "many.jsonl", "--collection", "many", "--model", "none", "--json"]
info = ["assay", "info", "--collection", "many", "--json"]
kept = 0
for n in range(12):
    p = subprocess.Popen(index, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.2 * 1.5 ** n)
    p.kill()
    p.wait()
    said = subprocess.run(info, capture_output=True).stdout
    kept = json.loads(said)["documents"] if said else 0
    if kept > 0:
        break
report = json.loads(subprocess.run(index, stdout=subprocess.PIPE).stdout)
print([kept > 0, report["unchanged"] == kept, report["unchanged"] + report["added"]])
PY
assay check --store "$url"

echo '-- the server is away'
server stop
code assay search archive --store "$url" 2>&1 | hide | sed 's/: cannot connect: .*/: cannot connect/'
server start >/dev/null
assay search archive --store "$url" --retriever bm25 --rerank none | head -1
echo '-- what is refused'
code assay index docs --store "$url" --word-index yes --json 2>&1 | hide | tail -2
code assay index docs --store "$url" --codes b1 2>&1 | hide | tail -2
code assay search archive --store "$url" --collection nowhere 2>&1 | hide
code assay info --store 'postgresql://u:secret@127.0.0.1:1/x' >said.txt 2>&1
grep -c secret said.txt
tail -1 said.txt
