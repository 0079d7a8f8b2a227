#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fits the default weights of fusion and of the final order on judged queries.

    fit_weights.py NAME=FOLDER:QRELS ...

FOLDER holds TREC runs of one collection (bench/quality makes them): bm25.run and
dense.run, the retrievers alone; same.run, both of them (`assay eval --retriever
hybrid`); cross.run, the logits of its first documents (`assay rerank --run
same.run`); default.run, what `assay search` does; rival.run, the logits of another reranker on the
same documents, which it is told how much cross.run is better than. Of those that are there it prints,
for each weight, nDCG@10 of every collection less that of its first stage, with
the standard error of the mean over queries. Rerun with test judgments it shows what
the weights are worth on queries they were not fitted on. The arithmetic is that of
src/pipeline/fusion.c and cascade.c. Only the standard library is needed."""
import collections
import math
import pathlib
import sys

DEPTH = 30  # documents that are reranked
DENSE = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0]
RERANK = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0]
SPREADS = [0, 1.5, 3]  # 0: z-scores


def read_run(path):
    run = collections.defaultdict(dict)
    if path.exists():
        for line in path.read_text().splitlines():
            query, _, document, _, score, _ = line.split()
            run[query][document] = float(score)
    return run


def read_qrels(path):
    qrels = collections.defaultdict(dict)
    for line in path.read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels[query][document] = int(grade)
    return qrels


def z(scores, least=0):
    """Less the mean, by the standard deviation or what it is at least taken for."""
    if not scores:
        return {}
    mean = sum(scores.values()) / len(scores)
    deviation = math.sqrt(sum((s - mean) ** 2 for s in scores.values()) / len(scores))
    deviation = max(deviation, least)
    return {d: (s - mean) / deviation if deviation > 0 else 0.0 for d, s in scores.items()}


def fuse(bm25, dense, dense_weight):
    a, b = z(bm25), z(dense)
    least_a, least_b = min(a.values(), default=0), min(b.values(), default=0)
    fused = {d: a.get(d, least_a) + dense_weight * b.get(d, least_b) for d in a.keys() | b.keys()}
    return dict(sorted(fused.items(), key=lambda item: -item[1])[:100])


def rerank(first, logits, weight, spread):
    """The order of a stage: what it did not read stays behind, as it was."""
    order = sorted(first, key=lambda d: -first[d])
    read = [d for d in order[:DEPTH] if d in logits]
    a, b = z({d: first[d] for d in read}), z({d: logits[d] for d in read}, spread)
    scores = {d: a[d] + weight * b[d] for d in read}
    least = min(scores.values(), default=0)
    rest = [d for d in order if d not in scores]
    scores.update({d: least - 1 - i for i, d in enumerate(rest)})
    return scores


def ndcg(scores, grades, k=10):
    order = sorted(scores, key=lambda d: (scores[d], d), reverse=True)[:k]
    gain = sum(max(grades.get(d, 0), 0) / math.log2(i + 2) for i, d in enumerate(order))
    best = sorted((g for g in grades.values() if g > 0), reverse=True)[:k]
    ideal = sum(g / math.log2(i + 2) for i, g in enumerate(best))
    return gain / ideal if ideal > 0 else 0.0


class Collection:
    def __init__(self, argument):
        self.name, _, rest = argument.partition("=")
        folder, _, qrels = rest.partition(":")
        self.qrels = read_qrels(pathlib.Path(qrels))
        names = ("bm25", "dense", "same", "cross", "rival", "default")
        self.runs = {name: read_run(pathlib.Path(folder) / f"{name}.run") for name in names}

    def gain(self, rank, base, queries):
        """rank(query) against base(query): mean difference and its error."""
        gains = [ndcg(rank(q), self.qrels[q]) - ndcg(base(q), self.qrels[q]) for q in queries]
        mean = sum(gains) / max(len(gains), 1)
        return mean, math.sqrt(sum((g - mean) ** 2 for g in gains)) / max(len(gains), 1)

    def of_reranking(self, *weights):
        same, cross = self.runs["same"], self.runs["cross"]
        return self.gain(lambda q: rerank(same[q], cross[q], *weights), same.get, sorted(cross))

    def of_rival(self, *weights):
        same, cross, rival = self.runs["same"], self.runs["cross"], self.runs["rival"]
        return self.gain(lambda q: rerank(same[q], cross[q], *weights),
                         lambda q: rerank(same[q], rival[q], *weights), sorted(cross))

    def of_fusion(self, weight):
        a, b = self.runs["bm25"], self.runs["dense"]
        return self.gain(lambda q: fuse(a[q], b[q], weight), lambda q: fuse(a[q], b[q], 1),
                         sorted(set(a) | set(b)))

    def of_default(self):
        same, default = self.runs["same"], self.runs["default"]
        return self.gain(default.get, same.get, sorted(default))


def table(title, collections_, rows):
    """rows: label, and what gives a collection's gain."""
    print(f"\n{title:<26}" + "".join(f"{c.name:>20}" for c in collections_))
    for label, of in rows:
        gains = [of(c) for c in collections_]
        print(f"{label:<26}" + "".join(f"{m:>+12.4f} ± {e:.4f}" for m, e in gains))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    known = [Collection(argument) for argument in sys.argv[1:]]
    fused = [c for c in known if c.runs["bm25"] and c.runs["dense"]]
    if fused:
        table("weight of the vectors, less than of 1", fused,
              [(f"{w:g}", lambda c, w=w: c.of_fusion(w)) for w in DENSE])
    reranked = [c for c in known if c.runs["same"] and c.runs["cross"]]
    if reranked:
        print("\nqueries: " + ", ".join(f"{c.name} {len(c.runs['cross'])}" for c in reranked))
        table("spread, weight", reranked,
              [(f"{s:g}, {w:g}", lambda c, s=s, w=w: c.of_reranking(w, s))
               for s in SPREADS for w in RERANK] +
              [("the reranker alone", lambda c: c.of_reranking(1e6, 0))])
    rivals = [c for c in reranked if c.runs["rival"]]
    if rivals:
        table("less the rival", rivals,
              [("alone", lambda c: c.of_rival(1e6, 0)),
               ("spread 1.5, weight 1", lambda c: c.of_rival(1, 1.5))])
    told = [c for c in known if c.runs["same"] and c.runs["default"]]
    if told:
        table("the default", told, [("less first stage", lambda c: c.of_default())])


main()
