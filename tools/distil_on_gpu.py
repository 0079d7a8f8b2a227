#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Teaches models on a GPU, by PyTorch, of which `assay train` goes on from there: a
cross-encoder that is split (docs/split.md), and a bi-encoder read for late interaction.

Usage: tools/distil_on_gpu.py prepare DATA TEXTS ABSTRACTS SHORT LONG CROSS OUT
       tools/distil_on_gpu.py split OUT CROSS LAYERS:SECONDS:RATE...
       tools/distil_on_gpu.py late OUT CROSS DENSE BGE SECONDS:RATE
       tools/distil_on_gpu.py project OUT

`prepare` wants no GPU. DATA, TEXTS and ABSTRACTS are what tools/distil_long_passages.py reads,
SHORT and LONG the WORK of tools/distil_default_cross.py and of that script, whose passages,
queries and teachers' vectors are taken; OUT/texts.npz has their tokens, of each query the 40
passages that four teachers find (its own first), of each passage the 16 nearest, and sentences.

`split` learns the logits of CROSS (fp32), the plain cross-encoder, on lists of eight passages:
of a query, or, three times in ten, of a sentence that is taken out of a passage of its own.
Each job goes on from the one before, the first from CROSS, for so many seconds, the rate falling
to 0; OUT/split-LAYERS is a model. `late` goes on from DENSE (fp32): the sum of the similarities
of its tokens, and the cosine of its means, are to rank lists of twelve as four teachers and CROSS
do, and what is similar to what among pieces of passages is to be as BGE (bge-small-en-v1.5) and
DENSE have it; OUT/late is a bi-encoder. Words, positions and types stay as they are. `project`
makes of it OUT/colbert in pylate's layout, whose vectors are the hidden states in 128 of their
principal directions.

