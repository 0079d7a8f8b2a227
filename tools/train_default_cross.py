#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the default cross-encoder: how models/cross began, from the data to fp32 weights.

Usage: tools/train_default_cross.py DATA STARTER BGE WORK [--build build]

DATA holds BEIR collections (nq_qed, selqa, medquad, of which training splits are read).
STARTER is the cross-encoder to go on from, BGE bge-small-en-v1.5 (MIT) in Hugging Face
layout, a teacher. Everything goes to WORK; what is there already is not made again.
tools/distil_default_cross.py goes on from WORK/cross; tools/make_default_models.py makes the
int8 folder of what that leaves.

First part: questions of nq_qed and selqa, and sentences taken out of nq_qed's passages
("claims"), each with its passage and mined negatives; listwise loss.
Second part: the same kinds and medquad's questions and claims, lists of a relevant passage
and seven others, with the scores of three teachers that see the words (BM25) and the
meaning (bge-small, all-MiniLM-L6-v2): each standardised over the lists of a source, summed
in equal shares, one scale a source fitted so that their softmax fits the relevant passage.
The cross-encoder learns that distribution, and the judgment beside it.
At last the weights of starter, first and second part are averaged (Wortsman et al. 2022,
"Model soups"): on claims, which none of them was trained on, that beat the last alone.

