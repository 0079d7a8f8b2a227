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
