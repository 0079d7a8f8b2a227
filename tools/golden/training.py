#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains small models of tests/golden/models for ten steps of AdamW in PyTorch and writes
what came of it to tests/golden/training/.

Usage: tools/golden/training.py [OUT [NAME...]]       (OUT: tests/golden/training; all)

A file a model: the batches (token ids, types, labels), each step's loss and gradient norm,
and of every tensor its gradient in the first step and its values after the last one: at
16 places, and the sum of squares. Batches are padded and masked here, as PyTorch wants
them; token types and attention follow transformers. No dropout. Cross-encoders learn by
binary cross-entropy, bi-encoders by the softmax over the batch's passages, whose scores
are products of the vectors, 20 times as large where these have length 1."""
import json
import pathlib
import sys

import torch
import torch.nn.functional as F
import transformers
from transformers import AutoModel, AutoModelForSequenceClassification

import split as apart

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/training")
ONLY = sys.argv[2:]
MODELS = pathlib.Path("tests/golden/models")
STEPS, RATE, DECAY, CLIP, EPSILON = 10, 1e-3, 0.01, 1.0, 1e-6
PLACES = 16


def draw_batch(generator, config, count, longest):
    """Token ids of `count` sequences, with the place where type 1 begins. Without the padding
    token, which PyTorch gives no gradient."""
    batch = []
    tokens = [i for i in range(config.vocab_size) if i != (config.pad_token_id or 0)]
    for _ in range(count):
        length = int(torch.randint(1, longest + 1, (1,), generator=generator))
        ids = [tokens[i] for i in torch.randint(0, len(tokens), (length,), generator=generator)]
        batch.append({"ids": ids, "second": (length + 1) // 2})
    return batch


def pad(batch, config):
    """input_ids, token types and mask. Padding tokens in a text are tokens like others."""
    longest = max(len(b["ids"]) for b in batch)
    ids = torch.full((len(batch), longest), config.pad_token_id or 0)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, b in enumerate(batch):
        ids[i, :len(b["ids"])] = torch.tensor(b["ids"])
        mask[i, :len(b["ids"])] = 1
        if config.type_vocab_size > 1:
            types[i, b["second"]:len(b["ids"])] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def cross_loss(model, batch, labels):
    split = getattr(model.config, "assay_split", 0)
    if split:
        logits = apart.logits(model, [(b["ids"], b["second"]) for b in batch], split)
    else:
        logits = model(**pad(batch, model.config)).logits[:, 0]
    return F.binary_cross_entropy_with_logits(logits, torch.tensor(labels))


def vectors(model, batch, pooling):
    inputs = pad(batch, model.config)
    states = model(**inputs).last_hidden_state
    if pooling == "cls":
        pooled = states[:, 0]
    else:
        mask = inputs["attention_mask"][..., None].to(states.dtype)
        pooled = (states * mask).sum(1) / mask.sum(1)
    return pooled


def bi_loss(model, batch, pooling, scale):
    """The first half are queries, the second their passages."""
    all_vectors = vectors(model, batch, pooling)
    if scale > 1:
        all_vectors = F.normalize(all_vectors, dim=1)
    half = len(batch) // 2
    scores = scale * all_vectors[:half] @ all_vectors[half:].T
    return F.cross_entropy(scores, torch.arange(half))


def sample(tensor):
    flat = tensor.detach().double().flatten()
    places = [(i * 7919 + 3) % flat.numel() for i in range(PLACES)]
    return {"at": [flat[p].item() for p in places], "squares": (flat * flat).sum().item(),
            "largest": flat.abs().max().item()}


def groups(model):
    plain = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    others = [p for n, p in model.named_parameters()
              if not (n.endswith("bias") or "LayerNorm" in n)]
    return [{"params": others, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]


def train(name, seed, cross, pooling, longest, scale=1.0):
    if ONLY and name not in ONLY:
        return
    torch.manual_seed(seed)
    kind = AutoModelForSequenceClassification if cross else AutoModel
    model = kind.from_pretrained(MODELS / name, dtype=torch.float32, attn_implementation="eager")
    model.eval()  # no dropout; gradients are the same otherwise
    if not cross and getattr(model, "pooler", None) is not None:
        model.pooler = None
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(groups(model), lr=RATE, eps=EPSILON)
    steps, first = [], {}
    for step in range(STEPS):
        count = 4 + 2 * (step % 3)
        batch = draw_batch(generator, model.config, count, longest)
        labels = [float(i % 3 == 0) for i in range(count)] if cross else []
        optimizer.zero_grad()
        loss = cross_loss(model, batch, labels) if cross else \
            bi_loss(model, batch, pooling, scale)
        loss.backward()
        if step == 0:
            first = {n: sample(p.grad) for n, p in model.named_parameters() if p.grad is not None}
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        steps.append({"batch": batch, "labels": labels, "loss": loss.item(), "norm": norm.item()})
    last = {n: sample(p) for n, p in model.named_parameters()}
    tensors = {n: {"gradient": first[n], "values": last[n]} for n in last if n in first}
    result = {"model": name, "kind": "cross" if cross else "bi", "rate": RATE, "decay": DECAY,
              "clip": CLIP, "scale": scale, "epsilon": EPSILON, "steps": steps, "tensors": tensors,
              "versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(result, indent=None, separators=(",", ":")) + "\n")
    print(f"{name}: {steps[0]['loss']:.6f} -> {steps[-1]['loss']:.6f}")


torch.use_deterministic_algorithms(True)
train("cross-f32", 1, True, None, 40)
train("cross-xlmr", 2, True, None, 40)
train("cross-roberta", 3, True, None, 40)
train("cross-split", 6, True, None, 40)
train("dense-mean", 4, False, "mean", 40, 20.0)
train("dense-cls", 5, False, "cls", 40, 0.05)
