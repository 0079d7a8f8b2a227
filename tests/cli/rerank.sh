# Logits equal to those of transformers (the golden's expected.json); order,
# ranks, JSONL, the forms of input.
for model in cross-f32 cross-f16 cross-int8 cross-old-names; do
    MODEL=$GOLDEN/models/$model python3 - <<'PY'
import json, os, subprocess
model = os.environ["MODEL"]
golden = json.load(open(model + "/expected.json"))
lines = "".join(p.replace("\n", " ") + "\n" for p in golden["passages"])
out = subprocess.run(["assay", "rerank", "--model", model, "--precision", "fp32", "--query",
                      golden["query"], "--json"], input=lines.encode(), capture_output=True)
d = json.loads(out.stdout)
results = d["results"]
logits = {r["index"]: r["logit"] for r in results}
worst = max(abs(logits[i] - g) for i, g in enumerate(golden["logits"]))
print(os.path.basename(model), len(results) == len(golden["logits"]), worst < 1e-4,
      [r["rank"] for r in results] == list(range(1, len(results) + 1)),
      [r["logit"] for r in results] == sorted(logits.values(), reverse=True))
PY
done
printf '%s\n' "first passage" "second passage" | assay rerank --query "a question" --json |
    json '[sorted(d), sorted(d["results"][0]), sorted(r["index"] for r in d["results"]), d["model"]]'
echo '-- equal passages keep their order; an empty line is a passage; CRLF'
printf 'same\nother\r\n\nsame\nsame' | assay rerank --query q --json |
    json '[len(d["results"]), [r["index"] for r in d["results"] if r["index"] in (0, 3, 4)]]'
echo '-- arguments, --top more and less than there are'
assay rerank --query q one two three --top 2 --json | json '[r["rank"] for r in d["results"]]'
assay rerank --query q one two three --top 10 --json | json '[r["rank"] for r in d["results"]]'
echo '-- JSONL with ids, blank lines passed over'
printf '%s\n' '{"_id":"a","text":"one"}' '' '{"id":7,"text":"two\u0000"}' '"three"' |
    assay rerank --query q --jsonl --json | json 'sorted(((r["index"], r.get("id")) for r in d["results"]), key=lambda p: p[0])'
printf '%s\n' '{"key":"a","body":"one"}' |
    assay rerank --query q --jsonl --id-field key --text-field body --json | json 'd["results"][0]["id"]'
printf '%s\n' '{"_id":"a"}' | code assay rerank --query q --jsonl --json
printf '%s\n' '{"text":"x"}' '{"text":5}' | code assay rerank --query q --jsonl
printf '%s\n' '{"text":"x"}' '' '[' | code assay rerank --query q --jsonl
printf '%s\n' '["text"]' | code assay rerank --query q --jsonl
echo '-- bytes that are no UTF-8'
printf 'a\xff\xe2\x82b\nbell\a\033[31m\n' | assay rerank --query $'q\xff' --json | json 'len(d["results"])'
printf 'a\xff\xe2\x82b\nbell\a\033[31m\n' | assay rerank --query q | grep -v logit | sort
echo '-- cut'
yes word | head -5000 | tr '\n' ' ' | assay rerank --query q --json | json '[r["truncated"] for r in d["results"]]'
echo '-- nothing; an empty query; a query too long; the wrong kind of model'
assay rerank --query q --json </dev/null | json 'd["results"]'
code assay rerank --query '' x --json
code assay rerank --query '  ' x 
code assay rerank --query "$(yes word | head -5000 | tr '\n' ' ')" x 2>&1 | tail -1
code assay rerank --query q --model dense x
echo '-- a precision that the processor lacks'
ASSAY_CPU=scalar code assay rerank --query q x --precision bf16
