# `kill -9` at random moments of indexing, catching up and searching: nothing that was
# acknowledged is lost, files are whole or made anew, and the same command goes on.
# $ASSAY_KILL_ROUNDS kills (6 by default), $ASSAY_KILL_SEED says which.
cat >kill.py <<'PY'
import json, os, random, signal, subprocess, sys, time
rounds = int(os.environ.get("ASSAY_KILL_ROUNDS", 6))
chance = random.Random(int(os.environ.get("ASSAY_KILL_SEED", 1)))
documents, number = {}, 0

def run(*words):
    done = subprocess.run(["assay", *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout

def change():
    """Some documents come, some change, some go."""
    global number
    for key in chance.sample(sorted(documents), min(len(documents), 15)):
        if chance.random() < 0.5:
            del documents[key]
        else:
            documents[key] = f"changed {chance.randrange(10**6)} about word{chance.randrange(50)}"
    for _ in range(40 if documents else 500):
        documents[f"d{number}"] = f"Report {number} on word{number % 97} and word{number % 13}"
        number += 1
    with open("all.jsonl", "w") as out:
        for key, text in documents.items():
            out.write(json.dumps({"_id": key, "text": text}) + "\n")

def index_words(kind, codes):
    return ["index", "all.jsonl", "--collection", "c", "--prune", "--word-index", "yes",
            "--index", kind, "--codes", codes]

def expect_all():
    """Everything that was acknowledged is there, and found by vectors and words."""
    info = json.loads(run("info", "--collection", "c", "--json"))
    assert info["documents"] == len(documents), (info["documents"], len(documents))
    key = chance.choice(sorted(documents))
    for way in ("dense", "bm25"):
        found = json.loads(run("search", documents[key], "--collection", "c", "--retriever", way,
                               "--rerank", "none", "--retrieve", "200", "--top", "200", "--json"))
        assert key in [hit["document"] for hit in found["hits"]], (way, key)
    assert run("check") == "Everything is whole.\n"

change()
begun = time.time()
run(*index_words("hnsw", "i8"))
whole = time.time() - begun
killed = 0
for round in range(rounds):
    before = dict(documents)
    change()
    words = index_words(chance.choice(["hnsw", "ivf", "flat"]), chance.choice(["i8", "b1"]))
    process = subprocess.Popen(["assay", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(chance.random() * whole)
    process.send_signal(signal.SIGKILL)
    killed += process.wait() == -signal.SIGKILL
    # What is neither old nor new was lost; a half that was not acknowledged may be there.
    count = json.loads(run("info", "--collection", "c", "--json"))["documents"]
    kept = len(set(before) & set(documents))
    assert count >= kept, (count, kept)
    run("check")
    key = chance.choice(sorted(set(before) & set(documents)))
    run("search", documents[key], "--collection", "c", "--rerank", "none")
    run(*words)
    expect_all()
print("killed some" if killed > 0 or rounds == 0 else "killed none")
left = [name for name in os.listdir(os.environ["ASSAY_HOME"] + "/index") if name.endswith(".new")]
for name in left:
    os.utime(os.environ["ASSAY_HOME"] + "/index/" + name, (10**9, 10**9))
for kind in ("flat", "ivf", "hnsw"):
    change()
    run(*index_words(kind, "b1"))
expect_all()
print(sorted(name for name in os.listdir(os.environ["ASSAY_HOME"] + "/index")))
PY
python3 kill.py
