# The word index file: the same hits, and what happens when it is behind or damaged.
hits() { json '[[h["document"], h["rank"], h["score"]] for h in d["hits"]]'; }
ask() { assay search where is the archive --collection docs --retriever bm25 --rerank none --json "$@"; }
file() { ls "$ASSAY_HOME"/index/*.words 2>/dev/null | wc -l; }
assay index "$DATA/folder" --collection docs --json 2>/dev/null | json 'd["passages"]'
file
ask >without.json
json 'd["word_index"]' <without.json
hits <without.json >without
assay index "$DATA/folder" --collection docs --word-index yes --json 2>/dev/null | json 'd["passages"]'
file
ask >with.json
json 'd["word_index"]' <with.json
hits <with.json | cmp - without && echo 'the same hits'
assay info --collection docs | sed -n 's/^word_index_bytes  *[0-9,]*$/it has bytes/p; /^word_index_used/p'
echo '-- a filter; another k1'
ask --filter 'not exists(nothing)' 2>/dev/null | hits | cmp - without && echo 'the same hits'
ask --k1 2 --b 1 | json 'd["word_index"]'
echo '-- behind: the database answers; the next index catches up'
mkdir more
echo 'The archive is in the cellar.' >more/new.txt
cp "$ASSAY_HOME"/index/*.words old.words
assay index more --collection docs --json 2>/dev/null | json 'd["added"]'
ask >new.json
json '[d["word_index"], d["hits"][0]["document"]]' <new.json
hits <new.json >new
cp old.words "$(ls "$ASSAY_HOME"/index/*.words)"
ask >behind.json
json 'd["word_index"]' <behind.json
hits <behind.json | cmp - new && echo 'the same hits'
assay info --collection docs | grep '^word_index_used'
assay check
echo '-- damaged'
printf 'x' | dd of="$(ls "$ASSAY_HOME"/index/*.words)" bs=1 seek=20 conv=notrunc 2>/dev/null
ask >damaged.json
json 'd["word_index"]' <damaged.json
hits <damaged.json | cmp - new && echo 'the same hits'
code assay check
assay index more --collection docs --json 2>/dev/null | json 'd["unchanged"]'
ask | json 'd["word_index"]'
assay check
assay index more --collection docs --word-index no --json 2>/dev/null | json 'd["unchanged"]'
file
