# Every sh block of docs/usage.md is run, in order, as it stands there.
cp -R "$ROOT/demo/corpus" handbook
awk -v RS='\n```' '/^sh\n/ { n++; print substr($0, 4) > ("block" n) }' "$ROOT/docs/usage.md"
[ -e block1 ] || echo "docs/usage.md has no sh blocks"
for ((n = 1; ; n++)); do
    [ -e block$n ] || break
    bash -eu -o pipefail block$n >printed 2>&1 </dev/null && continue
    echo "FAILED:"
    cat block$n printed
done
