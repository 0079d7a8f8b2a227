#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Teaches the default cross-encoder abstracts and long passages: the last part of how
models/cross came to be, behind tools/distil_default_cross.py, whose teachers it has.

Usage: tools/distil_long_passages.py DATA TEXTS ABSTRACTS BEFORE STARTER BGE E5 WORK
           [--threads 2] [--build build]

What was trained on short passages only ranked those of more than 256 tokens badly, which is
most of scifact's. DATA, TEXTS, BGE and E5 are what tools/distil_default_cross.py reads, BEFORE
is its WORK (its passages' vectors and its lists), STARTER the cross-encoder to go on from in
fp32 (BEFORE/cross). ABSTRACTS holds biomedical abstracts as corpora have them:
claims/*_labels.json (one JSON object a line: sentences, and which of them is a claim),
genia/GENIA*.pos, bc5cdr/*.txt and ebmnlp/*.txt (a word a line), ncbi/**/*.txt and
anatem/PMID-*.txt (plain). Everything goes to WORK; what is there already is not made again.
WORK/cross is for tools/make_default_models.py.

A query is a sentence taken out of its abstract, mostly one that tells a finding ("We show
that" cut off), a title, or a sentence taken out of 130 to 330 words of a paper or of medquad.
Passages that such a query finds may be abstracts of before, too, but not the pieces of papers
and documents that its passage was cut from in another way. To these lists come 5,000 of
before, drawn at random.

At last the mean is taken of the weights that were best at an evaluation (after step 1,194) and
of the last; the default's last were taken out of the checkpoint of the same run. It was made by
two threads in an hour, from lists that this script wrote.

Needs numpy, scipy and safetensors."""
import collections
import json
import os
import pathlib
import random
import re
import subprocess

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

import distil_default_cross as before
from distil_default_cross import SENTENCE, letters, one_line, prose, words

PAPERS = {"SemEval2010": 5, "Nguyen2007": 4, "citeulike180": 6, "theses100": 5, "fao30": 6,
          "wiki20": 8}  # long pieces of each document, at most
MEDICAL = 1300  # documents of medquad
ABSTRACT_QUERIES, LONG_QUERIES, OLD_LISTS = 9600, 2600, 5000
FINDING = re.compile(
    r"^(?:(?:in conclusion|thus|therefore|moreover|furthermore|in summary|here|finally|together|"
    r"taken together|additionally|in addition|collectively)?,? ?)"
    r"(?:we|our|these|this|the|it|results|data|evidence)\b[^,.;:]{0,60}?\b(?:show|shows|shown|"
    r"showed|suggest|suggests|suggested|indicate|indicates|indicated|demonstrate|demonstrates|"
    r"demonstrated|conclude|concluded|found|find|reveal|revealed|reveals|propose|"
    r"provide evidence|confirm|confirmed|support the hypothesis|concluded) that (.{30,})$", re.I)
OPENING = re.compile(r"^(In conclusion|Thus|Therefore|Moreover|Furthermore|In summary|"
                     r"Conclusions?|CONCLUSIONS?|Results|RESULTS)[,:]? +(\w)")


# ---------------------------------------------------------------- abstracts: (source, title,
# sentences, whether each is marked as a claim)


def text_of(tokens):
    """Words of a corpus put together again."""
    text = " ".join(tokens).replace("`` ", '"').replace(" ''", '"')
    text = re.sub(r" ([.,;:?!%)\]])", r"\1", text)
    text = re.sub(r"([(\[]) ", r"\1", text)
    text = re.sub(r" ('s|n't)\b", r"\1", text)
    return re.sub(r"(\w) / (\w)", r"\1/\2", re.sub(r"(\w) - (\w)", r"\1-\2", text))


def claims(folder):
    for part in ("train", "validation", "test"):
        for d in before.read_jsonl(folder / f"{part}_labels.json"):
            yield "", [one_line(s) for s in d["sentences"]], [int(n) for n in d["labels"]]


def genia(folder):
    for part in ("train", "test"):
        for document in (folder / f"GENIA{part}.pos").read_text().split("UI/LS -/:")[1:]:
            title, sentences = "", []
            for line in document.strip().split("\n")[1:]:
                tokens = [word.rsplit("/", 1)[0] for word in line.split()]
                if line.startswith("TI/LS"):
                    title = text_of(tokens[2:])
                elif tokens:
                    sentences.append(text_of(tokens[2:] if line.startswith("AB/LS") else tokens))
            yield title, sentences, None


def a_word_a_line(folder, parts):
    for part in parts:
        text = (folder / f"{part}.txt").read_text(encoding="utf-8", errors="ignore")
        for document in re.split(r"-DOCSTART-[^\n]*\n", text)[1:]:
            sentences = [text_of(line.split()[0] for line in block.split("\n") if line.split())
                         for block in re.split(r"\n\s*\n", document) if block.strip()]
            if len(sentences) > 1:
                yield sentences[0], sentences[1:], None


def ebmnlp(folder):
    """Its blocks are not sentences, and the title may come again."""
    for title, sentences, _ in a_word_a_line(folder, ("dev", "test")):
        yield title, sentences, None


def ncbi(folder):
    for path in sorted(folder.rglob("*.txt"), key=str):
        title, *rest = path.read_text(encoding="utf-8", errors="ignore").strip().split("\n")
        yield title.strip(), SENTENCE.split(one_line(" ".join(rest))), None


def anatem(folder):
    for path in sorted(folder.glob("PMID-*.txt"), key=str):
        lines = [line for line in path.read_text().split("\n") if line.strip()]
        if len(lines) < 3:
            title, *sentences = SENTENCE.split(one_line(" ".join(lines)))
        else:
            title = lines[0]
            sentences = [s for line in lines[1:] for s in SENTENCE.split(one_line(line))]
        yield title, sentences, None


def abstracts(folder):
    seen = set()
    for name, read in (("claims", claims), ("genia", genia),
                       ("bc5cdr", lambda f: a_word_a_line(f, ("train", "dev", "test"))),
                       ("ebmnlp", ebmnlp), ("ncbi", ncbi), ("anatem", anatem)):
        for title, sentences, marked in read(folder / name):
            sentences = [s for s in sentences if s]
            if not marked or len(marked) != len(sentences):
                marked = [0] * len(sentences)
            key = re.sub(r"\W", "", " ".join(sentences).lower())[:80]
            if key in seen or len(sentences) < 3:
                continue
            seen.add(key)
            if name == "ebmnlp":
                title, *sentences = SENTENCE.split(" ".join([title] + sentences))
                sentences = [s for s in sentences if s != title]
                marked = [0] * len(sentences)
            yield title, sentences, marked


# ---------------------------------------------------------------- passages and queries


def finding(sentence):
    found = FINDING.match(sentence)
    if found:
        return found.group(1)[0].upper() + found.group(1)[1:]
    return OPENING.sub(lambda m: m.group(2).upper(), sentence)


def cut(sentences, least, most, rng):
    """Whole sentences, about as many words as drawn; what is left at the end is left out."""
    out, piece, count, limit = [], [], 0, rng.randint(least, most)
    for sentence in sentences:
        if piece and count + words(sentence) > limit:
            out.append(piece)
            piece, count, limit = [], 0, rng.randint(least, most)
        piece.append(sentence)
        count += words(sentence)
    return out


class Texts:
    """Passages {source, title, sentences} and queries {text, passage, kind, source} of them."""

    def __init__(self, options, short):
        self.o, self.short, self.rng = options, short, random.Random(1)
        self.tested = before.runs_of_test_collections(options.data)
        self.passages, self.queries = [], []
        for title, sentences, marked in abstracts(options.abstracts):
            self.abstract(title, sentences, marked)
        self.papers()
        self.medical()
        of = {source: [q for q in self.queries if q["source"] == source]
              for source in ("abstract", "long")}
        self.queries = self.rng.sample(of["abstract"], ABSTRACT_QUERIES) + \
            self.rng.sample(of["long"], min(len(of["long"]), LONG_QUERIES))

    def add(self, source, title, sentences, queries):
        for text in queries:
            self.queries.append({"text": one_line(text), "passage": len(self.passages),
                                 "kind": "own", "source": source})
        self.passages.append({"source": source, "title": title, "sentences": sentences})

    def like_test_collections(self, title, sentences):
        return len(before.runs(title + " " + " ".join(sentences)) & self.tested) >= 6

    def abstract(self, title, sentences, marked):
        if len(sentences) < 4 or self.like_test_collections(title, sentences):
            return
        rng, gone, queries = self.rng, set(), []

        def take(n):
            query = finding(sentences[n])
            query = query.rstrip(" .") if rng.random() < 0.6 else query
            if words(query) >= 5:
                gone.add(n)
                queries.append(query)

        fit = [n for n, s in enumerate(sentences) if 6 <= words(s) <= 60 and letters(s) > 0.68]
        findings = [n for n in fit
                    if marked[n] or FINDING.match(sentences[n]) or n == len(sentences) - 1]
        if findings:
            take(rng.choice(findings))
        rest = [n for n in fit if n not in gone]
        if rest and sum(map(words, sentences)) > 90:
            more = [n for n in rest if n in findings]
            take(rng.choice(more if more and rng.random() < 0.5 else rest))
        if title and rng.random() < 0.4 and words(title) >= 4:
            queries.append(title.rstrip(" ."))
            title = ""
        left = " ".join(s for n, s in enumerate(sentences) if n not in gone)
        if words(left) >= 30 and queries:
            self.add("abstract", title, [" ".join(left.split()[:200])], queries)

    def long(self, title, sentences):
        if self.like_test_collections(title, sentences):
            return
        fit, queries = [n for n, s in enumerate(sentences) if 7 <= words(s) <= 40
                        and letters(s) > 0.72 and s[0].isalpha()], []
        if fit and self.rng.random() < 0.8:
            n = self.rng.choice(fit)
            queries = [sentences[n].rstrip(" .") if self.rng.random() < 0.5 else sentences[n]]
            sentences = sentences[:n] + sentences[n + 1:]
        self.add("long", title, sentences, queries)

    def papers(self):
        for name, most in PAPERS.items():
            for path in sorted((self.o.texts / name / "docsutf8").iterdir()):
                text = path.read_text(encoding="utf-8", errors="ignore")
                found = [p for p in cut(before.sentences_of_paper(text), 160, 330, self.rng)
                         if prose(p) and words(" ".join(p)) > 130]
                for piece in self.rng.sample(found, min(most, len(found))):
                    self.long("", piece)

    def medical(self):
        """Of documents of medquad that nothing was taken from before."""
        used = {p["title"] for p in self.short.passages if p["source"] == "med"}
        count = 0
        documents = before.read_jsonl(self.o.data / "medquad/corpus.jsonl")
        self.rng.shuffle(documents)
        for d in documents:
            text = one_line(d["text"])
            if d["title"] in used or words(text) < 170 or count >= MEDICAL:
                continue
            used.add(d["title"])
            piece, length, limit = [], 0, self.rng.randint(160, 330)
            for sentence in SENTENCE.split(text):
                if piece and length + words(sentence) > limit:
                    break
                piece.append(sentence)
                length += words(sentence)
            if length > 130:
                title = d["title"] if self.rng.random() < 0.7 else ""
                if len(piece) < 2:
                    piece = [" ".join(piece[0].split()[:340])]
                self.long(title, piece)
                count += 1


# ---------------------------------------------------------------- teachers, training


class Workshop(before.Workshop):
    def lists(self, short, texts):
        """Each query with eight passages and what the teachers make of them."""
        rng = random.Random(7)
        old = [n for n, p in enumerate(short.passages)
               if p["source"] in ("abs", "med") and n not in short.left_out]
        passages = texts.passages + [short.passages[n] for n in old]
        shown, queries = [before.shown(p) for p in passages], [q["text"] for q in texts.queries]
        by_words, by_meaning = before.bm25(shown, queries), []
        for name, model in (("dense", "dense"), ("bge", self.o.bge), ("e5", self.o.e5)):
            new = self.vectors(name, model, "passages", shown[:len(texts.passages)])
            had = np.load(self.o.before / f"{name}.passages.npy")[old]
            by_meaning.append((self.vectors(name, model, "queries", queries),
                               np.concatenate([new, had])))
        out = collections.defaultdict(list)
        for start in range(0, len(queries), 256):
            part = slice(start, start + 256)
            scores = [(by_words[0][part] @ by_words[1]).toarray()]
            scores += [q[part] @ p.T for q, p in by_meaning]
            for n, query in enumerate(texts.queries[part]):
                ids, values = self.one_list(query, [s[n] for s in scores], set(), rng)
                if ids:
                    out[query["source"]].append((query["text"], ids, values))
        lines = [line | {"query_id": "long " + line["query_id"]}
                 for line in self.scaled_lines(passages, out)]
        return lines + rng.sample(before.read_jsonl(self.o.before / "lists.jsonl"), OLD_LISTS)

    def training_data(self):
        path = self.work / "lists.jsonl"
        if not path.exists():
            short = before.Texts(self.o.data, self.o.texts)
            lines = self.lists(short, Texts(self.o, short))
            random.Random(7).shuffle(lines)
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def average(self):
        """Of the weights that ranked the development queries best and of the last. The same
        steps are gone twice, as `assay train` keeps the best of what it has evaluated."""
        shares = {}
        for name, evaluations in (("best", 5), ("last", 1)):
            shares[self.work / name] = 0.5
            if not (self.work / name).exists():
                subprocess.run(self.training(self.work / name, {
                    "max-tokens": 480, "rate": 8e-5, "steps": 1990, "seed": 4,
                    "part-tokens": 8192, "evaluations": evaluations}), check=True)
        before.write_mean(self.work / "cross", shares)


if __name__ == "__main__":
    before.run(Workshop, __doc__,
               ("data", "texts", "abstracts", "before", "starter", "bge", "e5", "work"), 2)