Needs numpy and safetensors. The defaults were made on two busy cores, in about two hours of
both; a run of this script was checked to make the same lists of the second part."""
import argparse
import collections
import json
import math
import os
import pathlib
import random
import re
import shutil
import subprocess

import numpy as np
from safetensors.numpy import load_file, save_file

PASSAGE_WORDS = 115  # of what teachers and student are shown in the second part
LIST = 7  # passages beside the relevant one
BGE_PROMPT = "Represent this sentence for searching relevant passages: "
WORD = re.compile(r"\w+")


def read_jsonl(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_jsonl(path, objects):
    path.write_text("".join(json.dumps(o) + "\n" for o in objects), encoding="utf-8")


def write_qrels(path, pairs):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{query}\t{document}\t1\n" for query, document in pairs)
    path.write_text("query-id\tcorpus-id\tscore\n" + rows)


# ---------------------------------------------------------------- claims


def claims(corpus, count, seed):
    """One sentence of a passage each, that stands in it once: {_id, text}, and its document."""
    rng = random.Random(seed)
    documents = read_jsonl(corpus)
    rng.shuffle(documents)
    queries, qrels, seen = [], [], set()
    for document in documents:
        sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", document["text"])
        good = [s for s in sentences
                if 8 <= len(s.split()) <= 32 and s.endswith(".")
                and sum(c.isalpha() for c in s) > 0.7 * len(s)]
        if len(sentences) < 3 or not good:
            continue
        sentence = rng.choice(good)
        if sentence in seen or document["text"].count(sentence) != 1:
            continue
        seen.add(sentence)
        qrels.append((f"c{len(queries)}", document["_id"]))
        queries.append({"_id": f"c{len(queries)}", "text": sentence})
        if len(queries) == count:
            break
    return queries, qrels


def without_sentence(line, rng):
    """A mined claim whose passages no longer hold it; half of the claims lose their full stop."""
    sentence = line["query"]
    for passage in line["positives"]:
        passage["text"] = " ".join(passage["text"].replace(sentence, " ").split())
    line["positives"] = [p for p in line["positives"] if len(p["text"].split()) >= 12]
    if rng.random() < 0.5:
        line["query"] = sentence.rstrip(" .")
    return line


# ---------------------------------------------------------------- the first part


class Workshop:
    def __init__(self, options):
        self.data, self.work, self.build = options.data, options.work, options.build
        self.starter, self.bge = options.starter, options.bge
        self.work.mkdir(parents=True, exist_ok=True)
        os.environ["ASSAY_HOME"] = str(self.work / "home")

    def assay(self, *arguments, **keywords):
        subprocess.run([self.build / "assay", *map(str, arguments)], check=True, **keywords)

    def mine(self, name, *arguments):
        out = self.work / f"{name}.jsonl"
        if not out.exists():
            self.assay("mine", *arguments, "--output", out, "--negatives", 12, "--random", 3)
        return out

    def write_claims(self, source, count, seed):
        """The claims of a collection as a BEIR folder beside its corpus."""
        folder = self.work / f"claims_{source}"
        if not (folder / "qrels/test.tsv").exists():
            queries, qrels = claims(self.data / source / "corpus.jsonl", count, seed)
            folder.mkdir(exist_ok=True)
            (folder / "corpus.jsonl").symlink_to((self.data / source / "corpus.jsonl").resolve())
            write_jsonl(folder / "queries.jsonl", queries)
            write_qrels(folder / "qrels/test.tsv", qrels)
        return folder

    def mined(self):
        folder = self.write_claims("nq_qed", 5000, 1)
        return {
            "nq": self.mine("nq", self.data / "nq_qed", "--split", "train"),
            "selqa": self.mine("selqa", self.data / "selqa", "--split", "train"),
            "claims_nq": self.mine("claims_nq", "--collection", "nq_qed",
                                   "--queries", folder / "queries.jsonl",
                                   "--qrels", folder / "qrels/test.tsv"),
        }

    def first_part(self, mined):
        mix, rng = self.work / "mix.jsonl", random.Random(5)
        if not mix.exists():
            lines = []
            for name, path in mined.items():
                for line in read_jsonl(path):
                    if name.startswith("claims"):
                        line = without_sentence(line, rng)
                    if line["positives"] and line["negatives"]:
                        lines.append(line)
            rng.shuffle(lines)
            write_jsonl(mix, lines)
        if not (self.work / "first").exists():
            self.assay("train", "cross", "--data", mix, "--dev-share", 0.02, "--model",
                       self.starter, "--out", self.work / "first", "--negatives", 6,
                       "--max-tokens", 224, "--rate", 6e-5, "--steps", 376, "--evaluations", 6,
                       "--patience", 0, "--seed", 1)

    # ------------------------------------------------------------ the second part

    def mined_lists(self, path, count, rng):
        """Of each line one relevant passage, six hard negatives and a random one."""
        lists = []
        for line in read_jsonl(path):
            if path.stem.startswith("claims"):
                line = without_sentence(line, rng)
            if not line["positives"] or len(line["negatives"]) < LIST:
                continue
            hard, others = line["negatives"][:-2], line["negatives"][-2:]
            rng.shuffle(hard)
            line["negatives"] = hard[: LIST - 1] + [rng.choice(others)]
            line["positives"] = line["positives"][:1]
            lists.append(line)
        rng.shuffle(lists)
        return lists[:count]

    def run(self, folder, name):
        """The first 40 of hybrid retrieval for each query of a BEIR folder over medquad."""
        path = self.work / f"{name}.run"
        if not path.exists():
            self.assay("eval", folder, "--collection", "medquad", "--retriever", "hybrid",
                       "--retrieve", 40, "--output", path)
        found = collections.defaultdict(list)
        for line in path.read_text().splitlines():
            query, _, document, *_ = line.split()
            found[query].append(document)
        return found

    def medical_questions(self):
        folder = self.work / "medical"
        if not folder.exists():
            rows = (self.data / "medquad/qrels/train.tsv").read_text().splitlines()[1:]
            random.Random(7).shuffle(rows)
            folder.mkdir()
            for name in ("corpus.jsonl", "queries.jsonl"):
                (folder / name).symlink_to((self.data / "medquad" / name).resolve())
            write_qrels(folder / "qrels/test.tsv", [row.split("\t")[:2] for row in rows[:1000]])
        return folder

    def medical_lists(self):
        """Documents are long: of a claim's own, what stands around it; of others, the beginning.
        Nothing is dropped as a likely false negative: the teachers' scores say how near it is."""
        rng, lists = random.Random(13), {}
        documents = {d["_id"]: d for d in read_jsonl(self.data / "medquad/corpus.jsonl")}
        ids = list(documents)

        def passage(document, words, grade=0):
            return {"id": document, "title": documents[document].get("title", ""),
                    "text": " ".join(words), "grade": grade}

        claimed = self.write_claims("medquad", 4000, 2)
        for folder, count, is_claim in ((claimed, 3000, True),
                                        (self.medical_questions(), 700, False)):
            found = self.run(folder, folder.name)
            text = {q["_id"]: q["text"] for q in read_jsonl(folder / "queries.jsonl")}
            judged = collections.defaultdict(list)
            for row in (folder / "qrels/test.tsv").read_text().splitlines()[1:]:
                query, document, _ = row.split("\t")
                judged[query].append(document)
            keys, taken = sorted(judged), []
            rng.shuffle(keys)
            for key in keys:
                query, own = text[key], judged[key][0]
                words = documents[own]["text"].split()[:PASSAGE_WORDS]
                if is_claim:
                    before, after = documents[own]["text"].split(query)
                    before = before.split()[-rng.randint(20, 90):]
                    words = before + after.split()[: PASSAGE_WORDS - len(before)]
                    if len(words) < 20:
                        continue
                    query = query.rstrip(" .") if rng.random() < 0.5 else query
                others = [d for d in found[key][:30] if d not in judged[key]]
                rng.shuffle(others)
                if len(others) < LIST - 1:
                    continue
                negatives = others[: LIST - 1] + [rng.choice(ids)]
                taken.append({"query_id": f"{folder.name}-{key}", "query": query,
                              "positives": [passage(own, words, 1)],
                              "negatives": [passage(d, documents[d]["text"].split()[:PASSAGE_WORDS])
                                            for d in negatives]})
                if len(taken) == count:
                    break
            lists[folder.name] = taken
        return lists

    def vectors(self, name, model, texts):
        """The vectors of a set of texts by one of the teachers, kept in a file."""
        path = self.work / f"{name}.vectors.npy"
        texts = sorted(texts, key=lambda text: (len(text), text))
        if not path.exists():
            out = subprocess.run([self.build / "assay", "embed", "--model", model, "--precision",
                                  "int8", "--json"], input="\n".join(texts) + "\n", text=True,
                                 stdout=subprocess.PIPE, check=True).stdout
            np.save(path, np.array(json.loads(out)["embeddings"], dtype=np.float32))
        return dict(zip(texts, np.load(path)))

    def teach(self, name, sources):
        """Writes the teachers' score beside each passage of the lists of some sources."""
        lists = [line for of_source in sources.values() for line in of_source]
        queries = {line["query"] for line in lists}
        passages = {shown(p) for line in lists for p in line["positives"] + line["negatives"]}
        dense = self.vectors(f"{name}.p.dense", "dense", passages)
        asked = self.vectors(f"{name}.q.dense", "dense", queries)
        bge = self.vectors(f"{name}.p.bge", self.bge, passages)
        prompted = self.vectors(f"{name}.q.bge", self.bge, {BGE_PROMPT + q for q in queries})
        words = bm25(passages)

        def scores(query, passage):
            text = shown(passage)
            return [bge[text] @ prompted[BGE_PROMPT + query], dense[text] @ asked[query],
                    words(query, text)]

        for source, of_source in sources.items():
            all_scores = np.array([[scores(line["query"], p)
                                    for p in line["positives"] + line["negatives"]]
                                   for line in of_source])
            all_scores -= all_scores.mean(axis=1, keepdims=True)
            all_scores /= all_scores.std(axis=(0, 1), keepdims=True)
            fused = all_scores.mean(axis=2)
            scale = min((n / 4 for n in range(1, 60)), key=lambda s: cross_entropy(s * fused))
            print(f"{source}: {len(of_source)} lists, the relevant passage first in "
                  f"{(fused.argmax(axis=1) == 0).mean():.3f}, scale {scale}")
            for line, row in zip(of_source, scale * fused):
                for passage, score in zip(line["positives"] + line["negatives"], row):
                    passage["score"] = round(float(score), 3)
        return lists

    def lists_from_mined(self, mined):
        rng = random.Random(11)
        return {name: self.mined_lists(mined[name], count, rng)
                for name, count in (("nq", 4500), ("claims_nq", 3000), ("selqa", 1200))}

    def second_part(self, mined):
        taught = self.work / "distil.jsonl"
        if not taught.exists():
            lines = self.teach("wikipedia", self.lists_from_mined(mined))
            lines += self.teach("medquad", self.medical_lists())
            random.Random(3).shuffle(lines)
            write_jsonl(taught, lines)
        self.assay("train", "cross", "--data", taught, "--distil", "--labels", 0.4, "--dev-share",
                   0.02, "--model", self.work / "first", "--out", self.work / "second",
                   "--negatives", 5, "--max-tokens", 192, "--rate", 6e-5, "--steps", 1000,
                   "--evaluations", 5, "--patience", 0, "--seed", 2)

    def average(self):
        """Positions and token types were frozen, and stay float16 as the starter has them."""
        parts = [load_file(folder / "model.safetensors")
                 for folder in (self.starter, self.work / "first", self.work / "second")]
        shutil.copytree(self.work / "second", self.work / "cross", dirs_exist_ok=True)
        means = {name: np.mean([part[name].astype(np.float64) for part in parts], axis=0)
                 for name in parts[0]}
        save_file({name: mean.astype(np.float16 if "position" in name or "token_type" in name
                                     else np.float32) for name, mean in means.items()},
                  self.work / "cross/model.safetensors", metadata={"format": "pt"})


