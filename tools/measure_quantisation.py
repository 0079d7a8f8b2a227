#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What int8 weights cost: the same texts through two folders of one model.

Usage: tools/measure_quantisation.py cross|dense ORIGINAL QUANTISED BEIR... [--queries N]

For each BEIR folder N queries (seeded) and for each the 30 passages that share
most of its rare words. Printed: differences of the logits (or of the cosines),
rank correlation, and how much of the first ten both have in common."""
import argparse
import collections
import json
import math
import pathlib
import random
import re
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/parity"))
from libassay import Assay  # noqa: E402

CANDIDATES = 30


def words(text):
    return re.findall(r"\w+", text.lower())


def lists(folder, count):
    """(query, passages) by the sum of the shared words' idf."""
    corpus = [json.loads(line) for line in open(folder / "corpus.jsonl", encoding="utf-8")]
    texts = [(d.get("title", "") + " " + d["text"]).strip() for d in corpus]
    bags = [set(words(t)) for t in texts]
    frequency = collections.Counter(w for bag in bags for w in bag)
    queries = [json.loads(line)["text"] for line in open(folder / "queries.jsonl",
                                                         encoding="utf-8")]
    for query in random.Random(5).sample(queries, count):
        terms = {w: math.log(len(texts) / frequency[w]) for w in words(query) if frequency[w]}
        scores = [sum(terms[w] for w in terms.keys() & bag) for bag in bags]
        order = sorted(range(len(texts)), key=lambda i: -scores[i])[:CANDIDATES]
        yield query, [texts[i] for i in order]


def cosines(model, query, passages):
    vectors = np.frombuffer(model.embed([query] + passages, 384), dtype=np.float32)
    vectors = vectors.reshape(len(passages) + 1, -1)
    return vectors[1:] @ vectors[0]


def ranks(values):
    return np.argsort(np.argsort(-np.asarray(values)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["cross", "dense"])
    parser.add_argument("original", type=pathlib.Path)
    parser.add_argument("quantised", type=pathlib.Path)
    parser.add_argument("data", nargs="+", type=pathlib.Path)
    parser.add_argument("--queries", type=int, default=10)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    options = parser.parse_args()
    models = [Assay(options.build, f) for f in (options.original, options.quantised)]
    for folder in options.data:
        differences, correlations, overlaps, firsts, spread = [], [], [], [], []
        for query, passages in lists(folder, options.queries):
            a, b = (np.asarray(m.rerank(query, passages)) if options.kind == "cross" else
                    cosines(m, query, passages) for m in models)
            differences.append(np.abs(a - b))
            spread.append(a.std())
            correlations.append(np.corrcoef(ranks(a), ranks(b))[0, 1])
            overlaps.append(len(set(np.argsort(-a)[:10]) & set(np.argsort(-b)[:10])) / 10)
            firsts.append(np.argmax(a) == np.argmax(b))
        differences = np.concatenate(differences)
        print(f"{folder.name}: {len(differences)} pairs, difference max {differences.max():.4f} "
              f"mean {differences.mean():.4f} (spread of scores {np.mean(spread):.3f}), "
              f"rank correlation {np.mean(correlations):.4f}, "
              f"first ten in common {np.mean(overlaps):.3f}, same first {np.mean(firsts):.3f}",
              flush=True)


main()
