# What there is, and whether it is whole.
assay info | sed 's/^\(version\|cpu\)  *.*/\1/'
assay info --json | json '[sorted(d), d["collections"], [m["name"] for m in d["models"]]]'
code assay check
assay index "$DATA/beir" --collection beir --json | json 'd["added"]'
assay info --collection beir --json | json '[d[k] for k in ("name", "model", "documents", "passages", "vectors")]'
assay info --json | json '[c["name"] for c in d["collections"]]'
assay info cross | sed -n 's/^kind  *//p'
assay info dense --json | json '[d["kind"], d["normalized"], d["dimensions"] > 0]'
assay check
assay check --json | json 'd'
echo '-- another data directory'
assay index "$DATA/folder/leave.md" --home elsewhere --json --model none | json 'd["added"]'
assay info --home elsewhere --json | json '[c["name"] for c in d["collections"]]'
code assay info --collection beir --home elsewhere
code assay info nowhere 2>&1 | cut -c1-30
echo '-- damage: a passage gone astray, then a page of zeros'
python3 - <<'PY'
import os, sqlite3
store = sqlite3.connect(os.environ["ASSAY_HOME"] + "/assay.sqlite")
store.execute("UPDATE passages SET length = length + 1000 WHERE key = 2")
store.commit()
PY
code assay check
assay check --json | json '[len(d["problems"]), d["whole"]]'
python3 - <<'PY'
import os
path = os.environ["ASSAY_HOME"] + "/assay.sqlite"
data = bytearray(open(path, "rb").read())
data[8192:9000] = bytes(808)
open(path, "wb").write(data)
PY
code assay check >out.txt 2>&1
grep -c 'assay.sqlite: ' out.txt | sed 's/^[1-9]$/some/'
grep -c '^[1-9][0-9]* problems\.$' out.txt
tail -1 out.txt
echo '-- a model'
assay check cross
assay check cross --json | json 'd'
cp -R "$ASSAY_MODELS/cross" bad
python3 - <<'PY'
import json, struct
data = bytearray(open("bad/model.safetensors", "rb").read())
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
for name in ("bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight"):
    begin = 8 + length + header[name]["data_offsets"][0]
    data[begin + 8:begin + 12] = struct.pack("<f", float("nan"))
open("bad/model.safetensors", "wb").write(data)
PY
code assay check bad
code assay rerank --model ./bad --query q passage
code assay check nowhere 2>&1 | cut -c1-30
code assay check cross dense 2>&1 | head -1
