#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/unigram: small Unigram tokenizers and what the Hugging Face
tokenizers library makes of tricky texts with them. Offsets are turned into bytes.

    tools/golden/unigram.py TEXT...

TEXT are files with a text a line, in as many languages as can be had (the
translations of Django 5.2 were used). SentencePiece learns from them:
"xlmr"   3,000 pieces with the charsmap nmt_nfkc, turned into tokenizer.json by
         transformers' converter of XLM-RoBERTa;
"words"  500 pieces, WhitespaceSplit and a Metaspace of before 2021, <mask>
         looked for in normalised text, as multilingual-e5 has it;
"whole"  600 pieces that go across spaces, not split, byte fallback;
"steps"  every step of a normalizer that there is, pieces that are there twice,
         added tokens of every kind, RobertaProcessing.
The last three have a charsmap of the texts' own characters, so that it's small.
"""
import base64
import importlib.metadata
import io
import json
import pathlib
import sys
import tempfile

import sentencepiece
from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import XLMRobertaConverter, import_protobuf

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tokenizer as wordpiece  # noqa: E402, the texts and the ways to ask

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/unigram"

TEXTS = [
    "  leading and trailing  ", "two  spaces   three    four", "\u2581mark \u2581\u2581marks a\u2581b", "a \u2581b  \u2581 c",
    "\x01\x02start of control", "\u200bzero width first", "\u00adsoft first", "\x01", "\x01 \x02", "\u3000ideographic\u3000space",
    "\u00a8diaeresis \u00b4acute", "a\u00a8b", "\ufdfa \ufdfb", "\u2121\u2122\u213b", "\u2122\x1eg", "\u2122\u0301", "1\u20e3 \u2460\u0301 \u2460\u0301\u0301",
    "A\u030a e\u0301 o\u0308\u0304 \u0061\u0323\u0307", "\r\nline\r\n\r\nends\n\n", "\r \n \t tab", "\u0915\u094d\u0937 \u0958\u0301 \u0915\u093c",
    "\u1112\u1161\u11ab\u1100\u1173\u11af", "\uffa1\uffc2 \uff76\uff9e", "\u0e33 \u0eb3 \u0e01\u0e4d\u0e32", "<mask>", "a <mask>b", "a  <mask> , <s></s><pad><unk>",
    " <mask><mask> ", "\u2581<mask>", "\u0120<mask>", "<mask", "<0x41> <0x0A>", "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea\U0001f1eb",
    "\u00a9\u200d\u00a9 \u00ae\u0301", "\u0600a \u06dd1", "x" * 30, "日本語" * 9, "ab" * 150, "\u0301" * 20, "☃" * 9, "a☃b☃☃c", "''quoted''''",
    "don't ''", "the and of to in", "\u01c4\u01c5 \u1e9b\u0323 \u017f", "\ufeffbom", "a\u2028b\u2029c\u0085d", "tail \u00a0", "tail\t", "\u200d", "\ufffd\ufffd",
    "ᚠᚢ", "ᚦᚨ", "ᚢᚠᚢᚦᚨᚢ",
]

ADDED = ["New York", "new York", "Newyork", "a New  York b", "#tag", "a#tag b", "#tags", " #tag ", "«q»", "x «q»  y", "\u2581z", " z", "z"]


def train(texts, size, **options):
    model = io.BytesIO()
    sentencepiece.set_random_generator_seed(1)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=size, model_type="unigram",
        hard_vocab_limit=False, num_threads=1, minloglevel=2, max_sentence_length=20000, **options)
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto


def own_rules(texts):
    """A rule file of what nmt_nfkc does to the characters of these texts, and to the
    pairs of a letter and a mark in them."""
    normalizer = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc")
    units = {c for t in texts for c in t} | {t[i:i + 2] for t in texts for i in range(len(t) - 1)
                                             if "\u0300" <= t[i + 1] < "\u0370"}
    rules = []
    for unit in sorted(units - {" ", "\u2581", "\0"}):
        becomes = normalizer.normalize(f"a{unit}a")[2:-1].replace("\u2581", " ")  # a mark comes first
        if becomes != unit and not (len(unit) > 1 and becomes[:1] == unit[0]):
            rules.append([" ".join(f"{ord(c):X}" for c in s) for s in (unit, becomes)])
    return "".join(f"{source}\t{target}\n" for source, target in rules)


class Slow:
    """What the converter wants of a tokenizer."""
    def __init__(self, path):
        self.vocab_file = path

    def convert_tokens_to_ids(self, token):
        return {"<s>": 0, "</s>": 2}[token]


SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def converted(proto):
    """tokenizer.json as transformers saves it for XLM-RoBERTa."""
    with tempfile.NamedTemporaryFile(suffix=".model") as file:
        file.write(proto.SerializeToString())
        file.flush()
        root = json.loads(XLMRobertaConverter(Slow(file.name)).converted().to_str())
    ids = {piece: i for i, (piece, _) in enumerate(root["model"]["vocab"])}
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    root["added_tokens"] = [{"id": ids[t], "content": t, **flags, "lstrip": t == "<mask>"} for t in SPECIAL]
    return root


def charsmap(proto):
    return {"type": "Precompiled", "precompiled_charsmap":
            base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()}


def runs(content):
    return {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": content}


def words(proto):
    root = converted(proto)
    root["normalizer"] = charsmap(proto)
    root["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "\u2581", "str_rep": "\u2581", "add_prefix_space": True}]}
    root["added_tokens"][4]["normalized"] = True
    del root["model"]["type"], root["model"]["byte_fallback"]
    return root


def whole(proto):
    root = converted(proto)
    root["normalizer"] = {"type": "Sequence", "normalizers": [charsmap(proto), runs(" ")]}
    root["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
    root["model"]["byte_fallback"] = True
    mask = root["model"]["vocab"].pop()
    root["model"]["vocab"] += [[f"<0x{b:02X}>", -30.0] for b in range(256)] + [mask]
    root["added_tokens"][4]["id"] += 256
    return root


def steps(proto):
    root = converted(proto)
    vocab = root["model"]["vocab"]
    vocab += [["the", -1.5], ["\u2581a", -2], ["the", -9.25], ["☃☃", -13.120699882507324], ["a b", -0.5], ["«", -1e1],
              # An unknown character scores 10 below the worst: once less than it saves, once more.
              ["ᚠ", 9.5], ["ᚠᚢ", -60], ["ᚦ", 10.5], ["ᚦᚨ", -60]]
    root["normalizer"] = {"type": "Sequence", "normalizers": [
        charsmap(proto), {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": {"String": "''"}, "content": '"'}, runs("\u2581"),
        {"type": "Replace", "pattern": {"String": "!"}, "content": ""}, {"type": "Prepend", "prepend": "\u2581x"}]}
    root["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": False,
                             "prepend_scheme": "never"}
    root["post_processor"] = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": False,
                              "add_prefix_space": True}
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    more = [dict(content="New York", normalized=True), dict(content="#tag", single_word=True),
            dict(content="«q»", lstrip=True, rstrip=True), dict(content="a b")]
    for token in more:
        known = [i for i, (piece, _) in enumerate(vocab) if piece == token["content"]]
        fresh = len(vocab) + sum(t["id"] >= len(vocab) for t in root["added_tokens"])
        root["added_tokens"].append({"id": known[-1] if known else fresh, **flags, **token})
    return root


def write(name, root, source):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(root, ensure_ascii=False, separators=(",", ":")) + "\n")
    reference = Tokenizer.from_str(json.dumps(root))
    lines = ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":"))
                       for c in wordpiece.cases(reference, TEXTS + ADDED + source))
    versions = {p: importlib.metadata.version(p) for p in ("tokenizers", "transformers", "sentencepiece")}
    (folder / "cases.json").write_text(
        f'{{"made_by":"tools/golden/unigram.py","versions":{json.dumps(versions)},"cases":[\n{lines}\n]}}\n')


def main():
    texts = [line for path in sys.argv[1:] for line in pathlib.Path(path).read_text().splitlines()]
    some = texts[::997]
    write("xlmr", converted(train(texts, 3000, character_coverage=0.998)), some)
    with tempfile.NamedTemporaryFile(mode="w", suffix=".tsv") as rules:
        rules.write(own_rules(TEXTS + wordpiece.TRICKY))
        rules.flush()
        few = [t for t in texts[::30] if max(t) < "\u0530"]  # few letters, so that few pieces do
        own = dict(normalization_rule_tsv=rules.name, character_coverage=0.99)
        write("words", words(train(few, 500, **own)), some[::2])
        write("whole", whole(train(few, 600, split_by_whitespace=False, **own)), some[::2])
        write("steps", steps(train(few, 500, **own)), some[::2])


if __name__ == "__main__":
    main()
