# Late interaction: a ColBERT, a bi-encoder read as one, and what is refused.
query='How many days of leave may an employee carry over?'
set -- 'Rain, water; cell? protein!' 'An employee may carry over ten days of leave.'
assay info "$GOLDEN/models/late-colbert" | grep -E 'kind|tokens|query_filled|dimensions'
assay rerank --model "$GOLDEN/models/late-pylate" --query "$query" "$@" | grep -v '^ *\[' | head -1
for model in "$GOLDEN/models/late-colbert" late late:dense; do
    assay rerank --model "$model" --query "$query" --json "$@" |
        json '[(r["index"], r["probability"], r["tokens"]) for r in d["results"]]'
done
assay rerank --model "$GOLDEN/models/late-colbert" --query "$query $query $query" "$@" > /dev/null
code assay rerank --model dense --query "$query" x
code assay rerank --model late:cross --query "$query" x
code assay embed --model late x
echo '-- where there is no model called late, it is late:dense'
mkdir -p alone/bin alone/models # a program finds the models of the folder above its own
cp "$(readlink -f "$(command -v assay)")" alone/bin
cp -R "$ASSAY_MODELS/dense" alone/models
for model in late late:dense; do
    ASSAY_MODELS='' alone/bin/assay rerank --model $model --query "$query" --json "$@"
done | uniq | json '[(r["index"], r["tokens"]) for r in d["results"]]'
