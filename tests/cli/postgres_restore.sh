# An older copy of a PostgreSQL database is put back and written to: what a machine derived from
# what is lost answers for nothing, whether the new history has as many changes or more, with
# the same documents in other words. Another machine, which has no files yet, tells the truth.
server() { "${PYTHON:-python3}" "$ROOT/tests/postgres.py" "$1" "$PWD/postgres" $2 $3; }
url=$(server start) || { echo "$url"; exit 77; }
trap 'server stop' EXIT
python3 - <<'PY'
import json
def write(name, letter, count, text):
    with open(name, "w") as out:
        for i in range(count):
            out.write(json.dumps({"_id": letter + str(i), "text": text % (i, i * 7 % 31)}) + "\n")
write("base.jsonl", "b", 300, "Report %d on word%d")
write("lost.jsonl", "n", 5, "Note %d about harbours and word%d")
write("new.jsonl", "n", 5, "Letter %d from the mountains and word%d")
write("more.jsonl", "m", 3, "Diary %d of the desert and word%d")
PY
put() { assay index "$1" --collection c "${kept[@]}" --json 2>/dev/null | json 'd["added"]'; }
found() {
    for how in '--retriever dense' '--retriever late --nprobe 1 --ef 4' '--retriever bm25 --rerank cross'; do
        assay search 'Letter 3 from the mountains and word21' --collection c --rerank none --retrieve 4 $how --json 2>/dev/null |
            json 'sorted((h["document"], h["text"], h["score"]) for h in d["hits"])'
    done
}
same() {
    found >found.txt
    ASSAY_HOME=$PWD/fresh found >truth.txt
    rm -rf fresh
    cmp found.txt truth.txt && grep -o 'Letter\|Note' found.txt | sort -u
}
kept=(--late "$GOLDEN/models/late-pylate" --late-codes b4)
export ASSAY_STORE=$(server database lost)
put base.jsonl
found >/dev/null
server database back lost >/dev/null
server database again lost >/dev/null
put lost.jsonl
found | grep -c Note
cp -R "$ASSAY_HOME/postgresql" files
for copy in back again; do
    echo "-- $copy"
    ASSAY_STORE=${url%/*}/$copy
    rm -rf "$ASSAY_HOME/postgresql" && cp -R files "$ASSAY_HOME/postgresql"
    put new.jsonl
    [ $copy = back ] || put more.jsonl
    same
    same
    echo "with the old files once more"
    rm -rf "$ASSAY_HOME/postgresql" && cp -R files "$ASSAY_HOME/postgresql"
    same
    assay check
done
