# A folder of odd files: what can be read is indexed, the rest is told.
cp -R "$DATA/folder" docs
code assay index docs | sed 's/ in .* s (.*//'
echo '-- the second run indexes nothing'
assay index docs 2>/dev/null --json | json '[d["seen"], d["added"], d["unchanged"], d["failed"], d["passages"]]'
echo '-- a changed file, a new one, one that is gone'
echo 'The archive has moved to the attic.' >docs/deep/notes.txt
echo 'A new file about parking.' >docs/new.txt
rm docs/page.html docs/bytes.txt docs/bad.jsonl docs/empty.txt
assay index docs --prune --json | json '[d["added"], d["changed"], d["unchanged"], d["removed"], d["failed"]]'
assay search parking --retriever bm25 --rerank none --json | json '[h["document"] for h in d["hits"]]'
assay search visitors --retriever bm25 --rerank none | head -1
echo '-- for people'
assay search 'attic' --retriever bm25 --rerank none | sed 's/in [0-9]* ms/in N ms/'
assay search where is the archive --json | json '[d["query"], len(d["hits"]), d["hits"][0]["reranked"], d["pipeline"]["retriever"], [s["model"] for s in d["pipeline"]["stages"]]]'
echo '-- a question longer than any that the reranker was trained on'
cp -R "$ASSAY_MODELS/cross" cross
sed -i '1s/{/{"assay_query_words": 3,/' cross/config.json
assay info ./cross --json | json 'd["query_words"]'
assay search where is the archive --rerank ./cross | tail -1
assay search where is the archive --rerank ./cross --json | json '[d["rerank_skipped"], d["hits"][0]["reranked"], d["latency_ms"]["rerank"]]'
assay search where is the archive --rerank ./cross --rerank-long --json | json '[d["rerank_skipped"], d["hits"][0]["reranked"]]'
assay search the archive --rerank ./cross --json | json '[d["rerank_skipped"], d["hits"][0]["reranked"]]'
rm -r cross
echo '-- all fields'
assay search archive --json | json 'sorted(d), sorted(d["hits"][0])'
assay search attic --retriever bm25 --rerank none --json | json '[d["hits"][0][k] for k in ("rank", "rank_first", "rank_bm25", "rank_dense", "score_dense", "logit", "truncated")]'
echo '-- more asked for than there is'
assay search leave --top 500 --retrieve 1000 --json | json 'len(d["hits"])'
echo '-- what makes no sense'
code assay search ''
code assay search '   '
code assay search x --collection nowhere
code assay index nowhere.txt
code assay index docs --model cross
code assay index docs --model "$GOLDEN/models/late-pylate"
code assay index docs --collection '../x' --model none
code assay search x --rerank dense
code assay search x --rerank nowhere 2>&1 | cut -c1-50
echo '-- an empty collection'
mkdir void
code assay index void --collection void --model none 2>/dev/null
code assay search x --collection void --rerank none | head -1
echo '-- the query is no UTF-8'
assay search $'atti\xff attic' --retriever bm25 --rerank none --json | json '[ascii(d["query"]), len(d["hits"])]'