def shown(passage):
    title = passage["title"] + ". " if passage.get("title") else ""
    return " ".join((title + passage["text"]).split()[:PASSAGE_WORDS])


def bm25(passages, k1=1.2, b=0.75):
    """Scores by the statistics of these passages."""
    counts = {text: collections.Counter(WORD.findall(text.lower())) for text in passages}
    length = {text: sum(count.values()) for text, count in counts.items()}
    documents = collections.Counter(word for count in counts.values() for word in count)
    mean = sum(length.values()) / len(length)

    def score(query, text):
        count, long = counts[text], k1 * (1 - b + b * length[text] / mean)
        return sum(math.log(1 + (len(counts) - documents[w] + 0.5) / (documents[w] + 0.5))
                   * count[w] * (k1 + 1) / (count[w] + long)
                   for w in set(WORD.findall(query.lower())) if w in count)

    return score


def cross_entropy(logits):
    """Of the first in each row."""
    most = logits.max(axis=1, keepdims=True)
    return float((np.log(np.exp(logits - most).sum(axis=1)) + most[:, 0] - logits[:, 0]).mean())


def parser_of(description, folders):
    """What the command line of each part of the recipe has."""
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in folders:
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[1] / "build")
    return parser


def main():
    parser = parser_of(__doc__, ("data", "starter", "bge", "work"))
    workshop = Workshop(parser.parse_args())
    workshop.assay("index", workshop.data / "nq_qed", "--collection", "nq_qed")
    workshop.assay("index", workshop.data / "medquad", "--collection", "medquad")
    mined = workshop.mined()
    workshop.first_part(mined)
    workshop.second_part(mined)
    workshop.average()


if __name__ == "__main__":
    main()
