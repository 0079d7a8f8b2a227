#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares assay's Unigram tokenizers with the Hugging Face tokenizers library,
ids and offsets: every code point, random mixes of every script, runs of spaces
and marks, pairs, invalid UTF-8, a mebibyte without a space; with the charsmap of
SentencePiece, with random ones, and with one that shows grapheme clusters.

    tests/parity/unigram_parity.py [build] [--texts FILE ...] [--seed N] [--full]

The tokenizer is tests/golden/unigram/xlmr in several forms, one that the library
trains here, and the folders in $ASSAY_PARITY_UNIGRAM (colon-separated); --texts
takes JSONL files or plain text, a text a line; --full takes many times the texts.
Prints "N passed, N failed"; exits 0 with a line "SKIP: ..." without the library.
"""
import argparse
import base64
import json
import os
import pathlib
import random
import struct
import sys
import tempfile

from tokenizer_parity import (Assay, Tally, compare_invalid, compare_pairs, compare_singles, long_words, natural,
                              points_in_lines, pools)

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARK = "\u2581"
RUNS = " {2,}"


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def metaspace(**fields):
    return {"type": "Metaspace", "replacement": MARK, **fields}


def words_of(split):
    return {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, split]}


def forms(root):
    """The tokenizer as releases of transformers since 2020 have written it, and
    with every option turned that the engine has."""
    charsmap = root["normalizer"]["normalizers"][0]

    def form(normalizers, split, **model):
        changed = {**root, "model": {**root["model"], **model}, "pre_tokenizer": split}
        changed["normalizer"] = {"type": "Sequence", "normalizers": normalizers} if normalizers else None
        return json.loads(json.dumps(changed))

    yield "as converted", root
    e5 = form([charsmap], words_of(metaspace(str_rep=MARK, add_prefix_space=True)))
    e5["added_tokens"][4]["normalized"] = True
    yield "multilingual-e5", e5
    bge = form([charsmap, replace({"Regex": RUNS}, " ")], metaspace(add_prefix_space=True, prepend_scheme="always"))
    yield "bge-m3", bge
    yield "not split", form([charsmap, replace({"Regex": RUNS}, " ")], metaspace(prepend_scheme="first", split=False))
    yield "never marked", form([charsmap], metaspace(add_prefix_space=False, prepend_scheme="never"))
    yield "first marked, words", form([charsmap], words_of(metaspace(prepend_scheme="first", split=False)))
    yield "no normalizer", form([], metaspace(prepend_scheme="always", split=True))
    every = form([charsmap, {"type": "Strip", "strip_left": True, "strip_right": True}, replace({"String": "''"}, '"'),
                  replace({"String": "a "}, " a"), replace({"Regex": RUNS}, MARK), {"type": "Prepend", "prepend": "ab "}],
                 metaspace(prepend_scheme="first"))
    size = len(every["model"]["vocab"])
    flags = dict(special=False, single_word=False, lstrip=False, rstrip=False, normalized=True)
    more = [dict(content="The Word", single_word=True), dict(content="\u00c9 !", rstrip=True),
            dict(content="<x>", lstrip=True, rstrip=True, normalized=False), dict(content="un", single_word=True)]
    known = {piece: i for i, (piece, _) in enumerate(every["model"]["vocab"])}
    for token in more:
        every["added_tokens"].append({"id": known.get(token["content"], size), **flags, **token})
        size += token["content"] not in known
    yield "every step, added tokens", every
    kept = json.loads(json.dumps(bge))
    kept["added_tokens"].append({"id": len(kept["model"]["vocab"]), **flags, "content": "q\u00e9", "lstrip": True})
    yield "an added token in normal text", kept
    fallback = json.loads(json.dumps(bge))
    fallback["model"]["byte_fallback"] = True
    mask = fallback["model"]["vocab"].pop()
    fallback["model"]["vocab"] += [[f"<0x{b:02X}>", -25.5] for b in range(256)] + [mask]
    fallback["added_tokens"][4]["id"] += 256
    yield "byte fallback", fallback


def darts(mapping):
    """A charsmap, base64: every node of the trie in a block of 256 units of its own."""
    strings, trie = b"", {}
    for key, value in mapping.items():
        node = trie
        for byte in key:
            node = node.setdefault(byte, {})
        node[0] = len(strings)
        strings += value.encode() + b"\0"
    units, free = {}, [0]

    def place(node, parent):
        """Gives the node a block, and its unit (at `parent`) the way there."""
        free[0] += 256
        base = free[0]
        units[parent] = units.get(parent, 0) | (parent ^ base) << 10 | (0 in node) << 8
        for byte, child in node.items():
            if byte == 0:
                units[base] = child | 1 << 31
            else:
                units[base ^ byte] = byte
                place(child, base ^ byte)

    units[0] = 0
    place(trie, 0)
    units[0] &= ~(1 << 8)
    count = free[0] + 256
    blob = struct.pack("<I", 4 * count) + struct.pack(f"<{count}I", *(units.get(i, 0) for i in range(count))) + strings
    return base64.b64encode(blob).decode()


CLUSTER = list("ab \r\n\u00a9\u00ae\u00e9") + ["\u0301", "\u0308", "\u200d", "\u200c", "\u0903", "\u0600", "\u0915", "\u094d",
                                              "\u093c", "\u1100", "\u1161", "\u11a8", "\uac00", "\U0001f1e9", "\u2122",
                                              "\U0001f469", "\U0001f3fb", "\ufe0f", "\u0e33", "\u00ad", MARK, "\u3000"]


def random_map(rng):
    keys = ["".join(rng.choices(CLUSTER, k=rng.choice((1, 1, 1, 2, 3)))).encode() for _ in range(25)]
    keys += [rng.choice(keys)[:rng.randint(1, 3)] for _ in range(2)]  # not all of them whole characters
    values = ["", "", "x", "yz", " ", "  ", "\u00e9", MARK, "a" + MARK + "b", "\u0301", "long one", "\u4e2d\u6587"]
    return darts({key: rng.choice(values) for key in keys})


def first_bytes_to_x():
    """Every multi-byte character is X, and so is a short cluster of several."""
    return darts({bytes([c]): "X" for c in [ord("a")] + list(range(0xC2, 0xF5))})


def own_mixes(seed, count):
    rng = random.Random(seed)
    special = ["<mask>", "<s>", "</s>", "<unk>", "<pad>", " <mask> ", "<x>", "The Word", "the word", "un", "''", "a ", "!", "q\u00e9",
               "q\u0065\u0301", "\u00c9 !", " ", "  ", MARK, MARK + MARK, "the", "of", "\u200b", "\u00ad", "\x01", "\t", "\n", "\r\n",
               "\u00a0", "\u3000", "\u2028", "\u0085", "\ufdfa", "\u2121", "\u00bc", "\u00a8", "<0x41>", "\u0301", "\ufeff", "\u200d"]
    choices = pools() + [special, special, special, list("abcdefghij "), CLUSTER]
    for _ in range(count):
        mine = rng.sample(choices, rng.randint(1, 4))
        text = "".join(rng.choice(rng.choice(mine)) for _ in range(rng.randint(1, 60)))
        yield text * rng.choice((1, 1, 1, 1, 1, 3, 40))


def spaced_lines(seed, count):
    """Long lines of words, for segments to end in: any space may be next to anything."""
    rng = random.Random(seed)
    gaps = [" "] * 20 + ["  ", "   ", " \t", "\u00a0 ", " \u0301", "\u200b ", " <mask> ", ", ", ".  ", "\r\n ", " " * 600]
    words = ["house", "caf\u00e9", "\u65e5\u672c\u8a9e", "a", "\u00bd", "The Word", "\u0434\u043e\u043c", "q\u00e9", "x\u0301", "\u2122", "''"]
    for _ in range(count):
        yield "".join(rng.choice(words) + rng.choice(gaps) for _ in range(rng.randint(50, 400)))


def trained(tokenizers, texts):
    """One that the library itself trains, with a few of SentencePiece's habits."""
    made = tokenizers.Tokenizer(tokenizers.models.Unigram())
    made.normalizer = tokenizers.normalizers.Replace(tokenizers.Regex(RUNS), " ")
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = tokenizers.trainers.UnigramTrainer(vocab_size=800, special_tokens=special, unk_token="<unk>",
                                                 show_progress=False)
    made.train_from_iterator([t for t in texts if t and max(t) < "\u0530"], trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(t, made.token_to_id(t)) for t in ("<s>", "</s>")])
    return json.loads(made.to_str())


