# A model from a hub (tests/fake_hub.py) to a folder, to a name.
coproc HUB { python3 "$ROOT/tests/fake_hub.py"; }
read -r port <&"${HUB[0]}"
export HF_ENDPOINT=http://127.0.0.1:$port
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
assay pull org/plain
(cd "$ASSAY_HOME/models/org/plain" && find . -type f | sort)
echo '-- again, nothing is left to do; for programs; into a folder of one'"'"'s own'
assay pull org/plain --json | json '[d["model"], d["path"].endswith("/models/org/plain")]'
assay pull org/plain --to here && ls here/config.json
assay info --json | json '[m["name"] for m in d["models"]]'
echo '-- what is wrong is told'
code assay pull org/gated 2>&1 | cut -c1-50
code assay pull nobody/nothing 2>&1 | cut -c1-50
code assay pull org/wrong-hash 2>&1 | grep -c '^assay: .*model.safetensors'
code assay pull ../x
code assay pull org/plain --endpoint http://127.0.0.1:1 2>&1 | cut -c1-60
exec {HUB[1]}>&-
