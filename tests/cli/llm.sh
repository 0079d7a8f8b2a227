# A language model as a reranker, behind an API (tests/fake_llm.py) that knows the
# number behind "value".
coproc API { python3 "$ROOT/tests/fake_llm.py"; }
read -r port <&"${API[0]}"
export ASSAY_LLM_URL=http://127.0.0.1:$port/v1
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY ASSAY_LLM_KEY ASSAY_LLM_MODEL
printf '%s\n' 'value 3' 'value 9' 'value 1' >passages
assay rerank --rerank llm --llm-model good --query 'which is best?' <passages
assay rerank --rerank llm --llm-model good --llm-mode pointwise --query 'which is best?' --json <passages
assay rerank --rerank llm --llm-model good --llm-mode yesno --query 'which is best?' --json --top 1 <passages
echo '-- no answer, no URL, no model'
code assay rerank --rerank llm --llm-model refusal --query q <passages 2>&1 | cut -c1-70
code assay rerank --rerank llm --llm-model good --llm-mode pointwise --query q 'no number' 'value 3' 2>&1
code assay rerank --rerank llm --query q <passages
code assay rerank --rerank llm --llm-model m --llm-url localhost:8080 --query q <passages
code assay rerank --rerank llm --llm-model m --precision int8 --query q <passages
echo '-- in a search: 3 of 4, the rest behind; then from the cache'
mkdir docs
for value in 5 8 2 7; do echo "A ship of value $value with lockers." >docs/$value.txt; done
assay index docs --model none --json >/dev/null
search() {
    assay search lockers --rerank llm --rerank-top 3 --json "$@" |
        json '[h["document"] for h in d["hits"]], d["degraded"], [d["stages"][0]["llm"][k] for k in ("requests", "cached", "ok", "failed")]'
}
search --llm-model good
search --llm-model good
search --llm-model good --no-cache
assay search lockers --rerank llm --llm-model good --top 1 | tail -1 | sed 's/in [0-9]* ms/in N ms/g'
echo '-- a remote failure leaves the order of the stage before'
search --llm-model unknown 2>&1
assay search lockers --llm-model error --rerank llm --rerank-top 3 --top 1 2>&1 | head -1 | cut -c1-60
echo '-- in a pipeline'
cat >pipeline.json <<END
{"retrieve": 10, "stages": [
  {"kind": "llm", "url": "$ASSAY_LLM_URL", "model": "good", "mode": "pointwise", "price_input": 1000}]}
END
assay pipeline check pipeline.json precise 2>&1
assay search lockers --pipeline pipeline.json --no-cache --json | json '[h["document"] for h in d["hits"]], [s["logit"] for h in d["hits"] for s in h["stages"]], d["stages"][0]["llm"]["cost"]'
assay pipeline show precise | json '[sorted(s) for s in d["stages"]]'
echo '{"stages": [{"kind": "cross", "url": "http://x/v1"}]}' >wrong.json
code assay pipeline check wrong.json
exec {API[1]}>&-
