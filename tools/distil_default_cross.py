#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Teaches the default cross-encoder the order in which BM25 and three bi-encoders rank
together: the second part of how models/cross came to be, behind tools/train_default_cross.py.

Usage: tools/distil_default_cross.py DATA TEXTS STARTER BGE E5 WORK [--threads 1] [--build build]

DATA holds BEIR collections: nq_qed, selqa, medquad, of which training splits are asked, and
scifact, of whose training claims some choose what is kept; its documents, and those of
cranfield and cisi, are read to leave out what is like them. TEXTS holds collections of
keyphrase extraction (Inspec, SemEval2010 and others, each with docsutf8/*.txt) and
pqal.json, the judged questions of PubMedQA. STARTER is the cross-encoder to go on from in
fp32, BGE and E5 are bge-small-en-v1.5 and e5-small-v2 (MIT), the third teacher is `dense`.
Everything goes to WORK; what is there already is not made again.
tools/distil_long_passages.py goes on from WORK/cross.

A query is a judged question or what was taken out of its passage: a sentence, two or three
(up to 64 words), a title, a few words. Each query stands before eight passages out of all:
its own, five spread over the first 40 that the teachers find, one that BM25 finds, one by
chance. A teacher's scores are standardised over the first 50 of all teachers; BM25 counts
1, the bi-encoders' sum 1.2. No query is shown twice.

At last 0.4 of the weights after the last step are added to 0.6 of the mean of the starter's
and of those that were the best so far when they were evaluated. The default was made by one
thread. Its training was planned for 2,320 steps and cut to 1,500 at step 786, from where the
rate fell faster; the best on the way were those of steps 387 and 1,161. A run of this script
was checked to make the same passages and queries.

Needs numpy, scipy and safetensors."""
import collections
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import scipy.sparse as sparse
from safetensors.numpy import load_file, save_file

from train_default_cross import cross_entropy, parser_of, read_jsonl

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")
WORD = re.compile(r"[a-z0-9]+")
STOP = set("a an and are as at be but by for if in into is it no not of on or such that the "
           "their then there these they this to was will with".split())
SMALL = set("a an the of in on for to and or is are was were be been by with as at from that this "
            "these those it its which who whom whose not but also has have had can could may might "
            "will would do does did their they he she his her we our you your i than then there "
            "such into about between during after before over under more most other some any no if "
            "when where while however being both each".split())
ENDINGS = ("ations ation ingly ings ing ments ment ness ities ity ies ied edly ed ers er es s ly "
           "al ic e y").split()
ABSTRACTS = ("Inspec", "kdd", "www", "SemEval2017")
PAPERS = {"SemEval2010": 14, "Nguyen2007": 12, "citeulike180": 16, "500N-KPCrowd-v1.1": 3,
          "theses100": 10, "fao30": 12, "wiki20": 20}  # pieces of each document, at most
TAKEN_OUT = {"nq": 2600, "sel": 1500, "med": 3600, "abs": 4200, "pap": 4800}  # at most
PROMPTS = {"dense": ("", ""), "e5": ("query: ", "passage: "),
           "bge": ("Represent this sentence for searching relevant passages: ", "")}
LIST = 8


def read_qrels(path):
    judged = collections.defaultdict(list)
    for row in path.read_text().splitlines()[1:]:
        query, document, grade = row.split("\t")
        if int(grade) > 0:
            judged[query].append(document)
    return judged


def one_line(text):
    return " ".join(text.split())


def words(text):
    return len(text.split())


def letters(text):
    return sum(c.isalpha() for c in text) / max(len(text), 1)


# ---------------------------------------------------------------- passages


def pieces(sentences, least, most, rng):
    """Consecutive sentences, about as many words as drawn; a short end is left out."""
    out, piece, count, limit = [], [], 0, rng.randint(least, most)
    for sentence in sentences:
        if words(sentence) > limit:
            sentence = " ".join(sentence.split()[:limit])
        if piece and count + words(sentence) > limit:
            out.append(piece)
            piece, count, limit = [], 0, rng.randint(least, most)
        piece.append(sentence)
        count += words(sentence)
    return out + [piece] * (count >= 25)


def beginning(sentences, limit):
    out, count = [], 0
    for sentence in sentences:
        if out and count + words(sentence) > limit:
            break
        out.append(" ".join(sentence.split()[:limit]))
        count += words(sentence)
    return out


def prose(sentences):
    text = " ".join(sentences)
    lower = sum(c.islower() for c in text)
    return lower > 0.72 * len(text) and words(text) >= 30 and "@" not in text


def flow(text):
    """A text whose lines were broken, within words, too."""
    return one_line(re.sub(r"-\n\s*(?=[a-z])", "", text))


def sentences_of_paper(text):
    """Those that are prose, up to its references."""
    end = re.search(r"\bREFERENCES\b|\nReferences\b", text)
    if end and end.start() > len(text) / 2:
        text = text[:end.start()]
    return [s for s in SENTENCE.split(flow(text))
            if 4 <= words(s) <= 60 and letters(s) > 0.72 and s[0].isalpha()]


def runs(text):
    """Each eight words that follow each other."""
    found = re.findall(r"\w+", text.lower())
    return {" ".join(found[i:i + 8]) for i in range(len(found) - 7)}


def runs_of_test_collections(data):
    documents = [d for name in ("scifact", "cranfield", "cisi")
                 for d in read_jsonl(data / name / "corpus.jsonl")]
    return set().union(*(runs(d["title"] + " " + d["text"]) for d in documents))


class Texts:
    """Passages {source, title, sentences}, the queries of them, and which are left out."""

    def __init__(self, data, texts):
        self.data, self.texts, self.rng = data, texts, random.Random(88)
        self.passages, self.of, self.queries = [], collections.defaultdict(list), []
        self.wikipedia()
        self.sections()
        self.medical()
        self.science()
        self.left_out = self.like_test_collections()
        self.asked = set()
        self.judged()
        self.taken_out()

    def add(self, source, title, sentences, documents=()):
        self.passages.append({"source": source, "title": title, "sentences": sentences})
        for document in documents:
            self.of[source, document].append(len(self.passages) - 1)
        return len(self.passages) - 1

    def wikipedia(self):
        for d in read_jsonl(self.data / "nq_qed/corpus.jsonl"):
            self.add("nq", d["title"], beginning(SENTENCE.split(one_line(d["text"])), 125),
                     [d["_id"]])

    def sections(self):
        """selqa's documents are sentences; those of a title follow each other."""
        sections = []
        for d in read_jsonl(self.data / "selqa/corpus.jsonl"):
            if not sections or sections[-1][0]["title"] != d["title"]:
                sections.append([])
            sections[-1].append(d)
        for section in sections:
            piece, ids, count, limit = [], [], 0, self.rng.randint(60, 120)
            for d in section:
                sentence = one_line(d["text"])
                if piece and count + words(sentence) > limit:
                    self.add("sel", d["title"], piece, ids)
                    piece, ids, count, limit = [], [], 0, self.rng.randint(60, 120)
                piece.append(" ".join(sentence.split()[:110]))
                ids.append(d["_id"])
                count += words(sentence)
            self.add("sel", section[0]["title"], piece, ids)

    def medical(self):
        documents, seen, start = read_jsonl(self.data / "medquad/corpus.jsonl"), set(), None
        self.rng.shuffle(documents)
        start = len(self.passages)
        for d in documents:
            if len(self.passages) - start >= 7000:
                break
            found = pieces(SENTENCE.split(one_line(d["text"])), 50, 130, self.rng)
            if not found:
                continue
            more = self.rng.sample(found[1:], min(1, len(found) - 1))
            for n, piece in enumerate([found[0]] + more):
                key = " ".join(piece)[:120]
                if key not in seen:
                    seen.add(key)
                    titled = n == 0 or self.rng.random() < 0.5
                    self.add("med", d["title"] if titled else "", piece, [d["_id"]] * (n == 0))

    def science(self):
        def files(name):
            for path in sorted((self.texts / name / "docsutf8").iterdir()):
                yield path.read_text(encoding="utf-8", errors="ignore")

        for name in ABSTRACTS:
            for text in files(name):
                title = ""
                if name == "Inspec":  # its title is the first line and what is indented below
                    lines, n = text.split("\n"), 1
                    while n < len(lines) and lines[n].startswith("\t") and \
                            len(" ".join(lines[:n])) < 60:
                        n += 1
                    title, text = one_line(" ".join(lines[:n])), "\n".join(lines[n:])
                text = flow(text)
                piece = beginning(SENTENCE.split(text), self.rng.randint(110, 175))
                if "No contact information" not in text and prose(piece):
                    self.add("abs", title, piece)
        for name, most in PAPERS.items():
            for text in files(name):
                found = [p for p in pieces(sentences_of_paper(text), 60, 140, self.rng)
                         if prose(p)]
                for piece in self.rng.sample(found, min(most, len(found))):
                    self.add("pap", "", piece)
        self.pubmed = []
        for entry in json.loads((self.texts / "pqal.json").read_text()).values():
            sentences = SENTENCE.split(one_line(" ".join(entry["CONTEXTS"])))
            passage = self.add("abs", "", beginning(sentences, self.rng.randint(110, 175)))
            self.pubmed.append((passage, entry["QUESTION"], entry["LONG_ANSWER"]))

    def like_test_collections(self):
        """Passages with six runs of eight words or more of a document to be tested on."""
        test = runs_of_test_collections(self.data)
        return {n for n, p in enumerate(self.passages)
                if len(runs(" ".join(p["sentences"])) & test) >= 6}

    # ------------------------------------------------------------ queries

    def ask(self, text, passage, kind):
        if passage not in self.left_out:
            self.queries.append({"text": one_line(text), "passage": passage, "kind": kind,
                                 "source": self.passages[passage]["source"]})
            self.asked.add(passage)

    def judged(self):
        def of(name):
            text = {q["_id"]: q["text"] for q in read_jsonl(self.data / name / "queries.jsonl")}
            return text, read_qrels(self.data / name / "qrels/train.tsv")

        text, judged = of("nq_qed")
        keys = sorted(judged)
        random.Random(4).shuffle(keys)
        for key in keys[150:4650]:  # the first were kept to look at
            self.ask(text[key], self.of["nq", judged[key][0]][0], "judged")
        text, judged = of("selqa")
        for key in sorted(judged):
            self.ask(text[key], self.of["sel", judged[key][0]][0], "judged")
        text, judged = of("medquad")
        keys, count = sorted(judged), 0
        self.rng.shuffle(keys)
        for key in keys[60:]:
            own = [p for d in judged[key] for p in self.of.get(("med", d), [])]
            if own and count < 1500:
                self.ask(text[key], own[0], "judged")
                count += 1
        for passage, question, answer in self.pubmed:
            self.ask(question, passage, "judged")
            if words(answer) >= 6:
                self.ask(" ".join(SENTENCE.split(answer)[0].split()[:60]), passage, "own")

    def taken_out(self):
        order, count = list(range(len(self.passages))), collections.Counter()
        self.rng.shuffle(order)
        for n in order:
            source = self.passages[n]["source"]
            if n in self.left_out or (n in self.asked and source != "abs") or \
                    count[source] >= TAKEN_OUT[source]:
                continue
            query = self.take_out(self.passages[n])
            if query:
                self.ask(query, n, "own")
                count[source] += 1

    def take_out(self, passage):
        """A query out of a passage that no longer holds it; None if too little would remain."""
        rng, sentences, chance = self.rng, passage["sentences"], self.rng.random()
        if passage["title"] and passage["source"] == "abs" and chance < 0.5:
            title, passage["title"] = passage["title"], ""
            return title
        if len(sentences) < 3:
            return None
        total = sum(map(words, sentences))
        if chance > 0.8:
            count, at = rng.choice((2, 2, 3)), rng.randrange(len(sentences) - 1)
            query = " ".join(sentences[at:at + count])
            if not 20 <= words(query) <= 64 or total - words(query) < 30 or letters(query) < 0.72:
                return None
            passage["sentences"] = sentences[:at] + sentences[at + count:]
            return query
        fit = [n for n, s in enumerate(sentences)
               if 7 <= words(s) <= 34 and letters(s) > 0.72 and s[0].isalpha()
               and total - words(s) >= 25]
        if not fit:
            return None
        at = rng.choice(fit)
        query = sentences[at]
        passage["sentences"] = sentences[:at] + sentences[at + 1:]
        if chance < 0.08:
            left = [w.strip(".,;:()\"'") for w in query.split()]
            left = [w for w in left if w.lower() not in SMALL and len(w) > 1]
            start = rng.randint(0, max(0, len(left) - 4))
            query = " ".join(left[start:start + rng.randint(3, 8)])
            return query if words(query) > 1 else None
        return query.rstrip(" .") if rng.random() < 0.5 else query


def shown(passage):
    title, text = passage["title"], " ".join(passage["sentences"])
    if title and not text.lower().startswith(title.lower()):
        text = title + ("" if title[-1] in ".?!:" else ".") + " " + text
    return one_line(text)


# ---------------------------------------------------------------- teachers


def stem(word):
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[:-len(ending)]
    return word


def bm25(passages, queries, k1=0.9, b=0.4):
    """Two sparse matrices whose product has the scores."""
    vocabulary, stems = {}, {}

    def counts(texts, grow):
        rows, columns, values = [], [], []
        for n, text in enumerate(texts):
            found = collections.Counter(stems.setdefault(w, stem(w)) for w
                                        in WORD.findall(text.lower()) if w not in STOP)
            for word, count in found.items():
                if grow:
                    vocabulary.setdefault(word, len(vocabulary))
                if word in vocabulary:
                    rows.append(n)
                    columns.append(vocabulary[word])
                    values.append(count if grow else 1)
        return sparse.csr_matrix((np.array(values, np.float32), (rows, columns)),
                                 shape=(len(texts), len(vocabulary)))

    of_passages = counts(passages, True)
    frequency = np.asarray((of_passages > 0).sum(0)).ravel()
    length = np.asarray(of_passages.sum(1)).ravel()
    m = of_passages.tocoo()
    size = k1 * (1 - b + b * length[m.row] / length.mean())
    rarity = np.log(1 + (len(passages) - frequency[m.col] + 0.5) / (frequency[m.col] + 0.5))
    m.data = rarity * m.data * (k1 + 1) / (m.data + size)
    return counts(queries, False), m.T.tocsr()


def z(scores):
    deviation = scores.std()
    return (scores - scores.mean()) / (deviation if deviation > 0 else 1)


class Workshop:
    def __init__(self, options):
        self.o, self.work = options, options.work
        self.work.mkdir(parents=True, exist_ok=True)

    def vectors(self, name, model, side, texts):
        path = self.work / f"{name}.{side}.npy"
        if not path.exists():
            prompt, out = PROMPTS[name][side == "passages"], np.zeros((len(texts), 384), np.float32)
            order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
            for start in range(0, len(order), 6000):
                part = order[start:start + 6000]
                answer = subprocess.run(
                    [self.o.build / "assay", "embed", "--model", model, "--precision", "int8",
                     "--threads", str(self.o.threads), "--json"], text=True, check=True,
                    input="".join(prompt + texts[n] + "\n" for n in part),
                    stdout=subprocess.PIPE).stdout
                out[part] = json.loads(answer)["embeddings"]
            np.save(path, out)
        return np.load(path)

    def lists(self, texts):
        """Each query with eight passages and what the teachers make of them."""
        rng, passages = random.Random(99), [shown(p) for p in texts.passages]
        queries = [q["text"] for q in texts.queries]
        by_words = bm25(passages, queries)
        by_meaning = [(self.vectors(name, model, "queries", queries),
                       self.vectors(name, model, "passages", passages))
                      for name, model in (("dense", "dense"), ("bge", self.o.bge),
                                          ("e5", self.o.e5))]
        out, left_out = collections.defaultdict(list), sorted(texts.left_out)
        for start in range(0, len(queries), 256):
            part = slice(start, start + 256)
            scores = [(by_words[0][part] @ by_words[1]).toarray()]
            scores += [q[part] @ p.T for q, p in by_meaning]
            for n, query in enumerate(texts.queries[part]):
                teachers = [s[n] for s in scores]
                for s in teachers:
                    s[left_out] = s.min()
                ids, values = self.one_list(query, teachers, texts.left_out, rng)
                if ids:
                    kind = query["source"] + " " + query["kind"]
                    out[kind].append((query["text"], ids, values))
        return out

    def one_list(self, query, teachers, left_out, rng):
        own = query["passage"]
        tops = [np.argpartition(-s, 50)[:50] for s in teachers]
        pool = np.unique(np.concatenate(tops + [[own]]))
        means = [s[pool].mean() for s in teachers]
        deviations = [s[pool].std() or 1 for s in teachers]
        together = sum(z(s[pool]) for s in teachers[1:])
        fused = z(teachers[0][pool]) + 1.2 * z(together)
        order = [int(pool[n]) for n in np.argsort(-fused)]
        if query["kind"] == "own" and order.index(own) >= 30:
            return None, None  # it says little about its passage
        others = [d for d in order if d != own]
        picked = rng.sample(others[:4], 2) + rng.sample(others[4:12], 2) + \
            rng.sample(others[12:40], 1)
        first = tops[0][np.argsort(-teachers[0][tops[0]])[:20]]
        found = [int(d) for d in first if int(d) not in picked and int(d) != own]
        if found:
            picked.append(rng.choice(found))
        while len(picked) < LIST - 2:
            picked.append(rng.choice([d for d in others[20:] if d not in picked]))
        while len(picked) < LIST - 1:
            d = rng.randrange(len(teachers[0]))
            if d not in picked and d != own and d not in left_out:
                picked.append(d)

        def score(d):
            scores = [(s[d] - m) / e for s, m, e in zip(teachers, means, deviations)]
            return float(scores[0] + 1.2 * (sum(scores[1:]) - together.mean()) / together.std())

        ids = [own] + picked
        return ids, [score(d) for d in ids]

    def scaled_lines(self, passages, lists):
        """Training data; one scale a kind, so that the softmax fits which passage is a
        query's own."""
        lines = []
        for kind, of_kind in lists.items():
            scores = np.array([values for _, _, values in of_kind])
            scale = min((n / 20 for n in range(4, 80)), key=lambda s: cross_entropy(s * scores))
            scale = min(max(scale, 0.5), 1.0)
            print(f"{kind}: {len(of_kind)} lists, its own passage first in "
                  f"{(scores.argmax(axis=1) == 0).mean():.3f}, scale {scale}")
            for query, ids, values in of_kind:
                found = [{"title": passages[d]["title"],
                          "text": one_line(" ".join(passages[d]["sentences"])),
                          "score": round(scale * value, 3)} for d, value in zip(ids, values)]
                lines.append({"query_id": f"q{len(lines)}", "query": query,
                              "positives": [found[0] | {"grade": 1}], "negatives": found[1:]})
        return lines

    def training_data(self):
        path = self.work / "lists.jsonl"
        if path.exists():
            return path
        texts = Texts(self.o.data, self.o.texts)
        lines = self.scaled_lines(texts.passages, self.lists(texts))
        random.Random(99).shuffle(lines)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def development_data(self):
        """Of 60 claims of scifact's training split the first 20 passages that BM25 finds."""
        path, data = self.work / "development.jsonl", self.o.data / "scifact"
        run = self.work / "claims.run"
        if not path.exists():
            assay = [self.o.build / "assay"]
            subprocess.run(assay + ["index", data, "--collection", "scifact"], check=True)
            subprocess.run(assay + ["eval", data, "--split", "train", "--collection", "scifact",
                                    "--retriever", "bm25", "--limit", "100", "--output", run],
                           check=True, stdout=subprocess.DEVNULL)
            documents = {d["_id"]: d for d in read_jsonl(data / "corpus.jsonl")}
            text = {q["_id"]: q["text"] for q in read_jsonl(data / "queries.jsonl")}
            judged, found = read_qrels(data / "qrels/train.tsv"), collections.defaultdict(list)
            for line in run.read_text().splitlines():
                query, _, document, *_ = line.split()
                found[query].append(document)
            lines = []
            for key in sorted(found):
                sides = {"positives": [], "negatives": []}
                for document in found[key][:20]:
                    d = documents[document]
                    sides["positives" if document in judged[key] else "negatives"].append(
                        {"title": d["title"], "text": d["text"], "score": 0.0})
                if sides["positives"]:
                    lines.append({"query_id": key, "query": text[key]} | sides)
            path.write_text("".join(json.dumps(line) + "\n" for line in lines[:60]))
        return path

    def training(self, out, options):
        """The command, with what all trainings have in common."""
        options = {"data": self.training_data(), "dev": self.development_data(),
                   "dev-queries": 60, "labels": 0.2, "model": self.o.starter, "out": out,
                   "negatives": LIST - 1, "batch": 8, "patience": 0, "dropout": 0,
                   "precision": "bf16", "threads": self.o.threads} | options
        return [self.o.build / "assay", "train", "cross", "--distil"] + \
            [str(part) for name, value in options.items() for part in ("--" + name, value)]

    def train(self):
        """The weights after the last step, and folders of those that were the best before."""
        out, running = self.work / "last", None
        while not out.exists():
            if running is None:
                running = subprocess.Popen(self.training(out, {
                    "max-tokens": 224, "rate": 1e-4, "steps": 1500, "evaluations": 4, "seed": 3}))
            elif running.poll():
                raise SystemExit(running.returncode)
            for best in self.work.glob("last.part/best-*"):  # there until a better one is
                kept = self.work / best.name
                if best.name not in ("best-0", "best-1500") and not kept.exists():
                    shutil.copytree(best, kept)
            time.sleep(1)
        if running is not None and running.wait():
            raise SystemExit(running.returncode)
        return out, sorted(self.work.glob("best-*"))

    def average(self):
        last, best = self.train()
        before = [self.o.starter] + best
        write_mean(self.work / "cross", {last: 0.4} | {f: 0.6 / len(before) for f in before})


def write_mean(target, shares):
    """Folder `target`: the first model's, its weights the sum of share times weights."""
    models = [(share, load_file(folder / "model.safetensors"))
              for folder, share in shares.items()]
    shutil.copytree(next(iter(shares)), target, dirs_exist_ok=True)
    save_file({name: sum(share * model[name].astype(np.float64)
                         for share, model in models).astype(np.float32)
               for name in models[0][1]},
              target / "model.safetensors", metadata={"format": "pt"})


def run(workshop, description, folders, threads):
    """The command line of a part that goes on from another."""
    parser = parser_of(description, folders)
    parser.add_argument("--threads", type=int, default=threads)
    options = parser.parse_args()
    os.environ["ASSAY_HOME"] = str((options.work / "home").resolve())
    workshop(options).average()


if __name__ == "__main__":
    run(Workshop, __doc__, ("data", "texts", "starter", "bge", "e5", "work"), 1)
