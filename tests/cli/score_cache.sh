# Scores of a reranker are kept, found again, and change nothing.
hits() { json '[[h[k] for k in ("document", "rank", "score", "logit", "probability", "tokens", "truncated")] for h in d["hits"]]'; }
assay index "$DATA/folder" --collection docs --json 2>/dev/null | json '[d["passages"], d["tokenized"]]'
assay search where is the archive --collection docs --json >first.json
json 'd["scores"]' <first.json
hits <first.json >first
echo '-- again, from the cache; without it; for people'
assay search where is the archive --collection docs --json >again.json
json 'd["scores"]' <again.json
hits <again.json | cmp - first && echo 'the same hits'
assay search where is the archive --collection docs --no-cache --json >without.json
json 'd["scores"]' <without.json
hits <without.json | cmp - first && echo 'the same hits'
assay search where is the archive --collection docs | tail -1 | sed 's/in [0-9]* ms/in N ms/g'
echo '-- eval computes, unless it is told otherwise'
assay eval "$DATA/beir" --collection beir --rerank cross --json | json 'd["scores"]'
assay eval "$DATA/beir" --collection beir --rerank cross --cache --json | json 'd["scores"]'
assay eval "$DATA/beir" --collection beir --rerank cross --cache --json | json 'd["scores"]'
assay eval "$DATA/beir" --collection beir --rerank cross --cache | tail -1
assay eval "$DATA/beir" --collection beir --rerank cross | tail -1 | grep -c cache
echo '-- a reranker with another vocabulary'
cp -R "$ASSAY_MODELS/cross" other
sed -i 's/"lowercase": *true/"lowercase": false/' other/tokenizer.json
assay search archive --collection docs --rerank ./other --json | json 'd["scores"]'
assay search the archive --collection docs --rerank ./other --no-cache | tail -1 | sed 's/in [0-9]* ms/in N ms/g'
echo '-- documents of an older assay get their ids when they are indexed again'
python3 - <<'PY'
import os, sqlite3
store = sqlite3.connect(os.environ["ASSAY_HOME"] + "/assay.sqlite")
store.executescript("DROP TABLE tokens; DROP TABLE tokenizers; DROP TABLE token_vectors; DROP TABLE late_books; DROP TABLE late_models; DROP TABLE attributes; DROP TABLE fields; PRAGMA user_version = 1")
PY
assay check
assay search where is the archive --collection docs --json >old.json
json 'd["scores"]' <old.json
hits <old.json | cmp - first && echo 'the same hits'
assay index "$DATA/folder" --collection docs 2>/dev/null | tail -3
assay info --collection docs --json | json '[d["passages"], d["tokenized"]]'
assay search where is the archive --collection docs --json | json 'd["scores"]'
echo '-- damage, and a file that is none'
python3 - <<'PY'
import os, sqlite3
cache = sqlite3.connect(os.environ["ASSAY_HOME"] + "/scores.sqlite")
cache.execute("UPDATE questions SET sum = sum + 1")
cache.commit()
PY
code assay check
assay search where is the archive --collection docs --json >damaged.json
json 'd["scores"]' <damaged.json
hits <damaged.json | cmp - first && echo 'the same hits'
printf 'no database, and long enough for nobody to take it for an empty one%100s\n' >"$ASSAY_HOME/scores.sqlite"
code assay check
assay search where is the archive --collection docs --json | json 'd["scores"]'
assay search where is the archive --collection docs --json | json 'd["scores"]'
assay check
rm "$ASSAY_HOME/scores.sqlite"
mkdir "$ASSAY_HOME/scores.sqlite"
assay search where is the archive --collection docs --json | json 'd["scores"]'
