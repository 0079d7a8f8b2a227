# Ctrl-C in the middle of indexing keeps what is finished; the same command
# goes on from there.
python3 - <<'PY'
import json
with open("many.jsonl", "w") as out:
    for i in range(12000):
        out.write(json.dumps({"_id": str(i), "text": f"Document {i} speaks of subject {i % 977}. " * 6}) + "\n")
PY
python3 - <<'PY'
import os, signal, subprocess, time
p = subprocess.Popen(["assay", "index", "many.jsonl", "--model", "none", "--json"],
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
wal = os.environ["ASSAY_HOME"] + "/assay.sqlite-wal"
# The schema alone takes half of that.
while p.poll() is None and not (os.path.exists(wal) and os.path.getsize(wal) > 400_000):
    time.sleep(0.01)
p.send_signal(signal.SIGINT)
out, err = p.communicate(timeout=100)
print("exit", p.returncode)
print(err.decode(), end="")
open("first.json", "wb").write(out)
PY
json '[d["interrupted"], 0 < d["added"] < 12000]' <first.json
assay index many.jsonl --model none --json >second.json
json '[d["interrupted"], d["unchanged"] > 0, d["added"] > 0, d["unchanged"] + d["added"]]' <second.json
assay index many.jsonl --model none --json | json '[d["unchanged"], d["added"], d["passages"]]'
assay check
