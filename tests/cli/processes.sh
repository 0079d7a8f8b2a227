# Two processes write at once; others read meanwhile.
python3 - <<'PY'
import json
for name in "ab":
    with open(name + ".jsonl", "w") as out:
        for i in range(1500):
            out.write(json.dumps({"_id": f"{name}{i}", "text": f"Document {name} {i} about leave."}) + "\n")
PY
assay index a.jsonl --model none --json >a.json 2>a.err &
assay index b.jsonl --model none --json >b.json 2>b.err &
for i in 1 2 3; do
    assay info --json | json 'len(d["collections"]) <= 1'
done
wait
cat a.err b.err
json 'd["added"]' <a.json
json 'd["added"]' <b.json
assay info --collection default --json | json 'd["documents"]'
assay check
