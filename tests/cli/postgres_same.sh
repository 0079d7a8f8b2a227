# Tests of the command that look at no file of the store pass over PostgreSQL as they are.
server() { "${PYTHON:-python3}" "$ROOT/tests/postgres.py" "$1" "$PWD/postgres" $2; }
url=$(server start) || { echo "$url"; exit 77; }
trap 'server stop' EXIT
build=$(dirname "$(readlink -f "$(command -v assay)")")
for name in cascade eval processes serve_own; do
    ASSAY_TEST_STORE=$(server database "$name") "$ROOT/tests/run_cli" "$build" "$name" | sed "s/^/$name: /"
done
