#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tokenizer: two small tokenizers and what the Hugging Face
tokenizers library makes of tricky texts with them. Offsets are turned into bytes.

    tools/golden/tokenizer.py MODEL

MODEL is a folder with the tokenizer.json of a BERT model (all-MiniLM-L6-v2 was
used): "cut" is that one with the tokens that the texts need, renumbered; "small"
is cased, of letters alone, with added tokens of every kind. "small" is there as
vocab.txt with tokenizer_config.json too.
"""
import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import Tokenizer

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/tokenizer"

TRICKY = [
    "", " ", "\n\t \r", "Hello, World!", "hello world", "unaffable", "The quick brown fox.", "can't",
    "state-of-the-art", "e-mail@example.com", "$3.50 + 20% = ^~`|<>", "a_b#c##d", "naïve café résumé",
    "NAÏVE CAFÉ", "e\u0301e\u0323\u0302", "a\u0301\u0323b", "\u0301start", "İstanbul ıI ǅ", "ΑΣ ΟΔΟΣ ὈΔΥΣΣΕΎΣ",
    "Straße ẞ", "ﬁne ﬀ", "Ωmega Å Å", "Привет, мир! Ёлка", "שָׁלוֹם", "السَّلَام عليكم", "हिन्दी में", "ภาษาไทย",
    "日本語のテキスト", "中文字符", "a中b", "中\u0301", "한국어 텍스트", "\u1100\u1161\u11a8", "각가", "パピプペポ", "ﾊﾟ",
    "豈更車", "\U00020000\U0002f800", "emoji 😀👍🏽 👨‍👩‍👧 🇩🇪", "zero\u200bwidth\u200djoin\ufeff", "soft\u00adhyphen",
    "nbsp\u00a0here\u3000wide\u2028line\u2029par", "a\u0085b\u000bc\u000cd", "bell\u0007 nul\x00 del\u007f",
    "re\ufffdplace", "\ufffd", "\U000e0001tag", "\ue000private\U00100000", "[MASK]", "a[MASK]b [CLS] [sep] [SEP]",
    " [MASK] ", "[MAS", "[[MASK]]", "##ing", "¿Qué? ¡No!", "“quotes” ‘x’ — … ‹›", "½ ² ① Ⅷ ㎏", "\u0344x \u0f73 \u0f71\u0f72",
    "\u302e가\u302f", "\U0001d15e\U0001d165\u0301", "x\u0345\u0301\u0323\u0f39y", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 Ｆｕｌｌ", "\u05d0\u05b0\u05bc\u05d1",
    "Tiếng Việt Nam", "ÅÄÖ åäö", "ŁÓDŹ", "ǄǇǊ", "Ꭰꭰ Ა ა", "\u1e9b\u0323", "K Å Ω", "\u0390\u03b0", "1,234.56 10:30",
    "http://a.b/c?d=e&f=g#h", "C++ C# .NET", "¼½¾", "\ud7a3\uac00", "\u0958\u0915\u093c", "\u0dda \u0ddd", "\ufb1d\ufb2a",
    "x" * 100, "x" * 101, "é" * 100 + " " + "é" * 101, "ab" * 300, "a b " * 40, "!?" * 30, "word " * 120 + "tail",
]

INVALID = [b"caf\xc3", b"\xff\xfe", b"a\xe2\x82b", b"\xf0\x9f\x98x", b"\xed\xa0\x80z", b"\xc0\xafq", b"ok\x80\x80ok",
           b"\xf4\x90\x80\x80", b"e\xcc\xcc\x81", b"\xe4\xb8\xad\xe4\xb8", b"x\xf8\x88\x80\x80\x80y"]

ADDED = ["The Word", "the word", "THE WÓRD!", "É!", "e\u0301! x", "a<x>b", "a <x>  b", "\u3000<x>\t<x> ", "un unx xun un.",
         "_un", "1un", "un\u0301", "Ⓐun", "\u200dun", "un\u200c", "\U00010d4aun", "-un-", " un ", "und un", "[MASK] [MASK]"]


def mixes(count):
    rng = random.Random(7)
    spans = [(0x20, 0x7F), (0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0x1000),
             (0x1100, 0x1200), (0xAC00, 0xAD00), (0x1E00, 0x2070), (0x3000, 0x3100), (0x4E00, 0x4E20),
             (0xF900, 0xFB50), (0xFE00, 0x10000), (0x11000, 0x11A00), (0x1D100, 0x1D250), (0x1E000, 0x1E960)]
    for _ in range(count):
        mine = rng.sample(spans, 2)
        yield "".join(chr(rng.randrange(*rng.choice(mine))) for _ in range(rng.randint(2, 14)))


def took(raw, text):
    """Bytes of `raw` before each character of text = raw read with errors="replace"."""
    at, offsets = 0, [0]
    for c in text:
        n = len(c.encode())
        if c == "\ufffd" and raw[at:at + 3] != b"\xef\xbf\xbd":
            try:
                raw[at:at + 4].decode()
                n = 1
            except UnicodeDecodeError as error:
                n = error.end
        at += n
        offsets.append(at)
    return offsets


def case(tokenizer, first, second=None, limit=0, truncation=None):
    """first and second are bytes."""
    texts = [t.decode("utf-8", errors="replace") for t in (first, second) if t is not None]
    tokenizer.no_truncation()
    if limit:
        tokenizer.enable_truncation(limit, strategy=truncation or "longest_first")
    encoding = tokenizer.encode(*texts)
    maps = [took(raw, text) for raw, text in zip((first, second), texts)]
    offsets = [(0, 0) if s is None else (maps[s][b], maps[s][e])
               for (b, e), s in zip(encoding.offsets, encoding.sequence_ids)]
    out = {}
    for name, raw in (("first", first), ("second", second)):
        if raw is not None:
            try:
                plain = raw.decode()
            except UnicodeDecodeError:
                plain = "\0"
            out.update({name + "_hex": raw.hex()} if "\0" in plain else {name: plain})
    if limit:
        out.update(limit=limit)
        if truncation:
            out.update(truncation=truncation)
    return {**out, "ids": encoding.ids, "types": "".join(map(str, encoding.type_ids)),
            "offsets": [x for pair in offsets for x in pair]}


def cases(tokenizer, extra):
    texts = [t.encode() for t in TRICKY + extra + list(mixes(200))] + INVALID
    out = [case(tokenizer, t) for t in texts]
    rng = random.Random(11)
    pairs = [t for t in texts if 2 < len(t) < 300]
    for i in range(60):
        first, second = rng.choice(pairs), rng.choice(pairs)
        strategy = rng.choice(["longest_first", "only_second"])
        limit = rng.choice([0, 5, 8, 9, 13, 20])
        try:
            out.append(case(tokenizer, first, second, limit, strategy if limit else None))
        except Exception:  # the library's own class is Exception: nothing left to cut
            pass
    out += [case(tokenizer, rng.choice(pairs), None, limit) for limit in (2, 3, 4, 7, 12)]
    return out


def cut(root):
    """The tokenizer of MODEL with the tokens that the texts need, and letters."""
    full = Tokenizer.from_str(json.dumps(root))
    full.no_truncation()
    full.no_padding()
    used = {t["content"] for t in root["added_tokens"]}
    for text in TRICKY + ADDED:
        used.update(full.encode(text).tokens)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    used.update(letters)
    used.update("##" + c for c in letters)
    words = sorted(used, key=root["model"]["vocab"].__getitem__)
    root["model"]["vocab"] = {w: i for i, w in enumerate(words)}
    for token in root["added_tokens"]:
        token["id"] = root["model"]["vocab"][token["content"]]
    for token in root["post_processor"]["special_tokens"].values():
        token["ids"] = [root["model"]["vocab"][t] for t in token["tokens"]]
    root["truncation"] = root["padding"] = None
    return root


def small(added):
    """Cased, with the letters and a few pieces; BertProcessing."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "The", "é", "##é", "e", "##́"]
    words += [c for c in map(chr, range(0x21, 0x7F)) if c not in words]
    words += ["##" + c for c in map(chr, range(0x61, 0x7B)) if "##" + c not in words]
    vocab = {w: i for i, w in enumerate(words)}
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    tokens = [{"id": vocab[w], "content": w, **flags} for w in words[:5]]
    more = [dict(content="The Word", single_word=True, normalized=True), dict(content="É!", rstrip=True, normalized=True),
            dict(content="<x>", lstrip=True, rstrip=True), dict(content="un", single_word=True)]
    size = len(words)
    for token in more if added else []:
        number = vocab.get(token["content"], size)
        size += number == size
        tokens.append({"id": number, **flags, "special": False, **token})
    normalizer = dict(type="BertNormalizer", clean_text=True, handle_chinese_chars=True, strip_accents=added,
                      lowercase=False)
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": normalizer,
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, "decoder": None,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": vocab}}


def write(name, root, extra):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_str(json.dumps(root))
    lines = ",\n".join(json.dumps(c, ensure_ascii=True, separators=(",", ":")) for c in cases(tokenizer, extra))
    (folder / "cases.json").write_text(
        f'{{"made_by":"tools/golden/tokenizer.py","tokenizers":"{tokenizers.__version__}","cases":[\n{lines}\n]}}\n')
    return folder


def main():
    root = cut(json.loads(pathlib.Path(sys.argv[1], "tokenizer.json").read_text()))
    folder = write("cut", root, [])
    (folder / "tokenizer.json").write_text(json.dumps(root, separators=(",", ":")) + "\n")
    root = small(True)
    folder = write("small", root, ADDED)
    (folder / "tokenizer.json").write_text(json.dumps(root, separators=(",", ":")) + "\n")
    root = small(False)
    folder = write("vocab", root, [])
    (folder / "vocab.txt").write_text("\n".join(root["model"]["vocab"]) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"do_lower_case": False, "strip_accents": False, "model_max_length": 10**30, "cls_token": "[CLS]",
         "sep_token": {"content": "[SEP]"}, "tokenizer_class": "BertTokenizer"}) + "\n")


if __name__ == "__main__":
    main()
