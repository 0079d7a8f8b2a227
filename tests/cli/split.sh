# A cross-encoder that is split: trained, its lower layers' part of passages kept in a
# collection, and every way of losing that made good.
printf '%s\n' '{"_id":"a","title":"Leave","text":"An employee may carry over ten days of leave."}' \
    '{"_id":"b","text":"The notice period is three months."}' \
    '{"_id":"c","text":"Rain, water; cell? protein!"}' > docs.jsonl
split=$GOLDEN/models/cross-split
ask() {
    assay search 'how many days of leave' --rerank "cross-split:$split" --json "$@" |
        json '[[(h["document"], h["reranked"], h["logit"]) for h in d["hits"]], [d["scores"][k] for k in ("passages", "kept_vectors", "damaged_vectors", "tokenized")]]'
}
assay info "$split" | grep -E '^(kind|split)'
echo '-- computed now, and kept: the same scores'
assay index docs.jsonl > /dev/null
ask > computed && sed 's/, -*[0-9.e-]*)/)/g' computed
assay index docs.jsonl --split "$split" | grep Token
ask > kept && sed 's/.*\], \[/[/' kept
cut -d'[' -f3 computed | cut -d']' -f1 > a; cut -d'[' -f3 kept | cut -d']' -f1 | cmp - a && echo same
assay info --collection default | grep -E 'late_(vectors|codes)'
ask --threads 1 | cmp - kept && echo 'the same with one thread'
echo '-- nearly those of the model itself'
assay search 'how many days of leave' --rerank "$split" --json | json '{h["document"]: h["logit"] for h in d["hits"]}' > exact
python3 -c 'a = eval(open("exact").read()); b = {h[0]: h[2] for h in eval(open("kept").read())[0]}
print(a.keys() == b.keys(), max(abs(a[k] - b[k]) for k in a) < 0.3)'
echo '-- a new document gets its own, a deleted one loses them, damaged ones are computed'
printf '%s\n' '{"_id":"d","text":"Sick pay is paid for 26 weeks."}' > more.jsonl
assay index more.jsonl --json | json '(d["added"], d["late"])'
sed -i 1d docs.jsonl
assay index docs.jsonl --prune --json | json '(d["removed"], d["late"])'
sql 'SELECT count(*) FROM token_vectors'
assay check
ask > whole && sed 's/.*\], \[/[/' whole
sql "UPDATE token_vectors SET vectors = CAST(substr(vectors, 1, 20) || x'00' || substr(vectors, 22) AS BLOB) WHERE passage = 2" > /dev/null
sql 'DELETE FROM token_vectors WHERE passage = 3' > /dev/null
code assay check
ask > some && sed 's/.*\], \[/[/' some
cut -d'[' -f3 whole | cut -d']' -f1 > a; cut -d'[' -f3 some | cut -d']' -f1 | cmp - a && echo 'the same scores'
assay index docs.jsonl more.jsonl --rebuild --json | json 'd["late"]'
echo '-- as a stage; with a deadline, blocks'
printf '{"stages": [{"kind": "cross-split", "model": "%s", "keep": 2}, {"kind": "cross"}]}' "$split" > p.json
assay search 'days of leave' --pipeline p.json --json | json '[[s["kind"] for s in d["pipeline"]["stages"]], [s["scored"] for s in d["stages"]], len(d["hits"])]'
sed -i '1s/{/{"deadline_ms": 60000, /' p.json
assay search 'days of leave' --pipeline p.json --json | json '[[s["scored"] for s in d["stages"]], len(d["hits"])]'
echo '-- one model a collection; what is refused'
assay index docs.jsonl --late late --late-codes b4 --json | json 'd["late"]'
ask | sed 's/.*\], \[/[/'
assay index docs.jsonl --split "$split" --json | json 'd["late"]'
assay info --collection default | grep -E 'late_codes'
assay index docs.jsonl --json | json 'd["late"]'
code assay index docs.jsonl --split "$split" --late-codes b2
code assay index docs.jsonl --split "$split" --late late
code assay index docs.jsonl --split cross
code assay index docs.jsonl --split dense
code assay search 'days' --rerank cross-split:cross
code assay search 'days' --rerank cross-split
code assay search 'days' --retriever late
assay index docs.jsonl --split none --json | json 'd["late"]'
sql 'SELECT count(*) FROM token_vectors'
echo '-- trained: split, and what is split goes on so'
cp -R "$DATA/beir" beir
assay mine beir --split test --output train.jsonl --negatives 3 --random 2 --share 10 --teacher first > /dev/null
few="--data train.jsonl --batch 2 --negatives 3 --steps 8 --evaluations 2 --patience 0 --rate 0.002 --dropout 0.1 --dev train.jsonl"
assay train cross $few --distil --split 1 --out one --json | json '(d["steps"], d["end"])'
assay info ./one | grep -E '^split'
grep apart one/README.md
assay train cross $few --distil --model ./one --out two --json | json 'd["steps"]'
assay info ./two | grep -E '^split'
assay quantize one small > /dev/null && assay info ./small | grep -E '^split'
assay train cross $few --distil --split 1 --threads 1 --out again --json | json 'd["steps"]'
cmp one/model.safetensors again/model.safetensors && echo same
(timeout --foreground -s KILL 0.1 assay train cross $few --distil --split 1 --checkpoint-steps 1 --out killed; true) > /dev/null 2>&1
[ -d killed ] || assay train cross $few --distil --split 1 --checkpoint-steps 1 --out killed > /dev/null
cmp one/model.safetensors killed/model.safetensors && echo 'the same after a kill'
code assay train cross $few --split 2 --out x
code assay train late $few --split 1 --out x
code assay train cross $few --split 1 --model "$GOLDEN/models/cross-xlmr" --out x
