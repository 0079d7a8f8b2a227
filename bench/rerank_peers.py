#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reranking speed beside peers, in one run on one machine.

Usage: bench/rerank_peers.py MODEL PAIRS.jsonl [--build build] [--threads 2] [--rounds 7]

MODEL is a fp16 or fp32 cross-encoder folder; a line of PAIRS is {"query",
"passages"}. Every round times each engine once, end to end with tokenisation,
in turns, so that other work on the machine hits all alike; what counts is the
median of the per-round ratios, given with the lowest and the highest. On a busy
machine the ratio of CPU seconds is the steadier one. Each peer runs in its best
setting: batches sorted by length, the batch size that a first pass found
fastest, ONNX Runtime with its BERT fusions. Needs sentence-transformers,
onnxruntime and onnx (the bench's requirements, not the project's)."""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np


class Assay:
    name = "assay"

    def __init__(self, options, jobs):
        self.process = subprocess.Popen(
            [str(options.build / "bench/bench_rerank"), options.model, options.pairs,
             str(options.threads), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.jobs = jobs

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def seconds(self):
        return tuple(float(x) for x in self.ask("run").split())

    def scores(self):
        first = self.ask("scores")
        lines = [first] + [self.process.stdout.readline() for _ in self.jobs[1:]]
        return [np.array(line.split(), dtype=np.float64) for line in lines]


class Peer:
    """Times score(query, passages) over all jobs."""
    batches = (4, 8, 16, 32)

    def tune(self):
        times = {}
        for self.batch in self.batches:
            times[self.batch] = min(self.seconds()[1] for _ in range(2))
        self.batch = min(times, key=times.get)
        self.name += f", batches of {self.batch}"

    def seconds(self):
        start, cpu = time.perf_counter(), time.process_time()
        self.found = [self.score(job["query"], job["passages"]) for job in self.jobs]
        return time.perf_counter() - start, time.process_time() - cpu

    def scores(self):
        return self.found


class SentenceTransformers(Peer):
    def __init__(self, options, jobs):
        import torch
        from sentence_transformers import CrossEncoder, __version__
        torch.set_num_threads(options.threads)
        self.name = f"sentence-transformers {__version__} (torch {torch.__version__})"
        self.jobs = jobs
        self.model = CrossEncoder(options.model, device="cpu", activation_fn=torch.nn.Identity())
        self.model.model.float()
        self.tune()

    def score(self, query, passages):
        order = sorted(range(len(passages)), key=lambda i: -len(passages[i]))
        found = self.model.predict([(query, passages[i]) for i in order], batch_size=self.batch,
                                   show_progress_bar=False)
        scores = np.empty(len(passages))
        scores[order] = found
        return scores


class OnnxRuntime(Peer):
    def __init__(self, options, jobs):
        import onnxruntime
        from transformers import AutoTokenizer
        self.name = f"ONNX Runtime {onnxruntime.__version__}"
        self.jobs = jobs
        self.tokenizer = AutoTokenizer.from_pretrained(options.model)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        self.session = onnxruntime.InferenceSession(export(options.model), settings,
                                                    providers=["CPUExecutionProvider"])
        self.tune()

    def score(self, query, passages):
        inputs = self.tokenizer([query] * len(passages), passages, truncation="only_second",
                                max_length=512)
        order = sorted(range(len(passages)), key=lambda i: -len(inputs["input_ids"][i]))
        scores = np.empty(len(passages))
        for at in range(0, len(order), self.batch):
            some = order[at:at + self.batch]
            batch = self.tokenizer.pad({k: [v[i] for i in some] for k, v in inputs.items()},
                                       return_tensors="np")
            names = ("input_ids", "attention_mask", "token_type_ids")
            scores[some] = self.session.run(None, {n: batch[n].astype(np.int64)
                                                   for n in names})[0][:, 0]
        return scores


def export(folder):
    """fp32 ONNX, with ONNX Runtime's own fusions of BERT where they apply."""
    import torch
    from onnxruntime.transformers import optimizer
    from transformers import AutoModelForSequenceClassification
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32).eval()
    path = pathlib.Path(tempfile.mkdtemp()) / "model.onnx"
    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = (torch.ones(2, 16, dtype=torch.int64),) * 2 + (torch.zeros(2, 16, dtype=torch.int64),)
    torch.onnx.export(model, example, str(path), input_names=names, output_names=["logits"],
                      dynamic_axes={n: {0: "batch", 1: "length"} for n in names}, dynamo=False)
    fused = optimizer.optimize_model(str(path), model_type="bert",
                                     num_heads=model.config.num_attention_heads,
                                     hidden_size=model.config.hidden_size)
    print("onnx fusions:", {k: v for k, v in fused.get_fused_operator_statistics().items() if v})
    fused.save_model_to_file(str(path))
    return str(path)


def ratio_text(own, other):
    ratios = sorted(o / a for o, a in zip(other, own))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def compare(engines, times):
    own_wall, own_cpu = zip(*times[0])
    own = engines[0].scores()
    for engine, measured in zip(engines[1:], times[1:]):
        wall, cpu = zip(*measured)
        pairs = list(zip(own, engine.scores()))
        difference = max(np.abs(a - b).max() for a, b in pairs)
        same = np.mean([len(set(np.argsort(-a)[:10]) & set(np.argsort(-b)[:10])) / min(10, len(a))
                        for a, b in pairs])
        print(f"{engine.name}: takes {ratio_text(own_wall, wall)} times assay's time, "
              f"{ratio_text(own_cpu, cpu)} times its CPU seconds; logits differ by at most "
              f"{difference:.2g}, first ten in common {same:.3f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("pairs")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    jobs = [json.loads(line) for line in open(options.pairs, encoding="utf-8")]
    engines = [Assay(options, jobs)]
    for peer in (SentenceTransformers, OnnxRuntime):
        try:
            engines.append(peer(options, jobs))
        except Exception as problem:  # a peer that is not there is skipped, and said so
            print(f"skipped {peer.__name__}: {problem!r}"[:300])
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), "unknown CPU")
    print(f"{cpu}, {options.threads} threads, {sum(len(j['passages']) for j in jobs)} pairs")
    times = [[] for _ in engines]
    for _ in range(options.rounds):
        for engine, list_ in zip(engines, times):
            list_.append(engine.seconds())
    for engine, list_ in zip(engines, times):
        wall, cpu = zip(*list_)
        print(f"{engine.name}: median {statistics.median(wall):.3f} s "
              f"({min(wall):.3f} to {max(wall):.3f}), CPU {statistics.median(cpu):.3f} s")
    compare(engines, times)
    return 0


sys.exit(main())
