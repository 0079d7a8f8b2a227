#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Losses and their gradients as PyTorch computes them in double, into
tests/golden/losses.json. Usage: losses.py > tests/golden/losses.json"""
import json
import random

import torch
import torch.nn.functional as F

rng = random.Random(7)
t64 = lambda x: torch.tensor(x, dtype=torch.float64)


def pairs(s, grades):
    p = [i for i, g in enumerate(grades) if g > 0]
    n = [i for i, g in enumerate(grades) if g <= 0]
    return [(i, j) for i in p for j in n]


def listwise(s, grades):
    n = [i for i, g in enumerate(grades) if g <= 0]
    p = [i for i, g in enumerate(grades) if g > 0]
    return sum(F.cross_entropy(s[[i] + n][None], torch.tensor([0])) for i in p) / len(p)


def loss(kind, s, grades, teacher, o):
    y = t64([float(g > 0) for g in grades])
    ij = pairs(s, grades)
    i, j = [a for a, _ in ij], [b for _, b in ij]
    if kind == "listwise":
        v = listwise(s, grades)
    elif kind == "binary":
        v = F.binary_cross_entropy_with_logits(s, y)
    elif kind == "pairwise":
        v = F.softplus(-(s[i] - s[j])).mean()
    elif kind == "margin":
        v = F.margin_ranking_loss(s[i], s[j], torch.ones(len(i), dtype=torch.float64),
                                  margin=o["margin"])
    elif kind == "graded":
        gains = t64([2.0 ** g - 1 if g > 0 else 0.0 for g in grades])
        v = F.cross_entropy(s[None], (gains / gains.sum())[None])
    elif kind == "margin-mse":
        v = F.mse_loss(s[i] - s[j], teacher[i] - teacher[j])
    else:
        T = o["temperature"]
        v = F.kl_div(F.log_softmax(s / T, 0), F.log_softmax(teacher / T, 0), reduction="sum",
                     log_target=True) * T * T
    if kind in ("margin-mse", "distil") and o["labels"] > 0:
        v = v + o["labels"] * listwise(s, grades)
    if o["binary"] > 0:
        v = v + o["binary"] * F.binary_cross_entropy_with_logits(s, y)
    return v


single = lambda x: float(torch.tensor(x, dtype=torch.float32))
lists = []
for kind in ("listwise", "binary", "pairwise", "margin", "graded", "margin-mse", "distil"):
    for grades in ([1, 0, 0, 0, 0], [0, 2, 0, 1, 0, 0], [3, 0]):
        for binary, labels in ((0.0, 0.0), (0.2, 0.5)):
            s = t64([single(rng.gauss(0, 3)) for _ in grades]).requires_grad_()
            teacher = t64([single(rng.gauss(0, 2)) for _ in grades])
            o = dict(binary=binary, labels=labels, margin=1.0, temperature=1.0 + binary * 5)
            v = loss(kind, s, grades, teacher, o)
            v.backward()
            lists.append(dict(kind=kind, grades=grades, scores=s.tolist(),
                              teacher=teacher.tolist(), loss=v.item(), gradient=s.grad.tolist(),
                              **o))
batches = []
for q, p, temperature in ((3, 5, 0.05), (2, 2, 1.0), (4, 9, 0.1)):
    s = t64([[single(rng.uniform(-1, 1)) for _ in range(p)] for _ in range(q)]).requires_grad_()
    own = [rng.randrange(p) for _ in range(q)]
    left = [[int(i != own[k] and rng.random() < 0.2) for i in range(p)] for k in range(q)]
    masked = (s / temperature).masked_fill(torch.tensor(left, dtype=torch.bool), float("-inf"))
    v = F.cross_entropy(masked, torch.tensor(own))
    v.backward()
    batches.append(dict(similarity=s.tolist(), own=own, left_out=left, temperature=temperature,
                        loss=v.item(), gradient=s.grad.tolist()))
print(json.dumps(dict(torch=torch.__version__, lists=lists, batches=batches), indent=None,
                 separators=(",", ":")))
