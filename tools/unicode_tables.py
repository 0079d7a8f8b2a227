#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/text/unicode_tables.inc: what the Hugging Face tokenizers library
holds of every code point, asked of the library itself.

BERT parity needs the library's own Unicode tables, which are of several ages
(character categories of Unicode 8, normalisation of 9, lower-casing of the Rust
release). Categories are written out as ranges. For decompositions, combining
classes and lower case only the difference to utf8proc is kept: which code points
the library decomposes or reorders at all (their values never change between
versions of Unicode, and are checked here), lower cases that utf8proc lacks, and
word characters (regular expression \\w) that unicode.c's rule over utf8proc misses.

    tools/unicode_tables.py > src/text/unicode_tables.inc
"""
import ctypes
import ctypes.util
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

proc = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
proc.utf8proc_unicode_version.restype = ctypes.c_char_p
DECOMPOSE = 1 << 4  # UTF8PROC_DECOMPOSE, canonical


class Property(ctypes.Structure):
    _fields_ = [("category", ctypes.c_int16), ("combining", ctypes.c_int16)]


proc.utf8proc_get_property.restype = ctypes.POINTER(Property)

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def bert(**on):
    options = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False,
                   lowercase=False)
    return normalizers.BertNormalizer(**{**options, **on}).normalize_str


def combining(c):
    return proc.utf8proc_get_property(c).contents.combining


def decompose(c):
    out = (ctypes.c_int32 * 8)()
    boundary = ctypes.c_int(0)
    n = proc.utf8proc_decompose_char(c, out, 8, DECOMPOSE, ctypes.byref(boundary))
    return "".join(map(chr, out[:n]))


def probe_classes():
    """Code points that the library drops as control characters, takes for
    white space, for punctuation, and strips as accents."""
    clean, strip = bert(clean_text=True), bert(strip_accents=True)
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    nfd = normalizers.NFD().normalize_str
    found = {"other": [], "space": [], "punctuation": [], "mark": [], "decomposed": {}}
    for c in POINTS:
        s = chr(c)
        pieces = len(split(f"a{s}b"))
        if clean(f"a{s}b") == "ab":
            found["other"].append(c)
        if pieces == 2:
            found["space"].append(c)
        elif pieces == 3:
            found["punctuation"].append(c)
        if (d := nfd(s)) != s:
            found["decomposed"][c] = d
        elif strip(f"a{s}b") == "ab":
            found["mark"].append(c)
    for c, d in found["decomposed"].items():
        if d != decompose(c):
            sys.exit(f"U+{c:04X} decomposes to {ascii(d)}, in utf8proc to {ascii(decompose(c))}")
    return found


def probe_reordered():
    """Code points with a combining class other than 0 in the library. That the
    class is utf8proc's is checked against one character of every class."""
    nfd = normalizers.NFD().normalize_str
    # U+0334 has class 1, U+0345 class 240, the highest there is.
    moved = [c for c in POINTS
             if nfd(chr(c) + "\u0334") == "\u0334" + chr(c) or nfd("\u0345" + chr(c)) == chr(c) + "\u0345"]
    moved += [c for c in POINTS if combining(c) == 240 and c not in moved]
    sample = {combining(c): chr(c) for c in reversed(moved)}
    for c in moved:
        for k, mark in sample.items():
            if (nfd(chr(c) + mark) == mark + chr(c)) != (combining(c) > k) and mark != chr(c):
                sys.exit(f"U+{c:04X}: combining class is not utf8proc's {combining(c)}")
    return moved


def probe_lower():
    lower = normalizers.Lowercase().normalize_str
    differ = [(c, l) for c in POINTS if (l := lower(chr(c))) != chr(proc.utf8proc_tolower(c))]
    long = [c for c, l in differ if len(l) > 1]
    if long != [0x130]:
        sys.exit(f"lower cases of several characters: {long}; unicode.c knows U+0130 only")
    return [(c, ord(l) - c) for c, l in differ if len(l) == 1]


# Categories L*, M*, Nd, Nl, Pc by utf8proc's numbers, and what unicode.c adds.
WORD_CATEGORIES = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12}
WORD_SYMBOLS = [(0x200C, 0x200D), (0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169),
                (0x1F170, 0x1F189)]


def probe_words():
    """Word characters are those after which a token of single_word is not found."""
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.add_tokens([AddedToken("zz", single_word=True, normalized=False)])
    by_library, by_rule = set(), set()
    for c in POINTS:
        if 1 not in tokenizer.encode(chr(c) + "zz").ids:
            by_library.add(c)
        if proc.utf8proc_category(c) in WORD_CATEGORIES or any(a <= c <= b for a, b in WORD_SYMBOLS):
            by_rule.add(c)
    if by_rule - by_library:
        sys.exit(f"not word characters: {sorted(by_rule - by_library)}")
    return by_library - by_rule


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def table(name, rows, width):
    print(f"\nstatic const {name}[] = {{")
    cells = ["{" + ", ".join(f"0x{v:X}" if v >= 0 else f"-0x{-v:X}" for v in row) + "}"
             for row in rows]
    line = "   "
    for cell in cells:
        if len(line) + len(cell) + 2 > width:
            print(line)
            line = "   "
        line += f" {cell},"
    print(line + "\n};")


def main():
    found = probe_classes()
    normalizes = set(found["decomposed"]) | set(probe_reordered())
    deltas = []
    for c, delta in probe_lower():
        if deltas and deltas[-1][1] == c - 1 and deltas[-1][2] == delta:
            deltas[-1][1] = c
        else:
            deltas.append([c, c, delta])
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* unicode_tables.inc: made by tools/unicode_tables.py from tokenizers "
          f"{tokenizers.__version__}\n * and utf8proc of Unicode "
          f"{proc.utf8proc_unicode_version().decode()}. Ranges, both ends included. */")
    for name in ("other", "space", "punctuation", "mark"):
        table(f"range {name}_ranges", ranges(found[name]), 100)
    table("range normalizes_ranges", ranges(normalizes), 100)
    table("range word_ranges", ranges(probe_words()), 100)
    table("lower_range lower_ranges", deltas, 100)


if __name__ == "__main__":
    main()
