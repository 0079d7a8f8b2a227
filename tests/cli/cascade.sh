# Deadlines, probabilities and tuning; how a deadline is kept is tests/unit/test_deadline.c.
cp -R "$DATA/beir" beir
assay index beir --collection beir --json >/dev/null 2>&1
echo '-- time enough changes nothing'
assay search captain --collection beir --json --no-cache | json '[(h["document"], h["score"]) for h in d["hits"]]' >one
assay search captain --collection beir --json --no-cache --deadline-ms 600000 >two
json 'd["degraded"], d["pipeline"]["deadline_ms"], [s["left_out"] for s in d["stages"]]' <two
json '[(h["document"], h["score"]) for h in d["hits"]]' <two | cmp - one && echo same
assay eval beir --rerank cross --deadline-ms 600000 --json | json 'd["deadline"]'
assay eval beir --rerank cross --deadline-ms 600000 | grep deadline
echo '{"deadline_ms": 600000, "stages": [{"kind": "cross"}]}' >slow.json
assay search captain --collection beir --pipeline slow.json --json | json 'd["pipeline"]["deadline_ms"]'
assay search captain --collection beir --pipeline slow.json --deadline-ms 700000 --json | json 'd["pipeline"]["deadline_ms"]'
code assay search captain --collection beir --deadline-ms 0
echo '-- an API that is slow: the order of the stage before'
coproc API { python3 "$ROOT/tests/fake_llm.py"; }
read -r port <&"${API[0]}"
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
cat >llm.json <<END
{"stages": [{"kind": "cross"}, {"kind": "llm", "url": "http://127.0.0.1:$port/v1", "model": "slow"}]}
END
assay search captain --collection beir --no-cache --top 1 --pipeline llm.json --deadline-ms 900 --json >three
json 'd["degraded"], [(s["scored"], s["left_out"]) for s in d["stages"]]' <three
json '[(h["document"], h["stages"][0]["rank"] == h["rank"]) for h in d["hits"]]' <three
echo '-- nothing is probable enough'
code assay search captain --collection beir --min-probability 0.99 | sed 's/^hybrid.*/.../; s/reached 0\.[0-9]*/reached P/'
assay search captain --collection beir --min-probability 0.99 --json >four || echo "exit $?"
json 'd["hits"], [d["probability"][k] for k in ("least", "withheld", "abstained")]' <four
assay search captain --collection beir --min-probability 0.001 --json | json 'len(d["hits"]) > 0, d["probability"]["abstained"]'
assay eval beir --rerank cross --min-probability 0.99 --json | json 'd["abstained"], d["metrics"]["nDCG@10"]'
code assay search captain --collection beir --min-probability 0.5 --rerank none
code assay search captain --collection beir --min-probability 2
echo '-- what is near the best'
echo '{"stages": [{"kind": "cross", "within": 1, "within_agreed": 0, "hope": 0.5}]}' >near.json
assay search captain --collection beir --pipeline near.json --json | json '[s["scored"] + s["spared"] for s in d["stages"]], [(s["within"], s["within_agreed"], s["hope"]) for s in d["pipeline"]["stages"]]'
echo '-- tuning'
mkdir -p made/qrels
for i in $(seq 30); do
    echo "{\"_id\": \"d$i\", \"text\": \"Locker $i is opened with key $((i * 7)) and lid $((i % 5)).\"}" >>made/corpus.jsonl
    echo "{\"_id\": \"q$i\", \"text\": \"key $((i * 7)) of locker $i\"}" >>made/queries.jsonl
done
{
    printf 'query-id\tcorpus-id\tscore\n'
    for i in $(seq 30); do printf 'q%s\td%s\t1\n' "$i" "$i"; done
} >made/qrels/train.tsv
assay index made --collection made --json >/dev/null 2>&1
assay pipeline tune made --output tuned.json --json | json 'sorted(d), d["fitted"], d["held"]'
assay pipeline check tuned.json
assay pipeline tune made default --output tuned.json --limit 20 --seed 1 --tolerance 0.01 | sed 's/[0-9]\.[0-9]*/N/g; s/  */ /g; s/ [0-9]*N/ N/g' | head -3
assay search 'key 14 of locker 2' --collection made --pipeline tuned.json --json | json 'd["pipeline"]["retrieve"], len(d["hits"])'
code assay pipeline tune made
code assay pipeline tune
code assay pipeline tune made --output tuned.json --split dev
code assay pipeline tune beir --split test --output tuned.json
echo '{"stages": [], "weight_dense": 50}' >both.json
assay pipeline tune made both.json --output tuned.json | sed 's/[0-9]\.[0-9]*/N/g; s/  */ /g'
echo '{"stages": [], "retriever": "bm25"}' >none.json
code assay pipeline tune made none.json --output tuned.json
code assay pipeline tune made llm.json --output tuned.json
exec {API[1]}>&-
