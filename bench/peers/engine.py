# SPDX-License-Identifier: Apache-2.0
"""What every peer has in common: the two ways its script is called, the lines it
answers, and the scoring of one question in batches sorted by length.

    peer_X.py prepare MODEL PRECISION FOLDER [TEXTS]   convert MODEL (Hugging Face) into FOLDER
    peer_X.py serve   MODEL PRECISION FOLDER THREADS   answer lines of standard input

TEXTS is a file of pairs, like those below, to calibrate with. Lines, and the one
line that answers each:

    load NAME FILE     reads FILE, {"query", "passages"} a line  -> number of queries
    run NAME BATCH     scores it, tokenisation included          -> CPU seconds
    scores             of the last run                           -> JSON, a list a query
    version                                                      -> name and version

bench_rerank speaks the same. Converting is apart from serving, so that a server's
start and memory are those of a program that runs a model that is there already."""
import json
import os
import sys
import time

import numpy as np

LIMIT = 512


def read_pairs(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Tokenizer:
    """Padded arrays from Hugging Face's tokenizers, which all peers share."""

    def __init__(self, folder, threads):
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
        os.environ["RAYON_NUM_THREADS"] = str(threads)
        from tokenizers import Tokenizer as Fast
        self.fast = Fast.from_file(os.path.join(folder, "tokenizer.json"))
        self.fast.no_padding()
        self.fast.enable_truncation(LIMIT, strategy="only_second")
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            self.pad = json.load(file).get("pad_token_id") or 0

    def encode(self, query, passages):
        return self.fast.encode_batch([(query, passage) for passage in passages])

    def arrays(self, encodings, dtype=np.int64):
        """ids, mask and types, [len(encodings)][longest]."""
        shape = len(encodings), max(len(e) for e in encodings)
        ids, mask, types = np.full(shape, self.pad, dtype), np.zeros(shape, dtype), np.zeros(shape, dtype)
        for row, e in enumerate(encodings):
            ids[row, :len(e)], mask[row, :len(e)], types[row, :len(e)] = e.ids, 1, e.type_ids
        return ids, mask, types


class Engine:
    """A peer. It defines `prepare`, `__init__` and `logits`."""

    def __init__(self, model, threads):
        self.tokenizer = Tokenizer(model, threads)

    @staticmethod
    def prepare(model, precision, folder, texts):
        """Converts the model; nothing to do by default."""

    def logits(self, encodings):
        """Of one batch of encodings of about equal length."""
        raise NotImplementedError

    def score(self, query, passages, batch):
        encodings = self.tokenizer.encode(query, passages)
        order = sorted(range(len(encodings)), key=lambda i: -len(encodings[i]))
        scores = np.empty(len(encodings))
        for at in range(0, len(order), batch):
            some = order[at:at + batch]
            scores[some] = self.logits([encodings[i] for i in some])
        return scores


def serve(engine):
    sets, found = {}, []
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "load":
            sets[words[0]] = read_pairs(words[1])
            answer = len(sets[words[0]])
        elif verb == "run":
            start = time.process_time()
            found = [engine.score(job["query"], job["passages"], int(words[1]))
                     for job in sets[words[0]]]
            answer = time.process_time() - start
        elif verb == "scores":
            answer = json.dumps([[float(f"{s:.9g}") for s in scores] for scores in found])
        elif verb == "version":
            answer = engine.version
        else:
            sys.exit(f"what is {verb}?")
        print(answer, flush=True)


def main(engine):
    """The command line of a peer's script."""
    verb, model, precision, folder, *rest = sys.argv[1:]
    if verb == "prepare":
        os.makedirs(folder, exist_ok=True)
        engine.prepare(model, precision, folder, rest[0] if rest else None)
        print("prepared", flush=True)
    else:
        os.environ["OMP_NUM_THREADS"] = rest[0]
        serve(engine(model, precision, folder, int(rest[0])))
