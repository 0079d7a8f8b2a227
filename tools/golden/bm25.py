#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/bm25.json: a small seeded collection of ASCII passages and
the scores that Lucene's BM25 (8 and later: no factor k1 + 1; exact lengths)
gives them, computed here in doubles with Porter's stems from snowballstemmer.
Stop words count in lengths and are left out of questions unless nothing else is
left. Needs snowballstemmer."""
import importlib.metadata
import json
import math
import pathlib
import random
import re

import snowballstemmer

STOP = set("a an and are as at be but by for if in into is it no not of on or such that the their "
           "then there these they this to was will with".split())
WORDS = """the of and to in is that it was for on are as with his they at be this from have or by
holiday holidays carry carried carrying over year years employee employees employer employment
university universities universal generalization generalizations general generally relational
conditional rational digitizer conformably radically differently vileness analogously operator
feudalism decisiveness hopefulness callousness formality sensitivity sensibility triplicate
formative formalize electricity electrical goodness revival allowance inference airliner
gyroscopic adjustable defensible irritant replacement adjustment dependent adoption communism
activate angularity homologous effective bowdlerize probate rate cease control roll agreed
plastered bled motoring sing conflated troubled sized hopping tanned falling hissing fizzed
failing filing happy sky ponies caress cats ties dying flies skies aerodynamics boundary layer
heat transfer rapid measurement x1 2020 42 a1b2""".split()

draw = random.Random(11)
stemmer = snowballstemmer.stemmer("porter")


def text(low, high):
    # Zipf-like, so that some words are in most passages and some in one.
    return " ".join(WORDS[min(int(draw.expovariate(1 / 40)), len(WORDS) - 1)]
                    if draw.random() < .7 else draw.choice(WORDS)
                    for _ in range(draw.randint(low, high)))


def terms(string):
    return stemmer.stemWords(re.findall("[a-z0-9]+", string.lower()))


passages = [{"title": text(0, 5).title(), "heading": text(0, 3), "text": text(1, 80)}
            for _ in range(60)]
questions = [text(1, 8) for _ in range(30)] + [
    "the of and", "holidays holiday HOLIDAYS carried", "zebra", "skies, dying: flies!",
    "what is a generalization?"]
parameters = [(0.9, 0.4), (1.2, 0.75), (0, 0.5), (2, 1), (0.9, 0)]

bags = [terms(" ".join((p["title"], p["heading"], p["text"]))) for p in passages]
average = sum(map(len, bags)) / len(bags)
frequency = {}
for bag in bags:
    for term in set(bag):
        frequency[term] = frequency.get(term, 0) + 1

cases = []
for number, question in enumerate(questions):
    k1, b = parameters[number % len(parameters)]
    words = re.findall("[a-z0-9]+", question.lower())
    kept = [w for w in words if w not in STOP] or words
    scores = {}
    for i, bag in enumerate(bags):
        score = 0
        for term in stemmer.stemWords(kept):
            n, tf = frequency.get(term, 0), bag.count(term)
            if tf:
                idf = math.log(1 + (len(bags) - n + .5) / (n + .5))
                score += idf * tf / (tf + k1 * (1 - b + b * len(bag) / average))
        if any(term in bag for term in stemmer.stemWords(kept)):
            scores[str(i)] = round(score, 9)
    cases.append({"question": question, "k1": k1, "b": b, "scores": scores})

out = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/bm25.json"
out.write_text(json.dumps({
    "made_with": {"snowballstemmer": importlib.metadata.version("snowballstemmer")},
    "passages": passages, "cases": cases}, indent=1) + "\n")
