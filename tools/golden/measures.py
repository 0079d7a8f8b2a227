#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/measures/: qrels, a run, and what ir_measures (pytrec_eval,
that is trec_eval's own C code) computes from them; and p-values of the paired
randomisation test from scipy. Needs ir_measures, pytrec_eval-terrier, scipy."""
import importlib.metadata
import json
import pathlib
import random

import ir_measures
import numpy
import scipy.stats

NAMES = ["nDCG", "nDCG@1", "nDCG@3", "nDCG@10", "nDCG@100", "RR", "RR@1", "RR@3", "RR@10", "AP",
         "AP@3", "AP@10", "R@1", "R@5", "R@100", "P@1", "P@5", "P@20", "Success@1", "Success@5"]

draw = random.Random(7)
out = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/measures"
out.mkdir(parents=True, exist_ok=True)

qrels, run = {}, {}
for q in range(14):
    documents = [f"d{i}" for i in range(60)] + ["D7", "d-10", "é", "doc/ü.txt"]
    draw.shuffle(documents)
    # No -2: trec_eval uses it as a mark of its own, and crashes.
    judged = documents[: draw.choice([1, 3, 10, 25])]
    qrels[f"q{q}"] = {d: draw.choice([0, 0, 1, 1, 2, 3, -1]) for d in judged}
    draw.shuffle(documents)
    kept = documents[: draw.choice([1, 2, 8, 40])]
    # Few distinct scores make ties; some differ in double and not in float.
    run[f"q{q}"] = {d: draw.choice([3.0, 2.5, 2.5 + 1e-12, 1.0, draw.uniform(-5, 5)])
                    for d in kept}
qrels["only-zero"] = {"d1": 0, "d2": -1}
run["only-zero"] = {"d1": 2.0, "d3": 1.0}
qrels["not-in-run"] = {"d1": 1}
run["not-in-qrels"] = {"d1": 1.0}
qrels["all-tied"] = {"d1": 1, "d10": 2, "d9": 1, "D9": 3}
run["all-tied"] = {d: 0.5 for d in ["d1", "d10", "d9", "D9", "d2", "é"]}

with open(out / "qrels.txt", "w") as f:
    for q, judgments in qrels.items():
        for d, grade in judgments.items():
            f.write(f"{q} 0 {d} {grade}\n")
with open(out / "run.txt", "w") as f:
    lines = [f"{q} Q0 {d} {draw.randrange(100)} {score!r} golden\n"
             for q, hits in run.items() for d, score in hits.items()]
    draw.shuffle(lines)
    f.writelines(lines)

# trec_eval knows no RR@k: it is RR where the first relevant is within k.
asked = [n for n in NAMES if not n.startswith("RR@")]
values = {n: {q: 0.0 for q in qrels} for n in NAMES}
for m in ir_measures.pytrec_eval.iter_calc([ir_measures.parse_measure(n) for n in asked], qrels,
                                           run):
    values[str(m.measure)][m.query_id] = m.value
for n in NAMES:
    if n.startswith("RR@"):
        k = int(n[3:])
        values[n] = {q: v if v * k > 1 - 1e-9 else 0.0 for q, v in values["RR"].items()}

tests = []
for count in (2, 5, 12, 40, 300):
    generator = numpy.random.default_rng(count)
    a = generator.integers(0, 11, count) / 10
    b = numpy.clip(a - 0.04 + generator.integers(-3, 4, count) / 10, 0, 1)
    result = scipy.stats.permutation_test(
        (a, b), lambda x, y: numpy.mean(x - y), permutation_type="samples",
        n_resamples=200000, rng=generator, vectorized=False)
    tests.append({"a": a.tolist(), "b": b.tolist(), "difference": float(numpy.mean(a - b)),
                  "p": float(result.pvalue)})

packages = ["ir_measures", "pytrec_eval-terrier", "scipy", "numpy"]
json.dump({"versions": {p: importlib.metadata.version(p) for p in packages},
           "measures": {n: {"mean": sum(v.values()) / len(v), "queries": v}
                        for n, v in values.items()},
           "comparisons": tests},
          open(out / "expected.json", "w"), indent=None, separators=(",", ":"))
