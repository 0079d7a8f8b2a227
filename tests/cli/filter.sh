# Filters over metadata: of JSONL records and of Markdown's front matter.
mkdir notes
cat >notes/records.jsonl <<'EOF'
{"_id": "leave", "text": "Leave is taken in summer.", "year": 2019, "lang": "en", "tag": ["draft"]}
{"_id": "urlaub", "text": "Leave is called Urlaub here.", "year": 2021, "lang": "de"}
{"_id": "shore", "text": "Shore leave ends at ten.", "metadata": {"year": 2022, "lang": "en"}}
EOF
printf -- '---\nyear: 2024\npublished: 2024-05-31\n---\n# Crew\n\nLeave is planned in January.\n' >notes/crew.md
assay index notes --collection notes --json 2>/dev/null | json 'd["added"]'
found() { json 'sorted(h["document"] for h in d["hits"])'; }
for retriever in bm25 dense hybrid; do
    echo "-- $retriever"
    assay search leave --collection notes --retriever $retriever --rerank none --json | found
    assay search leave --collection notes --retriever $retriever --rerank none --json \
        --filter 'year >= 2021 and not lang = "de"' | found
done
assay search leave --collection notes --json --filter 'published < 2024-06' | json 'd["filter"]'
assay search leave --collection notes --json --filter 'published < 2024-06' | found
echo '-- as JSON'
assay search leave --collection notes --json --filter '{"year": {"$gte": 2021}, "$not": {"lang": "de"}}' | found
assay search leave --collection notes --json --filter '{}' | json '(len(d["hits"]), "filter" in d)'
code assay search leave --collection notes --filter '{"year": {"$gt": []}}'
code assay search leave --collection notes --filter '{"year": 1'
echo '-- measured'
mkdir -p judged/qrels
cp notes/records.jsonl judged/corpus.jsonl
echo '{"_id": "q", "text": "leave"}' >judged/queries.jsonl
printf 'q\tleave\t1\nq\tshore\t1\n' >judged/qrels/test.tsv
measured() { json 'd["metrics"]["R@100"], d.get("filter")'; }
assay eval judged --retriever bm25 --json | measured
assay eval judged --retriever bm25 --json --filter 'year >= 2020' | measured
assay eval judged --retriever bm25 --json --filter '{"yaer": 2020}' | measured
code assay eval judged --filter 'year >='
echo '-- nothing is left'
assay search leave --collection notes --filter 'year < 1900' | sed 's/in [0-9]* ms/in N ms/g'
assay search leave --collection notes --json --filter 'year < 1900' | json '[d["hits"], d["candidates"], d["filter"]["passages"]]'
assay search leave --collection notes --json --filter 'yaer > 1900' | json '[d["hits"], d["filter"]["missing"]]'
echo '-- what is no filter'
code assay search leave --collection notes --filter 'year >= 2020 andd lang = "en"'
code assay search leave --collection notes --filter 'lang = en'
assay search leave --collection notes --filter '' --json | found
echo '-- a store of an older assay'
assay check
python3 - <<'PY'
import os, sqlite3
store = sqlite3.connect(os.environ["ASSAY_HOME"] + "/assay.sqlite")
store.executescript("DROP TABLE token_vectors; DROP TABLE late_books; DROP TABLE late_models; DROP TABLE attributes; DROP TABLE fields; PRAGMA user_version = 2")
PY
code assay search leave --collection notes --filter 'year < 2020'
assay index notes --collection notes --json 2>/dev/null | json 'd["unchanged"]'
assay search leave --collection notes --json --filter 'year < 2020' | found
echo '-- damage'
python3 - <<'PY'
import os, sqlite3
store = sqlite3.connect(os.environ["ASSAY_HOME"] + "/assay.sqlite")
store.execute("DELETE FROM attributes WHERE value = 2019")
store.commit()
PY
code assay check
