# An int8 folder of a model: what is printed, what is in it, that assay reads it
# at every precision; whole or not at all.
assay quantize "$GOLDEN/models/cross-f32" int8
ls int8
for precision in fp32 int8; do
    assay rerank --model int8 --precision $precision --query leave "days" "sick days" --json |
        json '[len(d["results"]), d["precision"]]'
done
assay info int8 --json | json '[d["stored"], d["kind"]]'
echo '-- a name as source; for programs; sharded'
assay quantize dense elsewhere/dense --json |
    json '[sorted(d), d["source"], d["path"], d["bytes_after"] < d["bytes_before"], sorted(d["kinds"]), sorted(d["kinds"]["linear"]), 0 < d["kinds"]["linear"]["error"] < 0.01]'
assay embed --model elsewhere/dense days --json | json 'len(d["embeddings"])'
assay quantize "$GOLDEN/models/dense-cls" shards --json | json '[d["files"], d["dropped"]]'
find shards -type f | sort
echo '-- what is there stays, unless asked'
code assay quantize cross int8
assay quantize cross int8 --force --json | json 'd["path"]'
mkdir notes && touch notes/mine
code assay quantize cross notes --force
code assay quantize cross "$ASSAY_MODELS/cross/below"
echo '-- what cannot be done'
code assay quantize int8 again
code assay quantize nowhere again 2>&1 | cut -c1-40
code assay quantize cross
code assay quantize cross /dev/null/x
ls -A
echo '-- interrupted'
python3 - <<'PY'
import json, os, signal, struct, subprocess, time
big = 400_000
golden = os.environ["GOLDEN"] + "/models/cross-f32"
os.mkdir("large")
for name in ("tokenizer.json", "tokenizer_config.json"):
    os.symlink(golden + "/" + name, "large/" + name)
config = json.load(open(golden + "/config.json"))
hidden, rows = config["hidden_size"], config["vocab_size"]
config["vocab_size"] = big
json.dump(config, open("large/config.json", "w"))
data = open(golden + "/model.safetensors", "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
words = header["bert.embeddings.word_embeddings.weight"]
begin, end = words["data_offsets"]
more = (big - rows) * hidden * 4
for tensor in header.values():
    if "data_offsets" in tensor and tensor["data_offsets"][0] >= end:
        tensor["data_offsets"] = [offset + more for offset in tensor["data_offsets"]]
words["shape"][0], words["data_offsets"] = big, [begin, end + more]
text = json.dumps(header).encode()
with open("large/model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data[8 + length:8 + length + end])
    file.seek(more, 1)
    file.write(data[8 + length + end:])
before = sorted(os.listdir("."))
p = subprocess.Popen(["assay", "quantize", "large", "small"], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)
while p.poll() is None and sorted(os.listdir(".")) == before:
    time.sleep(0.001)
p.send_signal(signal.SIGINT)
out, err = p.communicate(timeout=100)
print("exit", p.returncode, out.decode(), err.decode(), end="")
print(sorted(os.listdir(".")) == before)
PY
echo '-- activations that 8 bits do not hold: told, and run at fp32'
python3 - <<'PY'
import json, os, shutil, struct
shutil.copytree(os.environ["GOLDEN"] + "/models/cross-f32", "wild")
data = bytearray(open("wild/model.safetensors", "rb").read())
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
def put(name, at, value):
    begin = 8 + length + header[name]["data_offsets"][0] + 4 * at
    data[begin:begin + 4] = struct.pack("<f", value)
put("bert.encoder.layer.1.intermediate.dense.bias", 7, 10000)
for row in range(36):
    put("bert.encoder.layer.1.output.dense.weight", row * 53 + 7, 0)
open("wild/model.safetensors", "wb").write(data)
PY
assay rerank --model ./wild --query q passage --precision int8 --json | json '[d["precision"], "notice" in d]'
assay rerank --model ./wild --query q passage --precision fp32 --json | json '[d["precision"], "notice" in d]'
assay quantize wild tame --json | json '"notice" in d'
assay info ./wild --precision int8 --json | json '[d["precision"], "notice" in d]'
echo "a passage" >note.txt
assay index note.txt --model none --json | json 'd["added"]'
assay search passage --rerank ./wild --precision int8 --no-cache --json |
    json '[d["pipeline"]["stages"][0]["precision"], "notice" in d["pipeline"]["stages"][0], d["hits"][0]["reranked"]]'
