# Negatives of a BEIR folder: what is written, what is left out, what is wrong with it, and
# an interrupted call that is taken up.
cp -R "$DATA/beir" beir
shape() {
    python3 -c 'import json, sys
for line in open(sys.argv[1]):
    d = json.loads(line)
    print(d["query_id"], [(p["id"], p["grade"], "missed" in p) for p in d["positives"]],
          len(d["negatives"]), sorted({k for n in d["negatives"] for k in n}),
          not {p["id"] for p in d["positives"]} & {n["id"] for n in d["negatives"]})' "$1"
}
echo '-- BM25 alone; the same again is the same bytes'
assay mine beir --split test --retriever bm25 --output bm25.jsonl --negatives 2 --random 1
shape bm25.jsonl
assay mine beir --split test --retriever bm25 --output again.jsonl --negatives 2 --random 1 > again.out
cmp bm25.jsonl again.jsonl && echo same
assay mine beir --split test --retriever bm25 --output seed.jsonl --negatives 2 --random 1 --seed 5 > /dev/null
cmp -s bm25.jsonl seed.jsonl || echo 'another seed, other passages'
echo '-- hybrid, with a teacher'
assay mine beir --split test --output hybrid.jsonl --negatives 3 --random 0 --share 10 --teacher first --json |
    json '{k: v for k, v in d.items() if k != "seconds"}'
shape hybrid.jsonl
python3 -c 'import json
for line in open("hybrid.jsonl"):
    d = json.loads(line)
    scores = [p["score"] for p in d["positives"] + d["negatives"]]
    print(all(isinstance(s, float) for s in scores))'
assay mine beir --split test --output cross.jsonl --negatives 3 --random 1 --teacher cross --json | json 'd["queries"]'
assay rerank --model cross --query 'notice period' --json < <(python3 -c 'import json
for line in open("cross.jsonl"):
    d = json.loads(line)
    if d["query_id"] == "q2":
        p = d["positives"][0]
        print(p["title"] + ". " + p["text"])') | json 'round(d["results"][0]["logit"], 4)' > asked
python3 -c 'import json
for line in open("cross.jsonl"):
    d = json.loads(line)
    if d["query_id"] == "q2":
        print(round(d["positives"][0]["score"], 4))' | cmp - asked && echo 'the score of the reranker'
echo '-- what the teacher gives no score is left out, and told'
cp -R "$ASSAY_MODELS/cross" blind
python3 - <<'PY'
import json, struct, subprocess
token = subprocess.run(["assay", "tokenize", "--model", "blind", "26"], capture_output=True, text=True).stdout.split()[0]
data = bytearray(open("blind/model.safetensors", "rb").read())
size = struct.unpack("<Q", data[:8])[0]
tensor = next(t for n, t in json.loads(data[8:8 + size]).items() if "word_embeddings" in n)
at = 8 + size + tensor["data_offsets"][0] + 4 * tensor["shape"][1] * int(token)
data[at:at + 4] = struct.pack("<f", float("inf"))
open("blind/model.safetensors", "wb").write(data)
PY
code assay mine beir --split test --output blind.jsonl --negatives 3 --random 1 --share 10 --teacher ./blind --json > answer
tail -1 answer
head -1 answer | json '(d["queries"], d["without_positive"], d["unscored"])'
grep -c 'paid for 26' blind.jsonl
echo '-- nothing is above a share of nothing; copies of a relevant passage are left out'
assay mine beir --split test --retriever dense --output none.jsonl --share 0.01 --random 0 --json |
    json '(d["hard"], d["suspects"] > 0)'
mkdir -p words/qrels # those that only words found are not above it either
python3 -c 'import json, random
random.seed(1)
words = "alpha beta gamma delta notice period leave sick travel pension office train".split()
for i in range(60):
    print(json.dumps({"_id": f"d{i}", "text": " ".join(random.choices(words, k=random.randint(3, 14)))}))' > words/corpus.jsonl
echo '{"_id": "q1", "text": "notice period"}' > words/queries.jsonl
printf 'q1\td1\t1\n' > words/qrels/test.tsv
assay mine words --split test --retrieve 12 --output none.jsonl --share 0.01 --random 0 --json |
    json '(d["hard"], d["suspects"] > 0)'
echo '-- a query alone is mined as among others: by its own vector'
printf '{"_id": "q2", "text": "sick pension"}\n{"_id": "q3", "text": "train travel"}\n' >> words/queries.jsonl
printf 'q1\td1\t1\nq2\td2\t1\nq3\td3\t1\n' > words/qrels/test.tsv
assay mine words --split test --share 0.99 --retrieve 20 --output three.jsonl --random 0 > /dev/null
printf 'q3\td3\t1\n' > words/qrels/test.tsv
assay mine words --split test --share 0.99 --retrieve 20 --output third.jsonl --random 0 --json |
    json '(d["hard"], d["suspects"])'
tail -1 three.jsonl | cmp - third.jsonl && echo same
echo '{"_id": "d9", "title": "Notice again", "text": "So: the notice period is three months to the end of a quarter."}' >> beir/corpus.jsonl
assay mine beir --split test --output copy.jsonl --share 10 --json | json 'd["near_duplicates"]'
grep '"q2"' copy.jsonl | grep -c '"id":"d9"'
echo '-- judgments of what is not there'
printf 'q1\tgone\t1\nq1\tlost\t0\nnobody\td1\t1\nq9\tgone\t1\n' >> beir/qrels/test.tsv
code assay mine beir --split test --output part.jsonl --json > answer
tail -1 answer
head -1 answer | json '[d[k] for k in ("queries", "missing_documents", "missing_queries", "without_positive")]'
echo '-- a collection with judgments of its own'
printf 'q1\tsick pay\n' > q.tsv
printf 'q1\td3\t1\n' > judged.tsv
assay mine --collection beir --queries q.tsv --qrels judged.tsv --output own.jsonl --json | json 'd["queries"]'
code assay mine --queries q.tsv --qrels judged.tsv --output own.jsonl
echo '-- taken up behind the last whole line'
assay mine beir --split test --output whole.jsonl > /dev/null
mkdir cut.jsonl # in the way of the file when it is whole
code assay mine beir --split test --output cut.jsonl 2>&1 | grep -o 'cannot write.*'
rmdir cut.jsonl
part=$(echo cut.jsonl.*.part)
python3 - "$part" <<'PY'
import fcntl, os, subprocess, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX)
second = subprocess.run("assay mine beir --split test --output cut.jsonl".split(), capture_output=True, text=True)
print(second.returncode, second.stderr.splitlines()[-1].replace(str(os.getpid()), "PID").replace(sys.argv[1], "PART"))
PY
cp "$part" found && head -c -100 found > "$part"
assay mine beir --split test --output cut.jsonl --json | json '(d["resumed"] > 0, d["queries"])'
cmp cut.jsonl whole.jsonl && ls cut.jsonl*
echo '-- what makes no sense'
code assay mine beir
code assay mine --output x.jsonl
code assay mine beir --queries q.tsv --output x.jsonl
code assay mine beir --split test --output x.jsonl --teacher dense
code assay mine beir --split test --output nowhere/x.jsonl
code assay mine nowhere --output x.jsonl
code assay mine beir --output x.jsonl
