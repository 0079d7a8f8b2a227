# Training of a small model: what is left, that it learns, that a kill at any moment changes
# nothing, and what is wrong with data and settings.
cp -R "$DATA/beir" beir
assay mine beir --split test --output train.jsonl --negatives 3 --random 2 --share 10 --teacher first > /dev/null
few="--data train.jsonl --batch 2 --negatives 3 --steps 12 --evaluations 3 --patience 0 --rate 0.002 --dropout 0.1 --dev train.jsonl"
loss() {
    python3 -c 'import csv, sys
rows = [float(r["loss"]) for r in csv.DictReader(open(sys.argv[1] + "/training.csv")) if r["loss"]]
print(len(rows), sum(rows[-4:]) < sum(rows[:4]))' "$1"
}
echo '-- a cross-encoder'
assay train cross $few --out mine | sed 's/-*[0-9]\.[0-9]*/N/g; s/in [0-9]* s/in N s/; s/[0-9,]* tokens/N tokens/; s/(step [0-9]*/(step N/'
ls -A
ls mine
loss mine
assay rerank --model ./mine --query leave days "sick days" --json | json 'len(d["results"])'
head -c 300 mine/training.svg | grep -c '<svg'
grep -E 'base_model|steps,' mine/README.md | sed 's/[0-9]\.[0-9]*/N/g; s/, [0-9].*//'
echo '-- the same weights again, whatever the threads and the parts'
assay train cross $few --out again --threads 1 --json | json '[sorted(d), d["end"], d["steps"], d["resumed"]]'
cmp mine/model.safetensors again/model.safetensors && echo same
echo '-- killed at any moment'
python3 - $few <<'PY'
import json, os, random, signal, subprocess, sys, time
random.seed(1)
command = ["assay", "train", "cross", *sys.argv[1:], "--out", "killed", "--checkpoint-steps", "1", "--json"]
kills = 0
for attempt in range(200):
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = p.communicate(timeout=random.uniform(0.02, 0.2) if attempt < 40 else 100)
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGKILL)
        p.communicate()
        kills += 1
        continue
    if p.returncode and "is there already" not in err: # killed at the very end
        print(p.returncode, err)
    break
print(kills > 0)
subprocess.run(["rm", "-rf", "killed.part"])
PY
cmp mine/model.safetensors killed/model.safetensors && ls -A | grep killed
cut -d, -f1-4,7 mine/training.csv > a; cut -d, -f1-4,7 killed/training.csv | cmp - a && echo 'the same log'
echo '-- a checkpoint that cannot be written: told, and taken up when there is room'
python3 - $few <<'PY'
import os, resource, signal, subprocess, sys, time
command = ["assay", "train", "cross", *sys.argv[1:], "--out", "full", "--checkpoint-steps", "1"]
log = "full.part/training.csv"
p = subprocess.Popen(command, stdout=subprocess.DEVNULL)
while not os.path.exists(log) or open(log).read().count("\n") < 3:
    time.sleep(0.005)
p.send_signal(signal.SIGKILL)
p.wait()
def cramped():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
if not os.path.exists("full"):
    r = subprocess.run(command, preexec_fn=cramped, capture_output=True, text=True)
    print(r.returncode, "cannot write" in r.stderr, os.path.exists("full"))
    print(subprocess.run(command, capture_output=True).returncode)
PY
cmp mine/model.safetensors full/model.safetensors && echo same
echo '-- two at once; interrupted'
python3 - <<'PY'
import json, os, signal, subprocess, time
command = ["assay", "train", "cross", "--data", "train.jsonl", "--dev", "train.jsonl", "--batch", "2", "--out", "stopped", "--steps", "100000",
           "--patience", "0", "--evaluations", "2"]
p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
while not os.path.exists("stopped.part/training.csv") or open("stopped.part/training.csv").read().count("\n") < 5:
    time.sleep(0.01)
