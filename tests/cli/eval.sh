# A BEIR folder: indexed when needed, measured as trec_eval does.
cp -R "$DATA/beir" beir
assay eval beir/ --retriever bm25 --json | json '[{k: round(v, 4) for k, v in d["metrics"].items()}, d["queries"], d["collection"], d["documents"], sorted(d["latency_ms"])]'
assay index beir --collection beir --json | json '[d["unchanged"], d["added"]]'
for stages in '--retriever dense' '--retriever hybrid' '--retriever hybrid --rerank cross'; do
    assay eval beir/ $stages --json | json '[d["queries"], d["metrics"]["R@100"], d["pipeline"]["retriever"], [s["model"] for s in d["pipeline"]["stages"]], sorted(d["latency_ms"])]'
done
assay eval beir --retriever bm25 | sed '/ms a query/,$d'
echo '-- queries longer than any that the reranker was trained on'
cp -R "$ASSAY_MODELS/cross" cross
sed -i '1s/{/{"assay_query_words": 2,/' cross/config.json
assay eval beir --rerank ./cross | grep 'Not reranked'
assay eval beir --rerank ./cross --json | json '[d["rerank_skipped"], d["failed"]]'
assay eval beir --rerank ./cross --rerank-long --json | json '[d["rerank_skipped"], d["failed"]]'
echo '-- its run measures the same'
assay eval beir --retriever bm25 --output out.run --json --per-query >out.json
sort -k1,1 -k4,4n out.run | awk '{ print $1, $2, $3, $4, $6 }' | head -3
assay eval --qrels beir/qrels/test.tsv --run out.run --json | json 'd["metrics"]' >again
json 'd["metrics"]' <out.json | cmp - again && echo same
json 'd["per_query"]["q1"]["RR@10"]' <out.json
assay eval --qrels beir/qrels/test.tsv --run out.run --measure P@1 --measure Success@5 --per-query
echo '-- many at a time the run is the same, and no latency is told'
python3 - <<'PY'
import json, shutil
shutil.copytree("beir", "many")
documents = [json.loads(line) for line in open("beir/corpus.jsonl")]
with open("many/corpus.jsonl", "w") as corpus:
    for i, document in enumerate(documents):
        corpus.write(json.dumps(document | {"year": i}) + "\n")
texts = [json.loads(line)["text"] for line in open("beir/queries.jsonl")]
with open("many/queries.jsonl", "w") as queries, open("many/qrels/test.tsv", "w") as qrels:
    for i in range(200):
        text = f"{texts[i % len(texts)]} {texts[i * 7 // 3 % len(texts)]} {i}"
        queries.write(json.dumps({"_id": f"m{i}", "text": text}) + "\n")
        qrels.write(f"m{i}\td{i % 4 + 1}\t1\n")
PY
for how in '--retriever bm25' '--retriever dense' '--retriever hybrid' '--rerank cross --rerank-top 3' \
    '--filter year>=3'; do
    assay eval many $how --output one.run --json | json '[d["queries"], d["failed"], "latency_ms" in d]'
    for threads in 1 2; do
        assay eval many $how --batch --threads $threads --output many.run --json |
            json '[d["queries"], d["failed"], "latency_ms" in d, d["queries_per_second"] > 0]'
        cmp one.run many.run
    done
done
assay eval many --batch --retriever bm25 | sed 's/[0-9.]* queries a/N queries a/'
assay eval beir --split dev --batch --json | json '[d["queries"], d["failed"]]'
echo '-- splits and samples'
assay eval beir --retriever bm25 --split dev --measure RR@10 --json | json '[d["queries"], d["split"], d["metrics"]]'
assay eval beir --retriever bm25 --limit 2 --seed 3 --json | json '[d["queries"], d["sample"]]'
assay eval beir --retriever bm25 --limit 2 --seed 3 --per-query | grep -c '^RR@10'
code assay eval beir --split train
echo '-- what is wrong is told'
code assay eval beir --measure accuracy 2>&1 | cut -c1-40
code assay eval nowhere
mkdir plain
code assay eval plain
code assay eval --qrels nowhere --run out.run
echo 'q1 Q0 d1 1' >bad.run
code assay eval --qrels beir/qrels/test.tsv --run bad.run 2>&1 | grep -o '^assay: bad.run:1'
echo '-- a judged query that is missing counts 0; one without text is refused'
sed -i '/"q4"/d' beir/queries.jsonl
assay eval beir --retriever bm25 --json | json '[d["queries"], d["failed"], d["metrics"]["R@100"]]'
sed -i 's/"notice period"/""/' beir/queries.jsonl
code assay eval beir --retriever bm25 --json
