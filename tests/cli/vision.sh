# Pages are looked at by a model that sees (tests/fake_llm.py): it finds "value N" in the image
# of a page, and from 5 on the page answers.
coproc API { python3 "$ROOT/tests/fake_llm.py"; }
read -r port <&"${API[0]}"
export ASSAY_LLM_URL=http://127.0.0.1:$port/v1 ASSAY_LLM_MODEL=good
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY ASSAY_LLM_KEY
mkdir pages
for value in 2 5 8 9; do printf '\x89PNG\r\n\x1a\n value %s' $value >pages/$value.png; done
echo 'value 9' >pages/text.png
printf '\x89PNG\r\n\x1a\n value 9' >outside.png
page() { printf '{"_id": "%s", "text": "Lockers on page %s%s", "image": %s}\n' "$1" "$1" "$2" "$3"; }
{
    page two ', lockers.' '"2.png"'
    page five ' and so on.' '"5.png"'
    page nine ' and much else besides.' '"https://pages.example/value9.png"'
    page bare ' and nothing else, anywhere at all.' null
} >docs.jsonl
assay index docs.jsonl --model none --json >/dev/null
pipeline() { # pipeline SETTINGS
    echo "{\"retriever\": \"bm25\", \"stages\": [{\"kind\": \"vision\", \"image_folder\": \"pages\", \"image_urls\": \"https://pages.example/\"$1}]}" >pipeline.json
}
search() {
    assay search lockers --pipeline pipeline.json --json "$@" |
        json '[(h["document"], h["stages"][0].get("verdict"), h["stages"][0].get("probability"), h["stages"][0].get("reason")) for h in d["hits"]], [d["stages"][0][k] for k in ("scored", "accepted", "rejected", "dropped")], d["degraded"]'
}
assay search lockers --retriever bm25 --rerank none --json | json '[h["document"] for h in d["hits"]]'
echo '-- what does not answer goes behind'
pipeline
assay pipeline check pipeline.json
assay pipeline show pipeline.json | json 'sorted(d["stages"][0])'
search
assay search lockers --pipeline pipeline.json | sed 's/in [0-9]* ms/in N ms/g'
echo '-- from the cache; and again'
assay search lockers --pipeline pipeline.json --json | json '[d["stages"][0]["llm"][k] for k in ("requests", "cached", "ok")]'
assay search lockers --pipeline pipeline.json --json --no-cache | json '[d["stages"][0]["llm"][k] for k in ("requests", "cached", "ok")]'
echo '-- or out; two of four are looked at'
pipeline ', "rejected": "drop"'
search
sed -i 's/"stages"/"keep": 2, "stages"/' pipeline.json
search
echo '-- nothing answers'
echo '{"retriever": "bm25", "retrieve": 1, "stages": [{"kind": "vision", "image_folder": "pages", "rejected": "drop"}]}' >pipeline.json
code assay search lockers --pipeline pipeline.json | sed 's/in [0-9]* ms/in N ms/g'
echo '-- how sure it must be'
pipeline
search --min-probability 0.7
echo '-- an image outside, one that is none, one too large; an API that fails on some, and on all'
{
    page two ', lockers.' '"../outside.png"'
    page five ' and so on.' '"text.png"'
} | assay index - --model none --json >/dev/null
search
pipeline ', "image_bytes": 10, "image_field": "scan"'
echo '{"_id": "five", "text": "Lockers on page five and so on.", "scan": "8.png"}' | assay index - --model none --json >/dev/null
search
pipeline ', "model": "some-fail"'
search
pipeline ', "model": "error", "attempts": 1'
search
code assay search lockers --pipeline pipeline.json --top 1 2>&1 >/dev/null
pipeline ', "model": "slow"'
search --deadline-ms 300 2>&1
echo '-- wrong settings'
echo '{"stages": [{"kind": "vision"}]}' >wrong.json
code assay pipeline check wrong.json
echo '{"stages": [{"kind": "vision", "image_urls": "https://pages.example"}]}' >wrong.json
code assay pipeline check wrong.json
echo '{"stages": [{"kind": "vision", "image_folder": "nowhere"}]}' >wrong.json
code assay pipeline check wrong.json
code assay search lockers --pipeline wrong.json
echo '{"stages": [{"kind": "vision", "image_folder": "pages", "rejected": "burn"}]}' >wrong.json
code assay pipeline check wrong.json
echo '{"stages": [{"kind": "llm", "image_folder": "pages"}]}' >wrong.json
code assay pipeline check wrong.json 2>&1 | cut -c1-70
exec {API[1]}>&-
