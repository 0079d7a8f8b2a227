# Token vectors kept in a collection: search takes them from there, computes those that
# are missing or damaged, and every way of losing them is made good.
printf '%s\n' '{"_id":"a","title":"Leave","text":"An employee may carry over ten days of leave."}' \
    '{"_id":"b","text":"The notice period is three months."}' \
    '{"_id":"c","text":"Rain, water; cell? protein!"}' > docs.jsonl
ask() {
    assay search "$@" 'how many days of leave' --rerank late --json |
        json '[[(h["document"], h["reranked"], h["probability"]) for h in d["hits"]], [d["scores"][k] for k in ("passages", "kept_vectors", "damaged_vectors")]]'
}
scores() {
    assay search 'how many days of leave' --rerank late --json |
        json '{h["document"]: h["logit"] for h in d["hits"]}'
}
echo '-- without kept vectors'
assay index docs.jsonl > /dev/null
ask
scores > computed
echo '-- with them'
assay index docs.jsonl --late late | grep Token
ask
scores > kept
python3 -c 'a, b = eval(open("computed").read()), eval(open("kept").read())
print(a.keys() == b.keys(), max(abs(a[k] - b[k]) for k in a) < 0.05)'
assay info --collection default | grep -E 'late_model|late_vectors'
echo '-- a new document gets its own, without being told; a deleted one loses them'
printf '%s\n' '{"_id":"d","text":"Sick pay is paid for 26 weeks."}' > more.jsonl
assay index more.jsonl --json | json '(d["added"], d["late"])'
sed -i 1d docs.jsonl
assay index docs.jsonl --prune --json | json '(d["removed"], d["late"])'
sql 'SELECT count(*) FROM token_vectors'
assay check && ask
echo '-- damaged and missing ones are computed'
sql "UPDATE token_vectors SET vectors = CAST(substr(vectors, 1, 20) || x'00' || substr(vectors, 22) AS BLOB) WHERE passage = 2" > /dev/null
sql 'DELETE FROM token_vectors WHERE passage = 3' > /dev/null
code assay check
ask
assay index docs.jsonl more.jsonl --rebuild --json | json 'd["late"]'
ask
echo '-- another model replaces them; none takes them away'
assay index docs.jsonl --late "$GOLDEN/models/late-pylate" --json | json 'd["late"]'
ask
assay index docs.jsonl --late none --json | json 'd["late"]'
sql 'SELECT count(*) FROM token_vectors'
echo '-- in fewer bits; a damaged book is noticed, and made anew'
code assay index docs.jsonl --late-codes b2
for codes in f16 b4 b2 b1; do
    assay index docs.jsonl --late late --late-codes $codes --json | json 'd["late"]'
    assay info --collection default | grep -E 'late_codes'
    ask
    scores > kept
    python3 -c 'a, b = eval(open("computed").read()), eval(open("kept").read())