Everything is bfloat16 but sums, master weights and moments. A run is not repeatable to the bit:
what is drawn is, not how many steps fit into the time. Needs numpy, scipy, safetensors,
tokenizers (prepare) and torch."""
import argparse
import json
import math
import pathlib
import shutil
import string
import sys
import time

import numpy as np

SHORT_PASSAGES, SHORT_QUERIES = 36488, 26204  # those of distil_default_cross.py come first
LIST, FOUND, NEAR = 8, 40, 16
HEADS, WIDTH = 12, 384
CLS, SEP = 101, 102
FROZEN = ("word_embeddings", "position_embeddings", "token_type")


# ---------------------------------------------------------------- what is learned from


def standardised(scores):
    scores = scores - scores.mean(1, keepdims=True)
    return scores / (scores.std(1, keepdims=True) + 1e-6)


def best(scores, count):
    """Of each row the places of the highest, and these."""
    found = np.argpartition(-scores, count, axis=1)[:, :count]
    values = np.take_along_axis(scores, found, 1)
    order = np.argsort(-values, axis=1)
    return np.take_along_axis(found, order, 1), np.take_along_axis(values, order, 1)


def sentences(passages):
    """(passage, first token, full stop) of those that may be queries."""
    stop, digits, out = 1012, range(1014, 1024), []
    for number, ids in enumerate(passages):
        start = 0
        for end in np.flatnonzero(np.array(ids) == stop) if len(ids) >= 50 else ():
            if end > 0 and end + 1 < len(ids) and ids[end - 1] in digits:
                continue
            if 9 <= end - start <= 56 and len(ids) - (end - start) >= 30:
                out.append((number, start, end))
            start = end + 1 if end - start >= 4 else start
    return np.array(out, np.uint16)


def prepare(o):
    import distil_default_cross as short_part
    import distil_long_passages as long_part
    from tokenizers import Tokenizer
    short = short_part.Texts(o.data, o.texts)
    texts = [short, long_part.Texts(o, short)]
    passages = [short_part.shown(p) for part in texts for p in part.passages]
    queries = [q["text"] for part in texts for q in part.queries]
    own = np.array([q["passage"] + first for part, first in zip(texts, (0, SHORT_PASSAGES))
                    for q in part.queries])
    assert len(short.passages) == SHORT_PASSAGES and len(short.queries) == SHORT_QUERIES

    def unit(name, side):
        v = np.concatenate([np.load(folder / f"{name}.{side}.npy") for folder in (o.short, o.long)])
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    vectors = [(unit(name, "passages"), unit(name, "queries")) for name in ("dense", "bge", "e5")]
    by_words = short_part.bm25(passages, queries)
    found, scores, near = [], [], []
    for at in range(0, len(queries), 512):
        part = slice(at, at + 512)
        together = sum(standardised(q[part] @ p.T) for p, q in vectors)
        together += standardised(np.asarray((by_words[0][part] @ by_words[1]).todense()))
        rows = np.arange(len(together))
        of_own = together[rows, own[part]].copy()
        together[rows, own[part]] = np.inf
        places, values = best(together, FOUND)
        values[:, 0] = of_own
        found.append(places)
        scores.append(values)
    for at in range(0, len(passages), 512):
        together = sum(standardised(p[at:at + 512] @ p.T) for p, _ in vectors)
        together[np.arange(len(together)), np.arange(at, at + len(together))] = -np.inf
        near.append(best(together, NEAR)[0])
    tokenizer = Tokenizer.from_file(str(o.cross / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    arrays = {}
    for name, lines, most in (("p", passages, 440), ("q", queries, 62)):
        ids = [e.ids[:most] for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
        arrays[name + "f"] = np.concatenate([np.array(line, np.uint16) for line in ids])
        arrays[name + "l"] = np.array([len(line) for line in ids])
        if name == "p":
            arrays["spans"] = sentences(ids)
    o.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(o.out / "texts.npz", cand=np.concatenate(found).astype(np.uint16),
                        score=np.concatenate(scores).astype(np.float16),
                        near=np.concatenate(near).astype(np.uint16), **arrays)


# ---------------------------------------------------------------- BERT over ragged batches


def torch_here():
    global torch, F, DEVICE
    import torch
    import torch.nn.functional as F
    DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)


class Sequences:
    """Tokens end to end, and the cells of a grid [sequences][longest] that hold them."""

    def __init__(self, there):
        self.rows, self.longest = there.shape
        self.cells = there.flatten().nonzero()[:, 0]
        self.first = there.sum(1).cumsum(0) - there.sum(1)
        self.mask = torch.zeros(there.shape, dtype=torch.bfloat16, device=there.device) \
            .masked_fill(~there, float("-inf"))[:, None, None, :]

    def grid(self, states):
        cells = states.new_zeros(self.rows * self.longest, states.shape[1])
        return cells.index_copy(0, self.cells, states).view(self.rows, self.longest, -1)


def layer(p, number, h, s, first_only=False):
    def w(name):
        return p[f"encoder.layer.{number}.{name}.weight"], p[f"encoder.layer.{number}.{name}.bias"]

    def several(*names):
        return [torch.cat(parts) for parts in zip(*(w("attention.self." + n) for n in names))]

    def heads(states, parts):
        return s.grid(states).view(s.rows, s.longest, parts, HEADS, -1).permute(2, 0, 3, 1, 4)

    def norm(states, name):
        return F.layer_norm(states, (WIDTH,), *w(name), 1e-12)

    if first_only:
        k, v = heads(F.linear(h, *several("key", "value")), 2)
        h = h[s.first]
        q = F.linear(h, *w("attention.self.query")).view(s.rows, 1, HEADS, -1).transpose(1, 2)
    else:
        q, k, v = heads(F.linear(h, *several("query", "key", "value")), 3)
    mask = s.mask.expand(-1, HEADS, q.shape[2], -1)
    seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    seen = seen.transpose(1, 2).reshape(-1, WIDTH)
    if not first_only:
        seen = seen[s.cells]
    h = norm(h + F.linear(seen, *w("attention.output.dense")), "attention.output.LayerNorm")
    inner = F.gelu(F.linear(h, *w("intermediate.dense")))
    return norm(h + F.linear(inner, *w("output.dense")), "output.LayerNorm")


def embed(p, ids, types, positions):
    e = [p[f"embeddings.{name}_embeddings.weight"][of] for name, of in
         (("word", ids), ("token_type", types), ("position", positions))]
    return F.layer_norm(sum(e), (WIDTH,), p["embeddings.LayerNorm.weight"],
                        p["embeddings.LayerNorm.bias"], 1e-12)


def states(p, layers, ids, there):
    """[sequences][longest][384] of texts by themselves."""
    s = Sequences(there)
    h = embed(p, ids[there], torch.zeros_like(ids[there]), (there.cumsum(1) - 1)[there])
    for number in range(layers):
        h = layer(p, number, h, s)
    return s.grid(h)


def weights(folder):
    from safetensors.torch import load_file
    return {name.removeprefix("bert."): w.to(DEVICE).float()
            for name, w in load_file(folder / "model.safetensors").items()
            if w.is_floating_point()}


def halves(p):
    return {name: w.bfloat16() for name, w in p.items()}


class Student:
    """float32 masters that AdamW moves, and bfloat16 copies that are computed with."""

    def __init__(self, start):
        self.masters, self.p = {n: w.clone() for n, w in start.items()}, halves(start)
        self.names = [n for n in start if not any(f in n for f in FROZEN)]
        plain = [n for n in self.names if "bias" in n or "LayerNorm" in n or "scale" in n]
        decayed = [n for n in self.names if n not in plain]
        for name in self.names:
            self.p[name].requires_grad_(True)
        self.optimizer = torch.optim.AdamW(
            [{"params": [self.masters[n] for n in decayed], "weight_decay": 0.01},
             {"params": [self.masters[n] for n in plain], "weight_decay": 0}], betas=(0.9, 0.98))

    def step(self, loss, rate):
        loss.backward()
        moved = [n for n in self.names if self.p[n].grad is not None]
        gradients = {n: self.p[n].grad.float() for n in moved}
        norm = torch.stack([g.norm() for g in gradients.values()]).norm()
        for name in self.names:
            self.masters[name].grad = gradients[name] / norm.clamp(min=1) if name in moved else None
            self.p[name].grad = None
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        with torch.no_grad():
            for name in self.names:
                self.p[name].copy_(self.masters[name])


# ---------------------------------------------------------------- batches


def drawn(low, high, *shape):
    return torch.randint(low, high, shape, device=DEVICE)


def some(count, out_of, rows):
    """Of each row `count` places of `out_of`, each once."""
    return torch.rand(rows, out_of, device=DEVICE).argsort(1)[:, :count]


class Texts:
    def __init__(self, flat, length):
        self.flat = torch.tensor(flat.astype(np.int32), device=DEVICE)
        self.length = torch.tensor(length.astype(np.int64), device=DEVICE)
        self.start = self.length.cumsum(0) - self.length

    def cells(self, which, hole=None, begin=0, length=None):
        """A grid of token ids, and which are there; hole: (start, end) that each leaves out."""
        n = self.length[which] if length is None else length
        if hole is not None:
            n = n - (hole[1] - hole[0])
        r = torch.arange(int(n.max()), device=DEVICE)[None]
        at = (self.start[which] + begin)[:, None] + r
        if hole is not None:
            at = at + (r >= hole[0][:, None]) * (hole[1] - hole[0])[:, None]
        return self.flat[at.clamp(max=len(self.flat) - 1)].long(), r < n[:, None]


def framed(ids, there, cls=True):
    """[SEP] behind each and [CLS] before; as wide as attention's masks like it."""
    n, one = there.sum(1)[:, None], ids.new_zeros(len(ids), 1)
    ids = torch.cat([ids, one], 1).scatter(1, n, SEP)
    there = torch.cat([there, one.bool()], 1).scatter(1, n, True)
    if cls:
        ids, there = torch.cat([one + CLS, ids], 1), torch.cat([one == 0, there], 1)
    more = -ids.shape[1] % 8
    return F.pad(ids, (0, more)), F.pad(there, (0, more))


