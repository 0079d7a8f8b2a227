# Pipelines as files: checked, shown, run by search and eval.
cp -R "$DATA/beir" beir
assay index beir --collection beir --json >/dev/null 2>&1
assay pipeline show
assay pipeline show default
assay pipeline show default >mine.json
assay pipeline check mine.json
assay pipeline check default balanced
assay pipeline schema | json 'sorted(d["properties"]), sorted(d["properties"]["stages"]["items"]["properties"])'
echo '-- the default is what search does'
assay search captain --collection beir --json --no-cache | json '[(h["document"], h["score"]) for h in d["hits"]]' >one
assay search captain --collection beir --json --no-cache --pipeline default | json '[(h["document"], h["score"]) for h in d["hits"]]' | cmp - one && echo same
echo '-- two stages'
cat >two.json <<END
{"retriever": "hybrid", "retrieve": 50, "keep": 3,
 "stages": [{"kind": "cross", "keep": 2}, {"kind": "cross", "weight_before": 0}]}
END
assay pipeline check two.json
assay search captain --collection beir --json --no-cache --pipeline two.json | json '[s["scored"] for s in d["stages"]], [[s["scored"] for s in h["stages"]] for h in d["hits"]]'
assay search captain --collection beir --pipeline two.json --top 1 | tail -1 | sed 's/;.*//'
assay eval beir --pipeline two.json --rerank-top 2 --json | json '[d["queries"], [s["keep"] for s in d["pipeline"]["stages"]]]'
echo '-- what is wrong is told'
echo '{"retrieve": 10, "stages": [{"kind": "cross", "kep": 5}]}' >wrong.json
code assay pipeline check wrong.json
code assay search captain --collection beir --pipeline wrong.json
code assay search captain --collection beir --pipeline nosuch
code assay search captain --collection beir --pipeline ./nosuch
code assay search captain --collection beir --pipeline default --rerank none
echo '{"stages": [{"kind": "cross", "model": "nowhere"}]}' >wrong.json
code assay pipeline check wrong.json 2>&1 | cut -c1-40
code assay pipeline look
code assay pipeline check
