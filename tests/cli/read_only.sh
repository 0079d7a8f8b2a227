# A data directory that cannot be written: searching works, indexing says why.
# root may write anywhere, so there the command runs as another user.
cp "$(readlink -f "$(command -v assay)")" ./assay
other=()
if [ "$(id -u)" = 0 ]; then
    command -v setpriv >/dev/null || { echo 'SKIP: no setpriv'; exit 77; }
    other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
cp -R "$DATA/beir" beir
chmod -R a+rX .
assay index beir --collection beir --model none --json | json 'd["added"]'
chmod -R a+rX,a-w "$ASSAY_HOME"
code "${other[@]}" ./assay search 'notice period' --collection beir --rerank none --json | json 'd["hits"][0]["document"]'
"${other[@]}" ./assay check
"${other[@]}" ./assay info --json | json '[c["documents"] for c in d["collections"]]'
code "${other[@]}" ./assay index beir --model none
code "${other[@]}" ./assay index beir --model none --home "$ASSAY_HOME/below"
code "${other[@]}" ./assay index beir --model none --home /dev/null