class Data:
    def __init__(self, path):
        t = np.load(path)
        self.passages, self.queries = Texts(t["pf"], t["pl"]), Texts(t["qf"], t["ql"])
        self.found, self.near, self.spans = (torch.tensor(t[n].astype(np.int64), device=DEVICE)
                                             for n in ("cand", "near", "spans"))
        self.scores = torch.tensor(t["score"].astype(np.float32), device=DEVICE)
        self.long_spans = int((self.spans[:, 0] < SHORT_PASSAGES).sum())

    def some_queries(self, long, count):
        return drawn(SHORT_QUERIES, len(self.queries.length), count) if long \
            else drawn(0, SHORT_QUERIES, count)

    def taken_out(self, long):
        """Sentences as queries, and the cells of their passages without them and of others."""
        n = 20 if long else 52
        span = self.spans[drawn(self.long_spans, len(self.spans), n) if long
                          else drawn(0, self.long_spans, n)]
        own = span[:, 0]
        query = self.passages.cells(own, begin=span[:, 1], length=span[:, 2] - span[:, 1])
        which = torch.cat([own[:, None], self.near[own].gather(1, some(LIST - 2, NEAR, n)),
                           drawn(0, len(self.passages.length), n, 1)], 1)
        start, end = torch.zeros_like(which), torch.zeros_like(which)
        start[:, 0], end[:, 0] = span[:, 1], span[:, 2] + 1
        end = torch.minimum(end, self.passages.length[which])
        return query, self.passages.cells(which.flatten(), (start.flatten(), end.flatten()))

    def lists(self):
        """Queries and passages framed, and of each passage whose list it is in."""
        long, sentence = torch.rand(2).tolist()
        if sentence < 0.3:
            query, passages = self.taken_out(long < 0.5)
        else:
            q = self.some_queries(long < 0.5, 20 if long < 0.5 else 52)
            query = self.queries.cells(q)
            places = torch.cat([some(2, 6, len(q)), 6 + some(3, 18, len(q)),
                                24 + some(2, FOUND - 24, len(q))], 1)
            which = torch.cat([self.found[q].gather(1, places),
                               drawn(0, len(self.passages.length), len(q), 1)], 1)
            passages = self.passages.cells(which.flatten())
        of = torch.arange(len(query[0]), device=DEVICE).repeat_interleave(LIST)
        return *framed(*(part[:, :62] for part in query)), *framed(*passages, cls=False), of

    def long_lists(self, size=12):
        """The same of a query's own and eleven others, not framed, with the teachers' scores."""
        long = torch.rand(()).item() < 0.5
        q = self.some_queries(long, 9 if long else 22)
        places = torch.cat([torch.zeros_like(q)[:, None], 1 + some(6, 15, len(q)),
                            16 + some(size - 7, FOUND - 16, len(q))], 1)
        query = tuple(part[:, :62] for part in self.queries.cells(q))
        of = torch.arange(len(q), device=DEVICE).repeat_interleave(size)
        return query, self.passages.cells(self.found[q].gather(1, places).flatten()), of, \
            self.scores[q].gather(1, places)

    def crops(self, count=160):
        """Pieces of 16 to 256 tokens."""
        which = drawn(0, len(self.passages.length), count)
        whole = self.passages.length[which]
        n = torch.minimum(whole, (16 ** (1 + torch.rand(count, device=DEVICE))).long())
        begin = (torch.rand(count, device=DEVICE) * (whole - n + 1)).long()
        return framed(*self.passages.cells(which, begin=begin, length=n))


