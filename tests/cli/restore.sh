# An older copy of the database is put back and written to: no file that was derived from what
# is lost answers for it, whether the new history has as many changes or more, with the same
# keys of passages.
python3 - <<'PY'
import json
def write(name, count, text):
    with open(name, "w") as out:
        for i in range(count):
            out.write(json.dumps({"_id": "%s%d" % (name[0], i), "text": text % (i, i * 7 % 31)}) + "\n")
write("base.jsonl", 60, "Report %d on word%d")
write("lost.jsonl", 5, "Note %d about harbours and word%d")
write("new.jsonl", 5, "Letter %d from the mountains and word%d")
write("more.jsonl", 3, "Diary %d of the desert and word%d")
PY
put() { assay index "$1" --collection c --word-index yes --json 2>/dev/null | json 'd["added"]'; }
found() {
    assay search 'Letter from the mountains' --collection c --rerank none --retrieve 90 --top 90 --json "$@" 2>/dev/null |
        json 'sorted((h["document"], round(h["score"], 4)) for h in d["hits"])'
}
# What is found, and what is where nothing else was ever put in.
same() {
    found "${how[@]}" >found.txt
    cmp found.txt truth.txt && grep -c "('n4'" found.txt
}
truth() {
    (ASSAY_HOME=$PWD/fresh
     assay index base.jsonl $after --collection c "$@" >/dev/null 2>&1
     found "${how[@]}" --exact >truth.txt)
    rm -rf fresh
}
words() { assay search 'harbours mountains desert' --collection c --retriever bm25 --rerank none --json |
    json '[d["word_index"], sorted({h["document"][0] for h in d["hits"]})]'; }
try() {
    echo "-- $*"
    rm -rf "$ASSAY_HOME"
    assay index base.jsonl --collection c --word-index yes "$@" >/dev/null 2>&1
    search
    cp "$ASSAY_HOME/assay.sqlite" old.sqlite
    put lost.jsonl
    search
    for after in new.jsonl 'new.jsonl more.jsonl'; do
        rm -f "$ASSAY_HOME"/assay.sqlite*
        cp old.sqlite "$ASSAY_HOME/assay.sqlite"
        cp -R "$ASSAY_HOME/index" kept
        for file in $after; do put $file; done
        truth "$@"
        same
        words
        assay check >/dev/null || echo damaged
        rm -rf "$ASSAY_HOME/index" && mv kept "$ASSAY_HOME/index"
        echo "with the old files once more"
        same
        words
    done
}
search() { found "${how[@]}" >/dev/null; }
how=(--retriever dense)
try --index flat
how=(--retriever dense --ef 200)
try --index hnsw
try --index hnsw --codes b1
how=(--retriever dense --ef 200 --nprobe 1000)
try --index ivf
how=(--retriever late)
try --late "$GOLDEN/models/late-pylate" --late-codes b4
