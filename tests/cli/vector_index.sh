# Which index answers for vectors: flat, hnsw; kept up with the collection; damage.
python3 - <<'PY'
import json
with open("records.jsonl", "w") as out:
    for i in range(400):
        words = " ".join("word%d" % (i * k % 97) for k in range(1, 9))
        out.write(json.dumps({"_id": "d%d" % i, "text": "Report %d on %s" % (i, words), "n": i}) + "\n")
with open("more.jsonl", "w") as out:
    for i in range(400, 420):
        out.write(json.dumps({"_id": "d%d" % i, "text": "Note %d about word%d" % (i, i)}) + "\n")
PY
index() { assay index "$@" --collection c --json 2>/dev/null | json '[d["added"], d["unchanged"], d["removed"]]'; }
described() { assay info --collection c --json | json '[d.get(k) for k in ("vector_index", "vector_index_wanted", "vector_index_current", "vectors", "hnsw_codes")]'; }
found() { assay search 'Note about word4' --collection c --retriever dense --rerank none --retrieve 20 --top 20 --json "$@"; }
same() {
    found "$@" | json '"%s %s" % (d["vector_index"], sorted((h["document"], round(h["score_dense"], 5)) for h in d["hits"]))' >near.txt
    found --exact "$@" | json '"%s %s" % (d["vector_index"], sorted((h["document"], round(h["score_dense"], 5)) for h in d["hits"]))' >exact.txt
    cut -d' ' -f1 near.txt exact.txt
    cut -d' ' -f2- near.txt >a.txt
    cut -d' ' -f2- exact.txt >b.txt
    cmp a.txt b.txt
}
index records.jsonl
described
same
echo '-- hnsw'
index records.jsonl --index hnsw
described
ls "$ASSAY_HOME/index"
same --ef 400
same --ef 400 --filter "n < 40 or n > 390"
assay search 'Note about word4' --collection c --rerank none --ef 300 | sed -n 's/in [0-9]* ms/in N ms/; s/.*\(found in.*\)/\1/p'
echo '-- it catches up: 20 more, then those gone that no longer are in a source'
index more.jsonl
described
same --ef 400
head -380 records.jsonl >fewer.jsonl && mv fewer.jsonl records.jsonl
index records.jsonl --prune
described
same --ef 400
assay check
echo '-- damage'
python3 - <<'PY'
import os
path = os.environ["ASSAY_HOME"] + "/index/1.hnsw"
data = bytearray(open(path, "rb").read())
data[len(data) // 2] ^= 0x40
open(path, "wb").write(data)
PY
code assay check
head -c 5000 "$ASSAY_HOME/index/1.hnsw" >cut && cp cut "$ASSAY_HOME/index/1.hnsw"
same --ef 400
assay check
echo '-- and back'
index records.jsonl --index auto
described
ls "$ASSAY_HOME/index"
same
code assay index records.jsonl --collection c --index tree 2>&1 | head -2
code assay search a --collection c --ef 0 2>&1 | head -1
echo '-- how much of the exact answer it finds'
index records.jsonl --index hnsw
assay info --collection c | grep vector_recall
tuned() { assay index --collection c "$@" --json | json '(lambda t: [t["index"], t["wanted"], t["recall"] >= t["wanted"], t["k"], t["queries"], t["vectors"], t.get("ef", 0) >= t["k"]])(d["tuned"])'; }
tuned --tune recall=0.9
tuned --tune recall@10=0.99
printf 'q1\tNote about word4\nq2\tReport 7\n' >asked.tsv
tuned --tune recall@5=1 --tune-queries asked.tsv
assay info --collection c | grep vector_recall | sed 's/ef [0-9]*/ef N/'
assay info --collection c --json | json 'sorted(d["tuned"])'
ef() { assay search 'Note about word4' --collection c --rerank none "$@" | sed -n 's/.*vectors by hnsw, ef \([0-9]*\).*/\1/p'; }
python3 - "$(ef)" "$(ef --retrieve 10)" "$(ef --ef 333)" "$(assay info --collection c --json | json 'd["tuned"]["ef"]')" <<'PY'
import sys
default, ten, given, tuned = map(int, sys.argv[1:])
print(default >= max(100, 20 * tuned), ten >= 2 * tuned and ten <= 2 * tuned + 10, given)
PY
index records.jsonl --index flat
assay info --collection c | grep vector_recall
assay index --collection c --tune recall=0.5
code assay index --tune recall=2 --collection c 2>&1 | head -1
code assay index --tune precision=1 --collection c 2>&1 | head -1
code assay index --tune recall@0=0.5 --collection c 2>&1 | head -1
code assay index --collection c 2>&1 | head -1
code assay index --index hnsw --tune recall=0.9 --collection c 2>&1 | head -1
code assay index --tune recall=0.9 --collection c --tune-queries none.tsv 2>&1 | head -1
code assay index --tune-queries asked.tsv records.jsonl --collection c 2>&1 | head -1
code assay index --tune recall=0.9 --collection d 2>&1 | head -1
echo '-- codes of a bit, lists'
index records.jsonl --index hnsw --codes b1
described
ls "$ASSAY_HOME/index"
same --ef 400
index records.jsonl --index ivf
assay info --collection c --json | json '[d.get(k) for k in ("vector_index", "vector_index_current", "ivf_codes")]'
ls "$ASSAY_HOME/index"
same --nprobe 1000 --ef 400
same --nprobe 1000 --ef 400 --filter "n < 40 or n > 390"
assay search 'Note about word4' --collection c --rerank none --nprobe 3 | sed -n 's/in [0-9]* ms/in N ms/; s/.*\(found in.*\)/\1/p'
assay index --collection c --tune recall@10=0.9 --json | json '[d["tuned"][k] for k in ("index", "k")] + [d["tuned"]["nprobe"] > 0, d["tuned"]["recall"] >= 0.9]'
# A bit misses some that no number of lists brings back: more are scored exactly.
assay index --collection c --tune recall=0.99 --json | json 'd["tuned"]["recall"] >= 0.99'
index more.jsonl
same --nprobe 1000 --ef 400
assay check
python3 - <<'PY'
import os
path = os.environ["ASSAY_HOME"] + "/index/1.ivf"
data = bytearray(open(path, "rb").read())
data[len(data) // 2] ^= 0x40
open(path, "wb").write(data)
PY
code assay check
assay index more.jsonl --collection c >/dev/null
assay check
head -c 5000 "$ASSAY_HOME/index/1.ivf" >cut && cp cut "$ASSAY_HOME/index/1.ivf"
assay index more.jsonl --collection c >/dev/null
same --nprobe 1000 --ef 400
printf 'ASSAYIVF\011' | dd of="$ASSAY_HOME/index/1.ivf" conv=notrunc status=none
same --nprobe 1000 --ef 400
