#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the scores of a reranker beside the passages of training data, for --distil.

Usage: tools/teach.py LISTS MODEL OUT [--max-tokens 192] [--threads N] [--build build]

LISTS is a file that `assay mine` wrote, or one like it; scores that it has already are
replaced. `assay mine --teacher` does the same where a collection is mined anew; this is for
lists that are there. Texts are laid out and cut as `assay train` does."""
import argparse
import ctypes
import json
import pathlib


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Score(ctypes.Structure):
    _fields_ = [("logit", ctypes.c_float), ("probability", ctypes.c_float),
                ("tokens", ctypes.c_uint32), ("truncated", ctypes.c_bool),
                ("query_truncated", ctypes.c_bool), ("status", ctypes.c_int)]


class Options(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_uint32), ("max_tokens", ctypes.c_uint32),
                ("more", ctypes.c_uint8 * 64)]


def text_of(string):
    data = string.encode()
    return Text(data, len(data))


def shown(passage):
    title, text = passage.get("title") or "", passage["text"]
    if not title or text.lower().startswith(title.lower()):
        return text
    return title + ("" if title[-1] in ".?!:" else ".") + " " + text


class Teacher:
    def __init__(self, build, model, max_tokens, threads):
        self.assay = ctypes.CDLL(str(build / "libassay.so"))
        self.model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        options = Options(threads, max_tokens)
        if self.assay.assay_model_open(model.encode(), None, ctypes.byref(self.model), None) or \
                self.assay.assay_session_open(self.model, ctypes.byref(options),
                                              ctypes.byref(self.session), None):
            raise SystemExit(f"{model}: cannot be opened (assay info {model})")

    def scores(self, query, passages):
        scores = (Score * len(passages))()
        texts = (Text * len(passages))(*map(text_of, passages))
        if self.assay.assay_rerank(self.session, text_of(query), texts,
                                   ctypes.c_size_t(len(passages)), scores, None):
            return [None] * len(passages)
        return [round(s.logit, 4) if s.status == 0 else None for s in scores]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=pathlib.Path)
    parser.add_argument("model")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--max-tokens", type=int, default=192)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--build", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[1] / "build")
    o = parser.parse_args()
    teacher = Teacher(o.build, o.model, o.max_tokens, o.threads)
    with open(o.lists, encoding="utf-8") as lines, open(o.out, "w", encoding="utf-8") as out:
        for line in map(json.loads, lines):
            passages = line["positives"] + line["negatives"]
            scores = teacher.scores(line["query"], [shown(p) for p in passages])
            for passage, score in zip(passages, scores):
                passage["score"] = score
            if None not in scores:
                out.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
