# A real server: llama.cpp's, from PyPI (llama-cpp-python[server] in $PYTHON), with the model
# $ASSAY_TEST_GGUF, or one of random weights (tests/tiny_gguf.py). Whatever it says, no
# candidate is lost, and every question is accounted for. Vision is left out: it needs a model
# that sees.
python=${PYTHON:-python3}
"$python" -c 'import llama_cpp.server.app' 2>/dev/null ||
    { echo "SKIP: no llama.cpp server (\$PYTHON with llama-cpp-python[server] installed)"; exit 77; }
model=${ASSAY_TEST_GGUF-}
if [ -z "$model" ]; then
    model=tiny.gguf
    "$python" "$ROOT/tests/tiny_gguf.py" $model 2>printed ||
        { echo "SKIP: no model (\$ASSAY_TEST_GGUF, or the package gguf in \$PYTHON)"; exit 77; }
fi
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY ASSAY_LLM_KEY
port=$(free_port)
"$python" -m llama_cpp.server --model "$model" --n_ctx 4096 --logits_all true \
    --host 127.0.0.1 --port "$port" >printed 2>&1 &
server=$!
trap "kill $server 2>/dev/null" EXIT
for _ in $(seq 600); do
    python3 -c "import urllib.request
urllib.request.urlopen('http://127.0.0.1:$port/v1/models')" 2>/dev/null && break
    kill -0 $server 2>/dev/null || { cat printed; exit 1; }
    sleep 0.1
done
export ASSAY_LLM_URL=http://127.0.0.1:$port/v1 ASSAY_LLM_MODEL=any
mkdir docs
for i in $(seq 10 34); do echo "Locker $i holds lockers and $((i * 3)) keys." >docs/$i.txt; done
assay index docs --model none --json >/dev/null
ask() { # ask MODE PASSAGES
    echo "-- $1 of $2"
    assay search 'which locker holds 45 keys?' --rerank llm --llm-mode "$1" --rerank-top "$2" \
        --top 100 --no-cache --json 2>warnings >answer
    json 'sorted(h["document"] for h in d["hits"]) == sorted(f"docs/{i}.txt" for i in range(10, 35)), sorted(h["rank"] for h in d["hits"]) == list(range(1, 26))' <answer
    json '(lambda u: [u["requests"], u["ok"] + u["repaired"] + u["failed"], u["input_tokens"] > 0])(d["stages"][0]["llm"])' <answer
}
ask listwise 5
ask listwise 25
ask pointwise 5
ask yesno 5
json 'all(h["probability"] is None or 0 <= h["probability"] <= 1 for h in d["hits"])' <answer
ask pairwise 3
ask pairwise 11