def run(seconds, peak, one_step):
    """Steps for so long; one_step(rate) gives its loss."""
    begun, said, step, losses = time.time(), 0.0, 0, 0
    while (share := (time.time() - begun) / seconds) < 1:
        losses, step = losses + one_step(peak * min(1, (step + 1) / 100) * (1 - share)), step + 1
        if time.time() - said > 15:
            print(f"step {step}, {time.time() - begun:.0f} s, loss {losses / step:.4f}", flush=True)
            said = time.time()


def write(p, base, out, **settings):
    """The model folder `base` with other weights and some more settings."""
    from safetensors.torch import load_file, save_file
    shutil.copytree(base, out, dirs_exist_ok=True)
    old = load_file(base / "model.safetensors")
    save_file({n: p.get(n.removeprefix("bert."), w).detach().cpu().contiguous()
               for n, w in old.items()}, out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((base / "config.json").read_text()) | settings
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


# ---------------------------------------------------------------- the cross-encoder


def pairs(query, passage, of):
    """One grid of both."""
    return torch.cat([query[of], passage], 1)


def head(p, h, s, number):
    """Logit and state of [CLS] behind the last layer."""
    c = layer(p, number, h, s, True)
    pooled = torch.tanh(F.linear(c, p["pooler.dense.weight"], p["pooler.dense.bias"]))
    return F.linear(pooled, p["classifier.weight"], p["classifier.bias"])[:, 0].float(), c


def plain(p, qi, qt, pi, pt, of):
    ids, there = pairs(qi, pi, of), pairs(qt, pt, of)
    types = torch.zeros_like(ids)
    types[:, qi.shape[1]:] = 1
    s = Sequences(there)
    h = embed(p, ids[there], types[there], (there.cumsum(1) - 1).clamp(0, 511)[there])
    for number in range(5):
        h = layer(p, number, h, s)
    return head(p, h, s, 5)


def split(p, layers, qi, qt, pi, pt, of):
    """tools/golden/split.py's, each query's lower layers computed once."""
    parts, cells, count = [], [], 0
    for ids, there, kind, begin in ((qi, qt, 0, 0), (pi, pt, 1, 64)):
        s = Sequences(there)
        h = embed(p, ids[there], torch.full_like(ids[there], kind),
                  (begin + there.cumsum(1) - 1)[there])
        for number in range(layers):
            h = layer(p, number, h, s)
        at = torch.zeros_like(ids)
        at[there] = count + torch.arange(len(h), device=DEVICE)
        count += len(h)
        parts.append(h)
        cells.append(at)
    there = pairs(qt, pt, of)
    s, h = Sequences(there), torch.cat(parts)[pairs(*cells, of)[there]]
    for number in range(layers, 5):
        h = layer(p, number, h, s)
    return head(p, h, s, 5)


def distil_split(o):
    torch_here()
    data, start = Data(o.out / "texts.npz"), weights(o.cross)
    teacher = halves(start)
    for job in o.jobs:
        layers, seconds, peak = (float(n) for n in job.split(":"))
        layers, student = int(layers), Student(start)

        def one_step(rate):
            batch = data.lists()
            with torch.no_grad():
                wanted, wanted_state = plain(teacher, *batch)
            got, got_state = split(student.p, layers, *batch)
            a, b = wanted.view(-1, LIST), got.view(-1, LIST)
            order = F.kl_div(b.log_softmax(1), a.log_softmax(1), log_target=True,
                             reduction="none").sum(1).mean()
            loss = order + 0.05 * (a - b).square().mean() \
                + 2 * (got_state.float() - wanted_state.float()).square().mean()
            student.step(loss, rate)
            return loss.detach()

        run(seconds, peak, one_step)
        start = student.masters
        write(start, o.cross, o.out / f"split-{layers}", assay_split=layers)


# ---------------------------------------------------------------- tokens that are compared


def means(h, there):
    there = there[..., None]
    return F.normalize((h.float() * there).sum(1) / there.sum(1), dim=1)


def maxsim(hq, qt, hp, pt, of):
    """The mean over the query's tokens of each one's largest cosine."""
    cosines = torch.bmm(F.normalize(hq.float(), dim=2)[of],
                        F.normalize(hp.float(), dim=2).transpose(1, 2))
    return (cosines.masked_fill(~pt[:, None], -2).amax(2) * qt[of]).sum(1) / qt.sum(1)[of]


def distil_late(o):
    torch_here()
    torch.backends.cuda.matmul.allow_tf32 = True
    data, cross, dense, bge = Data(o.out / "texts.npz"), *(halves(weights(f))
                                                           for f in (o.cross, o.dense, o.bge))
    scale = {n: torch.tensor([math.log(v) / 10], device=DEVICE)
             for n, v in (("means.scale", 20), ("tokens.scale", 25))}
    student = Student(weights(o.dense) | scale)

    def unlike(got, wanted):
        return F.kl_div(got.log_softmax(1), wanted, log_target=True, reduction="none").sum(1).mean()

    def times(name):
        return (10 * student.p[name].float()).exp()

    def one_step(rate):
        query, passages, of, scores = data.long_lists()
        (qi, qt), (pi, pt), (ci, ct) = framed(*query), framed(*passages), data.crops()
        apart = torch.eye(len(ci), dtype=torch.bool, device=DEVICE)
        with torch.no_grad():
            logits, _ = plain(cross, qi, qt, *framed(*passages, cls=False), of)
            order = (0.15 * scores + 0.5 * logits.view(scores.shape)).log_softmax(1)
            b = F.normalize(states(bge, 12, ci, ct)[:, 0].float(), dim=1)
            d = means(states(dense, 6, ci, ct), ct)
            alike = (b @ b.T / 0.06 + d @ d.T / 0.1).masked_fill(apart, -1e4).log_softmax(1)
        hq, hp = states(student.p, 6, qi, qt), states(student.p, 6, pi, pt)
        c = means(states(student.p, 6, ci, ct), ct)
        cosines = (means(hq, qt)[of] * means(hp, pt)).sum(1).view(scores.shape)
        tokens = maxsim(hq, qt, hp, pt, of).view(scores.shape)
        loss = unlike(cosines * times("means.scale"), order) \
            + unlike(tokens * times("tokens.scale"), order) \
            + unlike((c @ c.T / 0.05).masked_fill(apart, -1e4), alike)
        student.step(loss, rate)
        return loss.detach()

    run(*(float(n) for n in o.job.split(":")), one_step)
    write(student.masters, o.dense, o.out / "late")


def principal_directions(p, data, count=700):
    """[384][384] by falling variance around 0 of the tokens' states, of length 1: those of
    queries count as much as those of passages."""
    rng, squares = np.random.default_rng(1), np.zeros((WIDTH, WIDTH))
    for texts, most in ((data.passages, 200), (data.queries, 62)):
        of_texts, tokens = np.zeros((WIDTH, WIDTH)), 0
        for which in rng.integers(0, len(texts.length), count):
            ids, there = texts.cells(torch.tensor([which], device=DEVICE))
            ids, there = framed(ids[:, :most], there[:, :most])
            h = states(p, 6, ids, there)[there].float()
            h = F.normalize(h, dim=1).detach().cpu().numpy()
            of_texts, tokens = of_texts + h.T @ h, tokens + len(h)
        squares += of_texts / tokens
    return np.linalg.eigh(squares)[1].T[::-1].astype(np.float32)


def project(o, width=128):
    torch_here()
    from safetensors.numpy import save_file
    directions = principal_directions(halves(weights(o.out / "late")), Data(o.out / "texts.npz"))
    colbert = o.out / "colbert"
    shutil.copytree(o.out / "late", colbert, dirs_exist_ok=True)
    shutil.rmtree(colbert / "1_Pooling")
    (colbert / "1_Dense").mkdir(exist_ok=True)
    save_file({"linear.weight": np.ascontiguousarray(directions[:width])},
              colbert / "1_Dense/model.safetensors", metadata={"format": "pt"})
    for name, settings in (
            ("1_Dense/config.json", {
                "in_features": WIDTH, "out_features": width, "bias": False,
                "activation_function": "torch.nn.modules.linear.Identity",
                "use_residual": False}),
            ("modules.json", [
                {"idx": 0, "name": "0", "path": "",
                 "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"}]),
            ("config_sentence_transformers.json", {
                "model_type": "ColBERT", "query_prefix": "[unused0]",
                "document_prefix": "[unused1]", "query_length": 64, "document_length": 300,
                "do_query_expansion": False, "attend_to_expansion_tokens": False,
                "skiplist_words": list(string.punctuation), "similarity_fn_name": "MaxSim"})):
        (colbert / name).write_text(json.dumps(settings, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for command, call, folders in (
            ("prepare", prepare, "data texts abstracts short long cross out"),
            ("split", distil_split, "out cross"), ("late", distil_late, "out cross dense bge"),
            ("project", project, "out")):
        sub = commands.add_parser(command)
        sub.set_defaults(call=call)
        for folder in folders.split():
            sub.add_argument(folder, type=pathlib.Path)
        if command == "split":
            sub.add_argument("jobs", nargs="+")
        if command == "late":
            sub.add_argument("job")
    options = parser.parse_args()
    sys.exit(options.call(options))


if __name__ == "__main__":
    main()