print(max(abs(a[k] - b[k]) for k in a if k in b) < {"f16": 0.01}.get("'$codes'", 1))'
done
assay index more.jsonl --json | json '(d["unchanged"], d["late"])'
sql "UPDATE late_books SET book = CAST(substr(book, 1, 40) || x'00' || substr(book, 42) AS BLOB)" > /dev/null
code assay check
ask
assay index docs.jsonl --json | json 'd["late"]'
assay check && ask
echo '-- halves: what is damaged is computed, and they retrieve'
assay index docs.jsonl --late-codes f16 --json | json 'd["late"]'
sql "UPDATE token_vectors SET vectors = CAST(substr(vectors, 1, 20) || x'5555' || substr(vectors, 23) AS BLOB) WHERE passage = (SELECT min(passage) FROM token_vectors)" > /dev/null
ask
assay index docs.jsonl more.jsonl --rebuild --json | json 'd["late"]'
ask
find() {
    assay search "$@" 'how many days of leave' --retriever late --rerank none --json |
        json '[(h["document"], round(h["score"], 4)) for h in d["hits"]]'
}
find > found
find --exact | diff found - && wc -l < found
sql "UPDATE late_books SET book = CAST(substr(book, 1, 36) || x'00' || substr(book, 38) AS BLOB)" > /dev/null
code assay check
ask
code assay search 'days of leave' --retriever late
assay index docs.jsonl --json | json 'd["late"]'
assay check && ask
echo '-- it retrieves, too'
assay index docs.jsonl more.jsonl --late-codes b4 > /dev/null
find > found
find --exact | diff found - && wc -l < found
ls "$ASSAY_HOME"/index/*.tokens | wc -l
find | diff found - && echo the same from the file
printf x | dd of="$(ls "$ASSAY_HOME"/index/*.tokens)" bs=1 seek=200 conv=notrunc 2> /dev/null
find | diff found - && echo the same from a damaged file
printf '%s\n' '{"_id":"e","text":"How many days of leave?","metadata":{"kind":"question"}}' > late.jsonl
assay index late.jsonl --json | json 'd["late"]'
find --top 1 | sed 's/, [0-9.]*//'
find --filter 'kind = "question"' | sed 's/, [0-9.]*//'
: > late.jsonl
assay index late.jsonl --prune --json | json 'd["removed"]'
find | diff found - && echo gone
assay search 'days of leave' --retriever late --rerank cross --json | json '(d["candidates"], [h["reranked"] for h in d["hits"]])'
printf '{"retriever": "late", "stages": [{"kind": "cross"}]}' > p.json
assay search 'days of leave' --pipeline p.json --json | json 'len(d["hits"])'
assay index docs.jsonl --late none > /dev/null
code assay search 'days of leave' --retriever late
echo '-- one vector of two tokens that are alike'
bytes() { assay info --collection default --json | json 'd["late_bytes"]'; }
code assay index docs.jsonl --late-pool 2
assay index docs.jsonl --late late --late-codes i8 --json | json 'd["late"]'
whole=$(bytes)
assay index docs.jsonl --late-pool 2 --json | json 'd["late"]'
assay info --collection default | grep late_pool
[ $((10 * $(bytes))) -lt $((7 * whole)) ] && echo fewer bytes
assay index docs.jsonl --json | json 'd["late"]'
ask
scores > kept
sql 'DELETE FROM token_vectors WHERE passage = (SELECT min(passage) FROM token_vectors)' > /dev/null
ask
scores | python3 -c 'a, b = eval(input()), eval(open("kept").read())
print(a.keys() == b.keys(), max(abs(a[k] - b[k]) for k in a) < 0.05)'
assay index docs.jsonl --late-codes b2 --json | json 'd["late"]'
find | tr -dc 'abcde\n'
assay index docs.jsonl --late-pool 1 --json | json 'd["late"]'
code assay index docs.jsonl --late-pool 17
assay index docs.jsonl --late none > /dev/null
echo '-- pipelines, other models, and what is refused'
printf '{"retrieve": 10, "stages": [{"kind": "late", "keep": 2}, {"kind": "cross"}]}' > p.json
assay search 'days of leave' --pipeline p.json --json | json '[[s["scored"] for s in d["stages"]], len(d["hits"])]'
assay search 'days of leave' --rerank "late:$GOLDEN/models/late-colbert" --json | json '[h["reranked"] for h in d["hits"]]'
code assay search 'days' --rerank dense
code assay search 'days' --rerank late:cross
code assay index docs.jsonl --late cross
code assay index docs.jsonl --late nowhere
echo '-- what found what'
assay search 'days of leave, sick pay' --rerank late --explain --top 1 | tail -3 | head -1 | sed 's/ -*[0-9]\.[0-9]*//g'
assay search 'days of leave' --explain --top 2 --json | python3 -c 'import json, sys
for hit in json.load(sys.stdin)["hits"]:
    text, matches = hit["text"].encode(), hit["explanation"]["matches"]
    print([(m["query"], m["in_title"]) for m in matches], abs(sum(m["similarity"] for m in matches) - hit["explanation"]["score"]) < 1e-4,
          all(m["end"] <= len(text) and m["begin"] <= m["end"] for m in matches))'
