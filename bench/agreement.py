# SPDX-License-Identifier: Apache-2.0
"""How far two sets of scores rank alike, and operations that scores depend on."""
import math


def kendall(a, b):
    """Kendall's tau-b of two lists of scores."""
    agree = ties_a = ties_b = pairs = 0
    for i in range(len(a)):
        for j in range(i):
            x, y = a[i] - a[j], b[i] - b[j]
            pairs += 1
            ties_a += x == 0
            ties_b += y == 0
            agree += (x * y > 0) - (x * y < 0)
    scale = math.sqrt((pairs - ties_a) * (pairs - ties_b))
    return agree / scale if scale else 0.0


def first(scores, count=10):
    return sorted(range(len(scores)), key=lambda i: -scores[i])[:count]


def ndcg(scores, documents, gains):
    """nDCG@10 as trec_eval has it."""
    def sum_of(values):
        return sum(v / math.log2(rank + 2) for rank, v in enumerate(values[:10]))
    best = sum_of(sorted(gains.values(), reverse=True))
    return sum_of([gains.get(documents[i], 0) for i in first(scores)]) / best if best else 0.0


def compare(jobs, exact, other, gains):
    """Means over questions of one engine's scores beside the exact ones."""
    n = len(jobs)
    return {
        "tau": sum(kendall(a, b) for a, b in zip(exact, other)) / n,
        "top10": sum(len(set(first(a)) & set(first(b))) / min(10, len(a))
                     for a, b in zip(exact, other)) / n,
        "ndcg": sum(ndcg(s, j["documents"], gains[j["id"]]) for j, s in zip(jobs, other)) / n,
        "ndcg_difference": sum(ndcg(b, j["documents"], gains[j["id"]]) -
                               ndcg(a, j["documents"], gains[j["id"]])
                               for j, a, b in zip(jobs, exact, other)) / n,
        "largest_error": max(abs(x - y) for a, b in zip(exact, other) for x, y in zip(a, b)),
        "questions": n,
    }


def operations(lengths, config):
    """Additions and multiplications that the logits of pairs of these lengths
    depend on. In the last layer that is, beside keys and values, [CLS] alone."""
    h, inner, layers = (config[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    def layer(n):
        return 2 * n * (4 * h * h + 2 * h * inner) + 4 * n * n * h
    def last(n):
        return 4 * n * h * h + 4 * h * h + 4 * h * inner + 4 * n * h
    return sum((layers - 1) * layer(n) + last(n) for n in lengths)


def all_operations(lengths, config):
    """The same with the last layer computed for every token, as most engines do."""
    h, inner, layers = (config[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    return sum(layers * (2 * n * (4 * h * h + 2 * h * inner) + 4 * n * n * h) for n in lengths)