second = subprocess.run(command, capture_output=True, text=True)
print(second.returncode, second.stderr.replace(str(p.pid), "PID"), end="")
p.send_signal(signal.SIGINT)
out, err = p.communicate(timeout=100)
print(p.returncode, out, err, end="")
print([name.split("-")[0] for name in sorted(os.listdir("stopped.part"))])
PY
code assay train cross --data train.jsonl --dev train.jsonl --batch 2 --steps 7 --rate 0.00005 --out stopped
code assay train cross --data train.jsonl --dev train.jsonl --batch 2 --steps 7 --rate 0.00005 --out stopped --restart --json | json 'd["steps"]'
echo '-- minutes'
assay train cross --data train.jsonl --dev train.jsonl --batch 2 --steps 1000000 --rate 0.00005 --patience 0 --minutes 0.03 --out timed --json | json '(d["end"] in ("time", "steps"), 0 < d["steps"] < 1000000)'
echo '-- a teacher; graded; LoRA; a bi-encoder, in one part and in many'
assay train cross $few --distil --out distilled --json | json 'd["steps"]'
assay train cross $few --loss graded --out graded --json | json 'd["steps"]'
assay train cross $few --lora 2 --out lora --json | json 'd["steps"]'
ASSAY_CPU=scalar code assay train cross $few --precision bf16 --out half
assay train bi $few --dropout 0 --out bi --json | json 'd["steps"]'
loss bi
assay train bi $few --dropout 0 --part-tokens 64 --out parts --json | json 'd["steps"]'
python3 - <<'PY'
import csv
rows = lambda f: [(float(r["loss"]), float(r["norm"])) for r in csv.DictReader(open(f + "/training.csv")) if r["loss"]]
print(max(abs(a - b) / (1 + abs(a)) for x, y in zip(rows("bi"), rows("parts")) for a, b in zip(x, y)) < 1e-3)
PY
assay embed --model ./bi days --json | json 'len(d["embeddings"])'
echo '-- late interaction from a bi-encoder, in one part and in many; of a teacher; on from there'
assay train late $few --dropout 0 --dimensions 24 --out late --json | json 'd["steps"]'
loss late
assay info ./late --json | json '[d[k] for k in ("kind", "dimensions", "query_tokens")]'
assay train late $few --dropout 0 --dimensions 24 --part-tokens 64 --out late-parts --json | json 'd["steps"]'
python3 - <<'PY'
import csv
rows = lambda f: [(float(r["loss"]), float(r["norm"])) for r in csv.DictReader(open(f + "/training.csv")) if r["loss"]]
print(max(abs(a - b) / (1 + abs(a)) for x, y in zip(rows("late"), rows("late-parts")) for a, b in zip(x, y)) < 1e-3)
PY
assay train late $few --distil --model ./late --threads 1 --out late-distilled --json | json 'd["steps"]'
assay train late $few --distil --model ./late --out late-again --json | json 'd["steps"]'
cmp late-distilled/1_Dense/model.safetensors late-again/1_Dense/model.safetensors && echo same
code assay train late --data train.jsonl --model ./late --dimensions 16 --out x
assay search --collection beir --rerank late:./late "sick days" --json | json 'len(d["hits"])'
assay rerank --model ./late --query 'sick days' --json "Sick pay. Sick pay is paid for 26 weeks when the contract says so." | json 'len(d["results"])'
echo '-- a BEIR folder; what is there stays'
cp beir/qrels/test.tsv beir/qrels/train.tsv
printf 'q1\tgone\t1\n' >> beir/qrels/train.tsv
code assay train cross --data beir --steps 2 --batch 2 --out folder --random-negatives --json > answer
tail -1 answer
head -1 answer | json '[d["data"][k] for k in ("queries", "missing_documents", "without_negative", "passages")]'
code assay train cross --data beir/ --steps 2 --batch 2 --out mined/ --json > answer
tail -1 answer
head -1 answer | json '[d["data"][k] for k in ("queries", "without_negative")] + [d["development_queries"]]'
ls -d mined*
code assay train cross $few --out mine
assay train cross $few --out mine --force --json | json 'd["steps"]'
echo '-- what is measured afterwards'
assay train cross $few --out measured --also beir --also train.jsonl --int8 small --json > answer
json '(sorted(d["also"][0]), [a["queries"] for a in d["also"]], 0 < d["nDCG@10"]["p"] <= 1)' < answer
json '(d["probability"]["slope"] > 0, d["probability"]["log_loss"] < d["probability"]["log_loss_before"])' < answer
json '(d["also"][1]["after"] == d["int8"]["before"], abs(d["int8"]["before"] - d["nDCG@10"]["best"]) < 1e-6)' < answer
json '(abs(d["also"][1]["before"] - d["nDCG@10"]["before"]) < 1e-6, d["int8"]["bytes"] < d["int8"]["bytes_before"])' < answer
ls measured.also1-beir.jsonl
grep -hoE '^. .measured.also1-beir|^Probability|^With int8 weights' measured/README.md small/README.md
json 'd["stages"][0]["model"].rsplit("/", 1)[1]' < measured/pipeline.json
json 'd["stages"][0]["model"].rsplit("/", 1)[1]' < small/pipeline.json
assay search --collection beir --pipeline small/pipeline.json "sick days" --json | json 'len(d["hits"])'
assay train cross $few --model ./measured --steps 1 --out next > /dev/null 2>&1
json 'd["stages"][0]["model"].rsplit("/", 1)[1]' < next/pipeline.json
assay train late $few --out late-measured --also train.jsonl --int8 late-small --json | json '(d["also"][0]["before"], 0 < d["also"][0]["after"] <= 1, d["int8"]["after"] > 0)'
assay search --collection beir --pipeline late-small/pipeline.json "sick days" --json | json 'd["hits"][0]["probability"] is not None'
assay train bi $few --out bi-measured --also train.jsonl --int8 bi-small --json | json '(d["probability"]["slope"], d["int8"]["before"] == d["also"][0]["after"])'
code assay train cross $few --out x --int8 small
code assay train cross $few --out x --int8 x
code assay train cross $few --out x --also nowhere
echo '-- data that cannot be learned from'
printf 'q\tp\tn\n' > one.tsv
code assay train cross --data one.tsv --out x
printf '{"query": "a", "positives": ["p"]}\n{"query": "b", "positives": ["p"]}\n' > positive.jsonl
code assay train cross --data positive.jsonl --out x
printf '{"query": "a", "negatives": ["p"]}\n' > negative.jsonl
code assay train cross --data negative.jsonl --out x
printf 'q\tp\tn\nbad\nr\to\tn\n' > bad.tsv
code assay train cross --data bad.tsv --out bad --steps 2 --batch 1 --json > answer
tail -1 answer
head -1 answer | json 'd["data"]["bad_lines"]'
code assay train cross --data bad.tsv --distil --out x
code assay train cross --data nowhere --out x
echo '-- settings that make no sense'
code assay train early --data train.jsonl --out x
code assay train late --data train.jsonl --loss margin --out x
code assay train cross --data train.jsonl --dimensions 16 --out x
code assay train cross --out x
code assay train cross --data train.jsonl
code assay train bi --data train.jsonl --loss margin --out x
code assay train cross --data train.jsonl --distil --loss margin --out x
code assay train cross --data train.jsonl --out /dev/null
echo '-- a loss that is no number: told, and the last checkpoint stays'
code assay train cross --data train.jsonl --dev train.jsonl --batch 2 --rate 10 --decay 100 --warmup 0 --schedule constant --steps 100 --evaluations 1 --checkpoint-steps 1 --out wild 2>&1 | grep -oE '^assay: step|training: step|(no number|no numbers|is kept|exit 1)$' | sort -u | grep -v '^assay\|^training'
ls wild.part | sed 's/-[0-9]*//'
