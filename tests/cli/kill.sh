# `kill -9` at random moments of indexing, catching up, changing the codes, and of a search that
# makes the indexes anew: nothing that was acknowledged is lost, files are whole or made anew, and
# the same command goes on. Half of the kills wait until a file is being written aside.
# $ASSAY_KILL_ROUNDS kills (20 by default), $ASSAY_KILL_SEED says which; $ASSAY_KILL_REPORT is a
# file that gets what was killed.
cat >kill.py <<'PY'
import collections, json, os, random, signal, subprocess, sys, time
rounds = int(os.environ.get("ASSAY_KILL_ROUNDS", 20))
chance = random.Random(int(os.environ.get("ASSAY_KILL_SEED", 1)))
folder = os.environ["ASSAY_HOME"] + "/index"
documents, number = {}, 0
left, took, report = set(), {}, collections.Counter()

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

def search_words(key, *more):
    return ["search", documents[key], "--collection", "c", "--rerank", "none", "--retrieve", "200",
            "--top", "200", "--json", *more]

def expect_found(keys):
    """One of these is found, by vectors and by words."""
    key = chance.choice(sorted(keys))
    for way in ("dense", "bm25"):
        found = json.loads(run(*search_words(key, "--retriever", way)))
        assert key in [hit["document"] for hit in found["hits"]], (way, key)

def count_documents():
    return json.loads(run("info", "--collection", "c", "--json"))["documents"]

def expect_all():
    """Everything that was acknowledged is there, and nothing else."""
    assert count_documents() == len(documents), (count_documents(), len(documents))
    expect_found(documents)
    assert run("check") == "Everything is whole.\n"

def remove_indexes():
    for name in files():
        if not name.endswith(".json"):
            os.unlink(f"{folder}/{name}")

def begin(action):
    """What is going to be killed, and how to do it again."""
    kind, codes = chance.choice(["hnsw", "ivf", "flat"]), chance.choice(["i8", "b1", "f32"])
    if action == "index":
        change()
    if action != "search":
        return index_words(kind, codes)
    remove_indexes()
    return search_words(chance.choice(sorted(documents)))

def files():
    return set(os.listdir(folder)) if os.path.isdir(folder) else set()

def writing():
    return any(".new" in name for name in files() - left)

def kill_somewhere(words, longest):
    """Whether it still ran, and whether it was writing a file."""
    process = subprocess.Popen(["assay", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    aimed = chance.random() < 0.5
    if aimed:
        while process.poll() is None and not writing():
            pass
        time.sleep(chance.random() * 0.002)
    else:
        time.sleep(chance.random() * longest)
    wrote = writing()
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL, wrote

change()
words = index_words("hnsw", "i8")
report["first index", "else"] += rounds > 0 and kill_somewhere(words, 0.3)[0]
begun = time.time()
run(*words)
whole = time.time() - begun
for round in range(rounds - 1):
    before, left = dict(documents), files()
    action = chance.choice(["index", "index", "codes", "search"])
    words = begin(action)
    killed, wrote = kill_somewhere(words, took.get(action, whole))
    report[action, "file" if wrote else "else"] += killed
    # What is neither old nor new was lost; a half that was not acknowledged may be there.
    kept = [key for key in before if documents.get(key) == before[key]]
    assert len(set(before) & set(documents)) <= count_documents() <= len(set(before) | set(documents))
    run("check")
    expect_found(kept)
    begun = time.time()
    if action == "search":
        remove_indexes()
    run(*words)
    took[action] = time.time() - begun
    expect_all()
print("killed some" if sum(report.values()) > 0 or rounds == 0 else "killed none")
if "ASSAY_KILL_REPORT" in os.environ:
    with open(os.environ["ASSAY_KILL_REPORT"], "w") as out:
        for (action, what), count in sorted(report.items()):
            out.write(f"{action}, {'a file half written' if what == 'file' else 'elsewhere'}: {count}\n")
for name in files():
    if ".new" in name:
        os.utime(f"{folder}/{name}", (10**9, 10**9))
for kind in ("flat", "ivf", "hnsw"):
    change()
    run(*index_words(kind, "b1"))
expect_all()
print(sorted(files()))
PY
python3 kill.py
