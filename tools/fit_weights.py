#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fits the default weights of fusion and of the final order on judged queries.

    fit_weights.py NAME=FOLDER:QRELS ...

FOLDER holds TREC runs of one collection, made by `assay eval --output`:
bm25.run and dense.run (the retrievers alone) and cross.run (hybrid retrieval,
`--rerank cross --rerank-top 50 --weight-first 0`). For each weight it prints nDCG@10 of every
collection and their mean, and where same.run and default.run are there too (the
first stage and the default pipeline on the same queries) the difference; rerun with test judgments it shows what the weights
are worth on queries they were not fitted on. The arithmetic is that of
src/pipeline/fusion.c and search.c. Only the standard library is needed."""
import collections
import math
import pathlib
import sys

DEPTH = 50  # documents that were reranked
DENSE = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0]
RERANK = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0]


def read_run(path):
    run = collections.defaultdict(dict)
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


def z(scores):
    if not scores:
        return {}
    mean = sum(scores.values()) / len(scores)
    deviation = math.sqrt(sum((s - mean) ** 2 for s in scores.values()) / len(scores))
    return {d: (s - mean) / deviation if deviation > 0 else 0.0 for d, s in scores.items()}


def top(run, k):
    return {q: dict(sorted(d.items(), key=lambda item: -item[1])[:k]) for q, d in run.items()}


def fuse(bm25, dense, dense_weight):
    a, b = z(bm25), z(dense)
    least_a, least_b = min(a.values(), default=0), min(b.values(), default=0)
    fused = {d: a.get(d, least_a) + dense_weight * b.get(d, least_b) for d in a.keys() | b.keys()}
    return dict(sorted(fused.items(), key=lambda item: -item[1])[:100])


def rerank(first, cross, weight):
    """Only documents that the reranker scored can be compared with weights > 0."""
    both = {d: s for d, s in first.items() if d in cross}
    a, b = z(both), z({d: cross[d] for d in both})
    return {d: a[d] + weight * b[d] for d in both}


def ndcg(scores, grades, k=10):
    order = sorted(scores, key=lambda d: (scores[d], d), reverse=True)[:k]
    gain = sum(max(grades.get(d, 0), 0) / math.log2(i + 2) for i, d in enumerate(order))
    best = sorted((g for g in grades.values() if g > 0), reverse=True)[:k]
    ideal = sum(g / math.log2(i + 2) for i, g in enumerate(best))
    return gain / ideal if ideal > 0 else 0.0


def mean_ndcg(queries, rank, qrels):
    return sum(ndcg(rank(q), qrels[q]) for q in queries) / max(len(queries), 1)


def tell_default(name, folder, qrels):
    """The default pipeline against its own first stage, query by query."""
    same, default = read_run(folder / "same.run"), read_run(folder / "default.run")
    gains = [ndcg(default[q], qrels[q]) - ndcg(same[q], qrels[q]) for q in sorted(same)]
    mean = sum(gains) / len(gains)
    error = math.sqrt(sum((g - mean) ** 2 for g in gains)) / len(gains)
    print(f"{name}: {len(gains)} queries, default less first stage {mean:+.4f}, "
          f"standard error {error:.4f}")


def table(title, weights, columns):
    print(f"\n{title:<14}" + "".join(f"{name:>12}" for name in columns) + f"{'mean':>12}")
    for weight in weights:
        values = [column(weight) for column in columns.values()]
        print(f"{weight:<14}" + "".join(f"{v:>12.4f}" for v in values) +
              f"{sum(values) / len(values):>12.4f}")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    fusion, final = {}, {}
    for argument in sys.argv[1:]:
        name, _, rest = argument.partition("=")
        folder, _, qrels_path = rest.partition(":")
        folder = pathlib.Path(folder)
        qrels = read_qrels(pathlib.Path(qrels_path))
        bm25, dense = read_run(folder / "bm25.run"), read_run(folder / "dense.run")
        queries = sorted(set(bm25) | set(dense))
        fusion[name] = lambda w, b=bm25, d=dense, qs=queries, qr=qrels: mean_ndcg(
            qs, lambda q: fuse(b[q], d[q], w), qr)
        if (folder / "cross.run").exists():
            cross = top(read_run(folder / "cross.run"), DEPTH)
            firsts = {q: fuse(bm25[q], dense[q], 1.0) for q in cross}
            final[name] = lambda w, c=cross, f=firsts, qr=qrels: mean_ndcg(
                sorted(c), lambda q: rerank(f[q], c[q], w), qr)
            alone = mean_ndcg(sorted(cross), lambda q, c=cross: c[q], qrels)
            print(f"{name}: {len(cross)} queries reranked; the reranker alone {alone:.4f}")
        if (folder / "same.run").exists() and (folder / "default.run").exists():
            tell_default(name, folder, qrels)
    table("dense weight", DENSE, fusion)
    if final:
        table("rerank weight", RERANK, final)


main()
