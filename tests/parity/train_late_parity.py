#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `assay train late` with pylate: the loss and the norm of its gradients in the first
step, and what both answer with the folder that is left.

Usage: tests/parity/train_late_parity.py [BUILD] [BASE...]

BASE are models for late interaction, by default those of tests/golden/models. Needs pylate;
without it, it says so and passes. Exits 1 when something is more than 1e-4 apart."""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    from pylate import losses, models, rank
except ImportError as reason:
    print(f"SKIP: {reason}")
    sys.exit(0)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
ASSAY = str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build") / "assay")
BASES = sys.argv[2:] or [str(ROOT / "tests/golden/models" / name)
                         for name in ("late-pylate", "late-pylate-attend", "late-colbert")]
QUERIES = ["how many days of leave", "notice period of the contract",
           "who is paid when sick, and how?", "rain"]
PASSAGES = [["An employee may carry over ten days of leave.", "Rain is water.",
             "Protein in a cell!", "x"],
            ["The notice period is three months.", "A parent may ask for leave (paid).",
             "how, when - what?", "Sick pay."],
            ["Sick pay is paid when the contract says so. " * 6, "year", "The year has days.",
             "cell cell cell"],
            ["Rain, water; rain.", "employee of the year", "may", "carry it over"]]
COLUMNS = len(PASSAGES[0])


def learn(base, folder):
    data, out = folder / "data.jsonl", folder / "out"
    data.write_text("".join(json.dumps({"query": q, "positives": p[:1], "negatives": p[1:]}) + "\n"
                            for q, p in zip(QUERIES, PASSAGES)))
    subprocess.run([ASSAY, "train", "late", "--data", data, "--dev", data, "--model", base,
                    "--batch", str(len(QUERIES)), "--negatives", str(COLUMNS - 1), "--steps", "1",
                    "--warmup", "0", "--rate", "0.001", "--dropout", "0", "--clip", "0",
                    "--patience", "0", "--train-embeddings", "--out", out],
                   check=True, stdout=subprocess.DEVNULL)
    first = next(r for r in csv.DictReader(open(out / "training.csv")) if r["loss"])
    return out, float(first["loss"]), float(first["norm"])


def reference(base):
    """Loss and norm by pylate: column i of the passages is one group of its batch."""
    model = models.ColBERT(base, device="cpu")
    model.eval()
    every = model.tokenize([p[i] for i in range(COLUMNS) for p in PASSAGES], is_query=False)
    groups = [model.tokenize(QUERIES, is_query=True)]
    for at in range(0, len(PASSAGES) * COLUMNS, len(PASSAGES)): # padded alike, as it wants them
        groups.append({name: value[at:at + len(PASSAGES)] if torch.is_tensor(value) else value
                       for name, value in every.items()})
    loss = losses.Contrastive(model)(groups, None)
    loss.backward()
    squares = sum(float(p.grad.double().pow(2).sum()) for p in model.parameters()
                  if p.grad is not None)
    return float(loss), squares ** 0.5


def scores(folder):
    model = models.ColBERT(str(folder), device="cpu")
    worst = 0
    for query, passages in zip(QUERIES, PASSAGES):
        found = subprocess.run([ASSAY, "rerank", "--model", folder, "--precision", "fp32", "--query",
                                query, "--json", *passages], check=True, capture_output=True)
        ours = {r["index"]: r["logit"] for r in json.loads(found.stdout)["results"]}
        theirs = rank.rerank(documents_ids=[list(range(COLUMNS))],
                             queries_embeddings=model.encode([query], is_query=True),
                             documents_embeddings=[model.encode(passages, is_query=False)])[0]
        worst = max([worst] + [abs(ours[t["id"]] - t["score"]) for t in theirs])
    return worst


def main():
    torch.set_num_threads(1)
    worst = 0
    for base in BASES:
        with tempfile.TemporaryDirectory() as folder:
            out, loss, norm = learn(base, pathlib.Path(folder))
            their_loss, their_norm = reference(base)
            apart = [abs(loss - their_loss) / their_loss, abs(norm - their_norm) / their_norm,
                     scores(out)]
        print(f"{pathlib.Path(base).name}: loss {loss:.6f} and {their_loss:.6f}, norm {norm:.6f} "
              f"and {their_norm:.6f}, scores of the folder at most {apart[2]:.1e} apart")
        worst = max([worst, *apart])
    sys.exit(worst > TOLERANCE)


if __name__ == "__main__":
    main()
