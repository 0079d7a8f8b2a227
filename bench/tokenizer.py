#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""assay's tokenizer beside the Hugging Face tokenizers library, one thread each,
round by round in turn on the same texts; CPU time, so that a busy machine does
not spoil the comparison.

    bench/tokenizer.py MODEL TEXTS [--build build] [--rounds 5]

MODEL is a folder with tokenizer.json; TEXTS is a file of one text per line, or a
corpus.jsonl. Prints a table and exits 1 when assay is less than five times as fast.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1")


def read_texts(path, limit):
    texts, size = [], 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            text = json.loads(line)["text"] if path.endswith(".jsonl") else line
            texts.append(" ".join(text.split("\n")).strip())
            size += len(texts[-1].encode()) + 1
            if size > limit:
                break
    return texts, size


def peer_round(tokenizer, texts):
    begin = time.process_time()
    encodings = tokenizer.encode_batch(texts)
    seconds = time.process_time() - begin
    return seconds, sum(len(e.ids) for e in encodings)


def assay_round(program, model, file):
    lines = subprocess.run([program, model, file, "1"], check=True, capture_output=True, text=True)
    opened, measured = map(json.loads, lines.stdout.splitlines())
    return measured["seconds"], measured["tokens"], opened["open_ms"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=4)
    arguments = parser.parse_args()
    try:
        import tokenizers
    except ImportError:
        print("SKIP: the Python package tokenizers is not installed")
        return 0
    program = str(pathlib.Path(arguments.build, "bench/bench_tokenizer"))
    file = str(pathlib.Path(arguments.model, "tokenizer.json"))
    peer = tokenizers.Tokenizer.from_file(file)
    peer.no_truncation()
    peer.no_padding()
    texts, size = read_texts(arguments.texts, arguments.megabytes * 1e6)
    ours, theirs, opened = [], [], []
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="\n") as lines:
        lines.write("".join(t + "\n" for t in texts))
        lines.flush()
        for _ in range(arguments.rounds):
            seconds, tokens, open_ms = assay_round(program, arguments.model, lines.name)
            ours.append(seconds)
            opened.append(open_ms)
            seconds, peer_tokens = peer_round(peer, texts)
            theirs.append(seconds)
            if tokens != peer_tokens:
                raise SystemExit(f"assay gives {tokens} tokens, tokenizers {peer_tokens}")
    print(f"{len(texts)} texts, {size / 1e6:.1f} MB, {tokens} tokens; opening {min(opened):.1f} ms")
    for name, seconds in (("assay", ours), (f"tokenizers {tokenizers.__version__}", theirs)):
        middle = statistics.median(seconds)
        print(f"{name:20} {tokens / middle:12,.0f} tokens/s {size / middle / 1e6:8.1f} MB/s")
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(f"ratio {ratio:.1f}")
    return 0 if ratio >= 5 else 1


if __name__ == "__main__":
    sys.exit(main())