class Pair:
    """The same tokenizer in both libraries."""

    def __init__(self, tokenizers, library, root):
        root["truncation"] = root["padding"] = None
        text = json.dumps(root)
        self.reference = tokenizers.Tokenizer.from_str(text)
        with tempfile.TemporaryDirectory() as temporary:
            pathlib.Path(temporary, "tokenizer.json").write_text(text)
            self.assay = Assay(library, temporary)


def sources(tokenizers, texts):
    golden = ROOT / "tests/golden/unigram/xlmr/tokenizer.json"
    yield from forms(json.loads(golden.read_text()))
    yield "trained by the library", trained(tokenizers, texts)
    for folder in os.environ.get("ASSAY_PARITY_UNIGRAM", "").split(":"):
        if folder:
            yield folder, json.loads(pathlib.Path(folder, "tokenizer.json").read_text())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default="build")
    parser.add_argument("--texts", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    try:
        import tokenizers
    except ImportError:
        print("SKIP: the Python package tokenizers is not installed")
        return 0
    library = pathlib.Path(arguments.build, "libassay.so").resolve()
    if not library.is_file():
        print(f"SKIP: {library} is not built")
        return 0
    tally, seed, times = Tally(), arguments.seed, 20 if arguments.full else 1
    cases = json.loads((ROOT / "tests/golden/unigram/xlmr/cases.json").read_text())["cases"]
    texts = list(natural(arguments.texts)) + [c["first"] for c in cases if "first" in c]

    def report(what, before):
        print(f"# {what}: {tally.passed + tally.failed - before} texts", flush=True)

    for what, root in sources(tokenizers, texts):
        pair, before = Pair(tokenizers, library, root), tally.passed + tally.failed
        both = pair.assay, pair.reference
        compare_singles(*both, own_mixes(seed, 2500 * times), tally, what)
        compare_singles(*both, spaced_lines(seed, 150 * times), tally, what)
        compare_singles(*both, texts, tally, what)
        if what == "as converted" or arguments.full:
            compare_singles(*both, points_in_lines(), tally, what)
            compare_pairs(*both, texts, tally, seed, (5, 6, 9, 16, 31, 64, 128, 512))
            compare_invalid(*both, tally, seed)
        if what in ("as converted", "not split") or arguments.full:
            compare_singles(*both, long_words(), tally, what)
        report(what, before)

    golden = json.loads((ROOT / "tests/golden/unigram/xlmr/tokenizer.json").read_text())
    rng, before = random.Random(seed), tally.passed + tally.failed
    maps = [first_bytes_to_x()] + [random_map(rng) for _ in range(12 * times)]
    for i, charsmap in enumerate(maps):
        golden["normalizer"]["normalizers"][0]["precompiled_charsmap"] = charsmap
        pair = Pair(tokenizers, library, golden)
        count = 20000 if i == 0 else 1500
        compare_singles(pair.assay, pair.reference, own_mixes(seed + i, count), tally, f"map {i}")
        lines = ("".join(rng.choices(CLUSTER, k=rng.randint(1, 12))) for _ in range(count))
        compare_singles(pair.assay, pair.reference, lines, tally, f"map {i}, clusters")
    report("other charsmaps", before)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
