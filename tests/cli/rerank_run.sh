# A TREC run of another engine, reranked with the documents of a collection.
assay index "$DATA/beir" --collection beir --json | json 'd["added"]'
assay eval "$DATA/beir" --collection beir --retriever bm25 --output first.run --json >/dev/null
assay rerank --run first.run --collection beir --queries "$DATA/beir/queries.jsonl" --output second.run
cut -d' ' -f1,3 first.run | sort | cmp - <(cut -d' ' -f1,3 second.run | sort) && echo 'the same documents'
assay rerank --run first.run --collection beir --queries "$DATA/beir/queries.jsonl" | cmp - second.run && echo 'the same bytes'
assay eval --qrels "$DATA/beir/qrels/test.tsv" --run second.run --measure R@100 --json | json 'd["metrics"]["R@100"] > 0'
assay rerank --run first.run --collection beir --queries "$DATA/beir/queries.jsonl" --top 1 | cut -d' ' -f1,4
echo '-- a logit is what rerank says of "Title. Text"'
assay rerank --query 'notice period' 'Notice. The notice period is three months to the end of a quarter.' --json | json '"%.4f" % d["results"][0]["logit"]' >logit
awk '$1 == "q2" && $3 == "d2" { printf "%.4f\n", $5 }' second.run | cmp - logit && echo 'the same logit'
echo '-- documents and queries that are not there'
printf '%s\n' 'q2 Q0 gone 1 9 x' 'q2 Q0 d2 2 8 x' 'q77 Q0 d1 1 3 x' 'q77 Q0 d3 2 2 x' >odd.run
code assay rerank --run odd.run --collection beir --queries "$DATA/beir/queries.jsonl" | sed 's/ [^ ]* assay$//'
code assay rerank --run odd.run --collection nowhere --queries "$DATA/beir/queries.jsonl"
code assay rerank --run nowhere.run --collection beir --queries "$DATA/beir/queries.jsonl"
