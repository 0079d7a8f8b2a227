#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `assay quantize` with numpy, and what transformers makes of its output.

Usage: tests/parity/quantize_parity.py [BUILD] [MODEL...]

MODEL is a folder of an unquantised model; without one, the goldens. Embeddings,
scales and what stays must be those that numpy computes, to the bit; layers, which are
rounded so that their outputs stay near, are off by at most three times what numpy's
nearest are, together with their refined rows. Where the package compressed-tensors is
installed, transformers reads the folder as it is, and its results must be assay's within
1e-3 once the refined rows, of which it knows nothing, are taken out: both compute in fp32
from the same int8 weights. The goldens have no rows to refine; MODEL of BERT's size has.
Whatever is missing is skipped with a line that says so."""
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/parity"))
GOLDENS = ["cross-f32", "cross-f16", "cross-old-names", "cross-roberta", "dense-mean", "dense-cls"]
TOLERANCE = 1e-3
QUERY = "how many days of leave"
PASSAGES = ["Twenty-five days a year.", "It is blue.", "x", "days " * 40]


def is_layer(name):
    return "encoder.layer." in name and "LayerNorm" not in name


def wanted(name, tensor):
    import numpy as np
    if is_layer(name) and tensor.ndim == 2 or name.endswith("word_embeddings.weight"):
        tensor = tensor.astype(np.float32)
        scale = np.maximum(np.abs(tensor).max(1, keepdims=True), np.float32(1e-12)) / np.float32(127)
        return {name: np.rint(tensor / scale).astype(np.int8), name + "_scale": scale}
    if "embeddings." in name and tensor.ndim == 2:
        return {name: tensor.astype(np.float16)}
    return {name: tensor}


def tensors_of(folder):
    from safetensors import safe_open
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, "np") as file:
            yield from ((name, file.get_tensor(name)) for name in file.keys())


def check_layer(name, tensor, nearest, found):
    """The integers, with what is added to some rows, or the bias."""
    import numpy as np
    if tensor.ndim == 1:
        other = found.pop(name)
        assert other.dtype == np.float32 and other.shape == tensor.shape, name
        return
    integers, scale = found.pop(name), found.pop(name + "_scale")
    assert integers.dtype == np.int8 and scale.tobytes() == nearest[name + "_scale"].tobytes(), name
    values = integers * scale
    if name + "_refined" in found:
        rows, rest_scale = found.pop(name + "_refined_rows"), found.pop(name + "_refined_scale")
        values[rows] += found.pop(name + "_refined") * rest_scale
        assert (np.abs(values[rows] - tensor[rows].astype(np.float32)) <= 0.51 * rest_scale).all(), name
        found.pop(name + "_refined_bias")
    off, least = (np.square(v - tensor.astype(np.float32)).mean() for v in (values, nearest[name] * scale))
    assert off <= 9 * least, (name, off, least)


def check_tensors(source, target):
    # How many bytes inputs get at int8 is assay's own matter.
    found = {n: t for n, t in tensors_of(target) if not n.endswith(".input_bytes")}
    for name, tensor in tensors_of(source):
        if name.startswith(("pooler.", "cls.")) and name not in found or name.endswith("position_ids"):
            continue
        if is_layer(name):
            check_layer(name, tensor, wanted(name, tensor), found)
            continue
        for key, value in wanted(name, tensor).items():
            other = found.pop(key)
            assert other.dtype == value.dtype and other.shape == value.shape, (key, other.dtype)
            assert other.tobytes() == value.tobytes(), key
    assert not found, sorted(found)


def remove_refined(folder):
    from safetensors.numpy import save_file
    tensors = {n: t for n, t in tensors_of(folder) if "_refined" not in n}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def by_transformers(folder, cross):
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = (AutoModelForSequenceClassification if cross else AutoModel).from_pretrained(
        folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    results = []
    for passage in PASSAGES:
        text = tokenizer(*([QUERY, passage] if cross else [passage]), return_tensors="pt",
                         truncation=True, max_length=model.config.max_position_embeddings)
        with torch.no_grad():
            out = model.eval()(**text)
        results.append(out.logits[0] if cross else out.last_hidden_state[0])
    return results


def check_results(build, folder, cross):
    import numpy as np
    from libassay import Assay
    found = by_transformers(folder, cross)
    remove_refined(folder)
    if cross:
        logits = Assay(build, folder).rerank(QUERY, PASSAGES)
        worst = max(abs(float(f) - l) for f, l in zip(found, logits))
    else:
        modules = folder / "modules.json"
        modules.unlink(missing_ok=True)  # mean pooling, no normalisation
        states = np.stack([f.mean(0).numpy() for f in found])
        vectors = np.frombuffer(Assay(build, folder).embed(PASSAGES, states.shape[1]), np.float32)
        worst = float(np.abs(states - vectors.reshape(states.shape)).max())
    assert worst <= TOLERANCE, worst
    return worst


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
    sources = [pathlib.Path(f) for f in sys.argv[2:]] or \
        [ROOT / "tests/golden/models" / name for name in GOLDENS]
    if importlib.util.find_spec("safetensors") is None or importlib.util.find_spec("numpy") is None:
        print("skipped: numpy and safetensors are not installed")
        return
    reads = importlib.util.find_spec("compressed_tensors") and importlib.util.find_spec("transformers")
    for source in sources:
        with tempfile.TemporaryDirectory() as work:
            target = pathlib.Path(work) / "int8"
            subprocess.run([build / "assay", "quantize", source, target, "--json"], check=True,
                           stdout=subprocess.DEVNULL)
            check_tensors(source, target)
            line = f"{source.name}: tensors equal numpy's"
            cross = "Classification" in json.loads((target / "config.json").read_text())["architectures"][0]
            if reads:
                line += f"; transformers' results within {check_results(build, target, cross):.1g}"
            print(line, flush=True)
    if not reads:
        print("skipped: compressed-tensors is not installed, transformers did not read the folders")


main()
