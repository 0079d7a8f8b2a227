# SPDX-License-Identifier: Apache-2.0
"""The texts that bench/rerank scores, as files of {"query", "passages"} lines.
`data` is a folder of BEIR collections. Everything is seeded: the same data gives
the same pairs."""
import json
import pathlib
import random
import subprocess

CANDIDATES = 50


def records(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def text_of(document):
    return (document.get("title", "") + " " + document["text"]).strip()


def draw(folder, queries=1, passages=50, seed=7):
    """Questions with passages drawn at random: their lengths are the collection's."""
    corpus, asked = records(f"{folder}/corpus.jsonl"), records(f"{folder}/queries.jsonl")
    source = random.Random(seed)
    return [{"query": query["text"],
             "passages": [text_of(d) for d in source.sample(corpus, passages)]}
            for query in source.sample(asked, queries)]


def equal(folder, model, passages=50, tokens=128):
    """Pairs of exactly so many tokens: passages cut, and filled with full stops."""
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    job = draw(folder, 1, 2 * passages)[0]
    query, found = job["query"], []
    for text in (f"{a} {b}" for a, b in zip(job["passages"][::2], job["passages"][1::2])):
        words = text.split()
        while len(tokenizer.encode(query, " ".join(words))) > tokens:
            words.pop()
        missing = tokens - len(tokenizer.encode(query, " ".join(words)))
        found.append(" ".join(words + ["."] * missing))
        assert len(tokenizer.encode(query, found[-1])) == tokens
    return [{"query": query, "passages": found}]


def qrels(folder, split="test"):
    """{query: {document: gain}}"""
    found = {}
    with open(f"{folder}/qrels/{split}.tsv", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            query, document, gain = line.split()
            found.setdefault(query, {})[document] = int(gain)
    return found


def judged(folder, assay, work, queries):
    """Judged test questions with the first candidates of BM25, and their ids."""
    run = pathlib.Path(work, f"{pathlib.Path(folder).name}-{queries}.run")
    if not run.exists():
        subprocess.run([assay, "eval", folder, "--model", "none", "--split", "test", "--retriever", "bm25", "--limit",
                        str(queries), "--home", f"{work}/home", "--output", str(run)],
                       check=True, stdout=subprocess.DEVNULL)
    texts = {d["_id"]: text_of(d) for d in records(f"{folder}/corpus.jsonl")}
    asked = {q["_id"]: q["text"] for q in records(f"{folder}/queries.jsonl")}
    found = {}
    for line in run.read_text(encoding="utf-8").splitlines():
        query, _, document, *_ = line.split()
        found.setdefault(query, []).append(document)
    return [{"id": q, "query": asked[q], "documents": documents[:CANDIDATES],
             "passages": [texts[d] for d in documents[:CANDIDATES]]} for q, documents in found.items()]


def calibration(folder, taken, questions=40, passages=3):
    """Training questions with relevant and other passages, none of them in `taken`."""
    texts = {d["_id"]: text_of(d) for d in records(f"{folder}/corpus.jsonl")}
    asked = {q["_id"]: q["text"] for q in records(f"{folder}/queries.jsonl")}
    source, relevant = random.Random(11), qrels(folder, "train")
    free = [t for t in texts.values() if t not in taken]
    found = []
    for query in source.sample(sorted(relevant), questions):
        answers = [texts[d] for d in relevant[query] if texts[d] not in taken]
        found.append({"query": asked[query], "passages": answers + source.sample(free, passages)})
    return found


def write(path, jobs):
    path.write_text("".join(json.dumps(job) + "\n" for job in jobs), encoding="utf-8")


def make_all(data, model, work, assay, questions, timed):
    """{name: path}: what is timed, what rankings are compared on, what calibrates."""
    nq, scifact = f"{data}/nq_qed", f"{data}/scifact"
    jobs = {"nq50": draw(nq), "scifact50": draw(scifact), "nq100": draw(nq, 1, 100), "nq20": draw(nq, 1, 20)}
    if "equal128" in timed:
        jobs["equal128"] = equal(nq, model)
    jobs["five"] = [dict(jobs["nq50"][0], passages=jobs["nq50"][0]["passages"][:5])]
    for folder in (nq, scifact):
        name, most = pathlib.Path(folder).name, max(questions)
        everything = judged(folder, assay, work, most)
        for count in questions:
            jobs[f"{name}-{count}"] = everything[:count]
    taken = {p for of in jobs.values() for job in of for p in job["passages"]}
    jobs["calibration"] = calibration(nq, taken)
    long = draw(nq, 1, 1000)[0]
    for count in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        jobs[f"first{count}"] = [dict(long, passages=long["passages"][:count])]
    paths = {name: pathlib.Path(work, f"{name}.jsonl") for name in jobs}
    for name, path in paths.items():
        write(path, jobs[name])
    return paths
