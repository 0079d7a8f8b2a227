# What `assay doctor` finds: on a machine that is fine, and where something is not.
clean() { sed -E 's/^(ok|note)  +(cpu|cores|memory|open files|disk|library).*/\2/; s/[0-9]+ (is free)/PORT \1/; s/:[0-9]+: /:PORT: /; s/(bf16|int8|fp32)$/PRECISION/' | sort -u; }
code assay doctor --port "$(free_port)" | clean
echo '{"_id": "a", "text": "b"}' | assay index - --model none --json >/dev/null
code assay doctor --json --port "$(free_port)" |
    json '[d["healthy"], sorted({c["name"] for c in d["checks"]}), [c["message"] for c in d["checks"] if c["name"] == "store"]]'
code assay doctor --model nowhere --port "$(free_port)" | grep -E '^bad|thing' | cut -c1-38
python3 -c 'import socket, sys, subprocess
s = socket.create_server(("127.0.0.1", 0))
print(subprocess.run(["assay", "doctor", "--port", str(s.getsockname()[1])], capture_output=True, text=True).stdout)' |
    grep '  port' | clean
chmod o+w "$ASSAY_HOME"
code assay doctor --port "$(free_port)" | grep permissions
chmod o-w "$ASSAY_HOME"
echo damaged >"$ASSAY_HOME/assay.sqlite"
rm -f "$ASSAY_HOME"/assay.sqlite-*
code assay doctor --port "$(free_port)" | grep 'store\|thing'
ASSAY_CPU=scalar assay doctor --json --port "$(free_port)" | json 'd["checks"][0]'
