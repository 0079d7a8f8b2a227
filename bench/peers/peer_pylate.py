#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Late interaction by pylate and fast-plaid, as their users call them, on one thread.

    peer_pylate.py MODEL WORK SQLITE QUERIES

MODEL is assay's default bi-encoder, whose int8 weights are widened to floats; pylate gets
them with a Dense that changes nothing, no markers, and no filling up of questions, which is
what "late" is to assay. SQLITE is a data directory's database with a collection indexed with
--late-codes i8: fast-plaid's index is made of these vectors, by all cores, and kept in WORK.
Recall is against all of them compared exactly. Prints a JSON line for each measurement; what
is not installed is left out, and named on standard error."""
import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import sys
import time

import numpy as np
import torch
from safetensors.torch import load_file, save_file

FULL_SCORES = (4096, 1024, 400)  # of fast-plaid; the first is its default
PASSAGES, TOKENS, ROUNDS, K, ASKED, EVERY = 100, 180, 50, 100, 50, 20
QUESTION = "how many days of holiday may be carried over then"


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def tell(engine, what, seconds, **more):
    print(json.dumps({"engine": engine, "what": what, "ms": 1e3 * statistics.median(seconds), **more}), flush=True)


def timed(call):
    call()
    seconds = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        call()
        seconds.append(time.thread_time() - begun)
    return seconds


def widen(model, folder):
    """The folder with float weights and no quantisation."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(model, folder)
    found = load_file(model / "model.safetensors")
    scales = {n[:-len("_scale")]: s for n, s in found.items() if n.endswith("_scale")}
    floats = {n: t.float() * scales.get(n, 1) for n, t in found.items()
              if not n.endswith(("_scale", ".input_bytes", "_rows"))}
    for n in [n for n in floats if n.endswith("_refined")]:
        rows, weight = found[n + "_rows"].long(), n[:-len("_refined")]
        floats[weight][rows] += floats.pop(n)
        floats[weight[:-len("weight")] + "bias"][rows] = floats.pop(n + "_bias")
    save_file(floats, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization_config", None)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def open_model(folder):
    from pylate import models
    model = models.ColBERT(str(folder), embedding_size=384, query_prefix="", document_prefix="", skiplist_words=[],
                           do_query_expansion=False, query_length=256, document_length=256, device="cpu")
    with torch.no_grad():
        model[1].linear.weight.copy_(torch.eye(384))
    return model


def vectors_of(path):
    """Arrays [tokens, 384], as src/store/token_vectors.c lays them out."""
    found = []
    for (row,) in sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute(
            "SELECT vectors FROM token_vectors ORDER BY passage"):
        count = int.from_bytes(row[4:8], "little")
        steps = np.frombuffer(row, "<f4", count, 16)
        found.append(np.frombuffer(row, np.int8, offset=16 + 4 * count).reshape(count, -1) * steps[:, None])
    return found


def best_of(query, tokens, starts):
    scores = np.maximum.reduceat(tokens @ query.T, starts, axis=0).sum(1)
    return set(np.argpartition(-scores, K)[:K].tolist())


def speed(model, version):
    from pylate import rank
    from pylate.scores import colbert_scores
    tell(version, "encoding the question", timed(lambda: model.encode([QUESTION], is_query=True, show_progress_bar=False)))
    query = model.encode([QUESTION], is_query=True, convert_to_tensor=True, show_progress_bar=False)
    documents = torch.nn.functional.normalize(torch.randn(PASSAGES, TOKENS, 384), dim=-1)
    tell(version, "MaxSim, 100 passages, floats (colbert_scores)",
         timed(lambda: colbert_scores(query[0].unsqueeze(0), documents)))
    ids, lists = [list(range(PASSAGES))], [list(documents)]
    tell(version, "the same with rank.rerank", timed(lambda: rank.rerank(
        documents_ids=ids, queries_embeddings=query, documents_embeddings=lists, device="cpu")))


def plaid_index(work, arrays):
    """The index's folder; it takes many minutes, so what was made stays."""
    from fast_plaid import search
    folder, made = work / "plaid", work / "plaid.made"
    if not made.exists() or not made.read_text().startswith(f"{len(arrays)} "):
        shutil.rmtree(folder, ignore_errors=True)
        torch.set_num_threads(os.cpu_count())
        begun = time.time()
        search.FastPlaid(index=str(folder), device="cpu").create(
            documents_embeddings=[torch.from_numpy(a.astype(np.float32)) for a in arrays])
        torch.set_num_threads(1)
        made.write_text(f"{len(arrays)} passages in {time.time() - begun:.0f} s\n")
        say("fast-plaid indexed", made.read_text())
    return folder


def plaid(model, work, sqlite, path):
    import importlib.metadata
    from fast_plaid import search
    version = f"fast-plaid {importlib.metadata.version('fast-plaid')}"
    texts = [json.loads(line)["text"] for line in open(path)][::EVERY][:ASKED]
    queries = [model.encode([t], is_query=True, convert_to_tensor=True, show_progress_bar=False)[0] for t in texts]
    arrays = vectors_of(sqlite)
    index = search.FastPlaid(index=str(plaid_index(work, arrays)), device="cpu")
    starts = np.cumsum([0] + [len(a) for a in arrays[:-1]])
    tokens = np.concatenate(arrays).astype(np.float32)
    best = [best_of(query.numpy(), tokens, starts) for query in queries]
    for scored in FULL_SCORES:
        seconds, recalls = [], []
        for query, wanted in zip(queries, best):
            settings = {"queries_embeddings": query.unsqueeze(0), "top_k": K, "n_full_scores": scored}
            index.search(**settings)
            begun = time.process_time()
            found = index.search(**settings)[0]
            seconds.append(time.process_time() - begun)
            recalls.append(len(wanted & {i for i, _ in found}) / K)
        tell(version, f"100 of {len(arrays):,} passages, 4 bits, n_full_scores {scored}, "
                      "without the question's encoding", seconds, recall=round(statistics.mean(recalls), 3))


def main():
    model_folder, work, sqlite, queries = map(pathlib.Path, sys.argv[1:5])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    try:
        import pylate
    except ImportError as error:
        return say(f"peers are left out: {error}")
    model = open_model(widen(model_folder, work / "widened"))
    speed(model, f"pylate {pylate.__version__}, torch {torch.__version__}")
    try:
        plaid(model, work, sqlite, queries)
    except ImportError as error:
        say(f"fast-plaid is left out: {error}")


main()
