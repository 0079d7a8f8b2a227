#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/text/grapheme_tables.inc: how code points stick together in grapheme
clusters (UAX 29), as the Hugging Face tokenizers library has it, asked of the
library itself.

The library shows its clusters through the Precompiled normaliser alone, which
replaces a cluster of less than six bytes by what its first bytes map to. So the
map here sends every first byte to "X": one X is one short cluster, or one
character of a longer one, and every question below is a count of X.

    tools/grapheme_tables.py > src/text/grapheme_tables.inc
"""
import base64
import json
import struct
import sys

import tokenizers

MARK, ZWJ, COPY, KA, VIRAMA = "\u0301", "\u200d", "\u00a9", "\u0915", "\u094d"
POINTS = [c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]


def first_bytes_to_x():
    """A double array (Darts) of depth one: node c at 256 + c, its value at 512 + c."""
    units = [0] * 1024
    units[0] = 256 << 10
    for c in [ord("a")] + list(range(0xC2, 0xF5)):
        units[256 ^ c] = c | 1 << 8 | ((256 ^ c) ^ (512 + c)) << 10
        units[512 + c] = 1 << 31
    blob = struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + b"X\0"
    return base64.b64encode(blob).decode()


def counter():
    normalizer = {"type": "Precompiled", "precompiled_charsmap": first_bytes_to_x()}
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}
    root = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": normalizer, "pre_tokenizer": None, "post_processor": None,
            "decoder": None, "model": model}
    normalize = tokenizers.Tokenizer.from_str(json.dumps(root)).normalizer.normalize_str
    return lambda text: normalize(text).count("X")


def classify(count, c):
    s = chr(c)
    joins = count("a" + s) == 1
    consonant_extends = count(KA + s + VIRAMA + KA + MARK) == 5
    if joins:
        if c == 0x200D:
            return "ZWJ"
        if count(KA + s + KA + MARK) == 4:
            return "LINKER"
        extend = count(COPY + s + ZWJ + COPY + MARK) == 5
        if extend != consonant_extends and extend is False:
            sys.exit(f"U+{c:04X}: InCB=Extend, but not Extend")
        return "EXTEND" if consonant_extends else "EXTEND_ONLY" if extend else "SPACING"
    if count(s + MARK + MARK) == 2:
        return "CONTROL"
    if count(s + "a") == 1 or (len(s.encode()) > 3 and count(s + KA + MARK) == 3):
        return "PREPEND"
    if count(s + VIRAMA + KA + MARK) == 4:
        return "CONSONANT"
    if count(COPY + ZWJ + s) == 3:
        return "PICTOGRAPH"
    return None


def main():
    count, rows = counter(), []
    for c in POINTS:
        name = classify(count, c)
        if rows and rows[-1][2] == name and rows[-1][1] == c - 1:
            rows[-1][1] = c
        elif name is not None:
            rows.append([c, c, name])
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* grapheme_tables.inc: made by tools/grapheme_tables.py from tokenizers "
          f"{tokenizers.__version__}.\n * Ranges, both ends included. */")
    print("static const grapheme_range ranges[] = {")
    line = "   "
    for first, last, name in rows:
        cell = f" {{0x{first:X}, 0x{last:X}, {name}}},"
        if len(line) + len(cell) > 100:
            print(line)
            line = "   "
        line += cell
    print(line + "\n};")


if __name__ == "__main__":
    main()
