# Vectors equal to those of sentence-transformers (the golden's expected.json).
python3 - <<'PY' >texts.txt
import json, os
for text in json.load(open(os.environ["GOLDEN"] + "/models/dense-mean/expected.json"))["texts"]:
    print(text.replace("\n", " ").replace("\r", " "))
PY
assay embed --model "$GOLDEN/models/dense-mean" --json <texts.txt >out.json
python3 - <<'PY'
import json, os
golden = json.load(open(os.environ["GOLDEN"] + "/models/dense-mean/expected.json"))
out = json.load(open("out.json"))
pairs = [(g, o) for t, g, o in zip(golden["texts"], golden["embeddings"], out["embeddings"])
         if "\n" not in t and "\r" not in t]
print(len(out["embeddings"]) == len(golden["texts"]), len(pairs) > 5,
      max(abs(a - b) for g, o in pairs for a, b in zip(g, o)) < 1e-4)
PY
json '[sorted(d), d["dimensions"] == len(d["embeddings"][0])]' <out.json
echo '-- plain output is the same numbers; threads do not change a bit'
assay embed --model "$GOLDEN/models/dense-mean" --threads 1 <texts.txt >plain.txt
json '"\n".join(" ".join("%.9g" % x for x in v) for v in d["embeddings"])' <out.json | cmp - plain.txt && echo same
echo '-- cut, and said so'
assay embed 'one two three four five six' --max-tokens 5 --json | json '[d["tokens"], d["truncated"]]'
assay embed 'one two three four five six' --max-tokens 5 >/dev/null
echo '-- with the prompts of the model: a role is the prompt before the text'
prompted=$GOLDEN/models/dense-prompts
for role in query passage; do
    assay embed --model "$prompted" --role $role 'days of leave' >role.txt
    assay embed --model "$prompted" "$role: days of leave" | cmp - role.txt && echo same
done
assay embed --model "$prompted" --role none 'days of leave' | cmp -s - role.txt || echo other
assay info "$prompted" --json | json '[d["query_prompt"], d["passage_prompt"]]'
code assay embed --role document x 2>&1 | head -1
echo '-- nothing to embed'
assay embed --json </dev/null | json 'd["embeddings"]'
echo '-- the wrong kind, none at all, a damaged one'
code assay embed --model cross x
code assay embed --model nowhere x 2>&1 | cut -c1-30
cp -R "$ASSAY_MODELS/dense" damaged
head -c 1000 "$ASSAY_MODELS/dense/model.safetensors" >damaged/model.safetensors
code assay embed --model damaged x 2>&1 | grep -c 'model.safetensors'
code assay embed --max-tokens 2 x
