#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small seeded random BERT models of tests/golden/models/ and what
transformers and sentence-transformers answer for them in fp32.

Usage: tools/golden/models.py [OUT]       (OUT: tests/golden/models)

Each folder is one layout or precision that users have. expected.json holds the
inputs, the answers and the versions that gave them. Weights are drawn wide
enough that attention is far from uniform and GELU is bent."""
import json
import pathlib
import shutil
import sys

import numpy as np
import sentence_transformers
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (BertConfig, BertForSequenceClassification, BertModel,
                          BertTokenizerFast)

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/models")
VERSIONS = {"transformers": transformers.__version__, "torch": torch.__version__,
            "sentence-transformers": sentence_transformers.__version__,
            "tokenizers": tokenizers.__version__}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = ("the of to and in is a holiday leave employee may carry over year days how many "
         "contract notice period pay what when sick parent rain water cell protein").split()
VOCABULARY = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(LETTERS) +
              ["##" + c for c in LETTERS] + list(".,?!-()'\"") +
              [w for w in WORDS if len(w) > 1] + ["##s", "##ing", "##ed"][1:])
QUERY = "How many days of leave may an employee carry over?"
PASSAGES = [
    "An employee may carry over ten days of leave into the next year.",
    "The notice period is three months.",
    "Rain, water; cell? protein!",
    "",
    "x",
    "Sick pay (what a parent may ask for) is paid when the contract says so - 26 weeks. " * 8,
    "\u00dcn\u00efcode caf\u00e9 \u4f60\u597d \U0001f600 na\u0308ive",
    "how many days of leave may an employee carry over?",
]
TEXTS = PASSAGES + [QUERY, "   ", "holiday", "holiday " * 100]


def fill(model, seed):
    """Draws every weight from its own stream."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        wide = 0.08 if tensor.dim() == 1 else 1.2 / tensor.shape[-1] ** 0.5
        if "embeddings" in name and tensor.dim() == 2:
            wide = 0.5
        value = torch.randn(tensor.shape, generator=generator) * wide
        if "LayerNorm.weight" in name:
            value = 1 + value
        if "classifier.weight" in name:
            value = value * 3
        tensor.data.copy_(value)


def quantise(state):
    """Int8, symmetric, one scale a row: linear layers and word embeddings."""
    out = {}
    for name, tensor in state.items():
        if tensor.dim() == 2 and not name.endswith(
                ("position_embeddings.weight", "token_type_embeddings.weight",
                 "classifier.weight")):
            scale = tensor.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            out[name] = torch.clamp((tensor / scale).round(), -127, 127).to(torch.int8)
            out[name + "_scale"] = scale.to(torch.float32)
        else:
            out[name] = tensor.to(torch.float16)
    return out


def dequantise(state):
    return {name: (tensor.float() * state[name + "_scale"].float()
                   if tensor.dtype == torch.int8 else tensor.float())
            for name, tensor in state.items() if not name.endswith("_scale")}


QUANTIZATION = {
    "quant_method": "compressed-tensors", "format": "int-quantized",
    "quantization_status": "compressed", "ignore": ["classifier"],
    "config_groups": {"group_0": {
        "targets": ["Linear", "Embedding"], "input_activations": None, "output_activations": None,
        "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel",
                    "dynamic": False}}}}


def write_weights(folder, state, kind):
    if kind == "int8":
        state = quantise(state)
    elif kind in ("f16", "bf16"):
        state = {n: t.to(torch.float16 if kind == "f16" else torch.bfloat16)
                 for n, t in state.items()}
    state = {n: t.contiguous().clone() for n, t in state.items()}
    if kind == "sharded":
        names = sorted(state)
        parts = [names[0::2], names[1::2]]
        files = [f"model-{i + 1:05d}-of-00002.safetensors" for i in range(2)]
        for file, part in zip(files, parts):
            save_file({n: state[n] for n in part}, folder / file, {"format": "pt"})
        index = {"metadata": {}, "weight_map": {n: f for f, p in zip(files, parts) for n in p}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    else:
        save_file(state, folder / "model.safetensors", {"format": "pt"})
    return dequantise(state)


def write_tokenizer(folder, positions):
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=positions)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return tokenizer


def make(name, seed, cross, kind, sizes, pooling=None, normalise=False, old_names=False,
         max_seq_length=None, **extra):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    hidden, heads, layers, intermediate, positions = sizes
    config = BertConfig(vocab_size=len(VOCABULARY), hidden_size=hidden, num_attention_heads=heads,
                        num_hidden_layers=layers, intermediate_size=intermediate,
                        max_position_embeddings=positions, type_vocab_size=2, num_labels=1,
                        hidden_dropout_prob=0, attention_probs_dropout_prob=0, **extra)
    model = (BertForSequenceClassification if cross else BertModel)(config).eval()
    fill(model, seed)
    config.architectures = [type(model).__name__]
    written = write_weights(folder, model.state_dict(), kind)
    model.load_state_dict(written)
    if old_names:
        state = load_file(folder / "model.safetensors")
        save_file({n.replace("LayerNorm.weight", "LayerNorm.gamma")
                    .replace("LayerNorm.bias", "LayerNorm.beta"): t for n, t in state.items()},
                  folder / "model.safetensors", {"format": "pt"})
    fields = config.to_dict()
    fields["position_embedding_type"] = "absolute"
    if kind == "int8":
        fields["quantization_config"] = QUANTIZATION
    (folder / "config.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")
    tokenizer = write_tokenizer(folder, positions)
    if pooling:
        write_modules(folder, pooling, hidden, normalise, max_seq_length)
    expected = (score(model, tokenizer, positions) if cross else
                embed(model, tokenizer, max_seq_length or positions, pooling or "mean", normalise))
    expected["versions"] = VERSIONS
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=True, indent=1) + "\n")
    print(f"{name}: {sum(f.stat().st_size for f in folder.rglob('*') if f.is_file())} bytes")


def write_modules(folder, pooling, hidden, normalise, max_seq_length):
    modules = ["Transformer", "Pooling"] + (["Normalize"] if normalise else [])
    paths = ["", "1_Pooling", "2_Normalize"]
    (folder / "modules.json").write_text(json.dumps(
        [{"idx": i, "name": str(i), "path": paths[i], "type": f"sentence_transformers.models.{m}"}
         for i, m in enumerate(modules)], indent=1))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(
        {"word_embedding_dimension": hidden,
         **{f"pooling_mode_{k}": k.startswith(pooling) for k in
            ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}}, indent=1))
    if pooling == "mean":  # the form that version 6 writes
        (folder / "1_Pooling/config.json").write_text(json.dumps(
            {"embedding_dimension": hidden, "pooling_mode": "mean", "include_prompt": True}))
    if max_seq_length:
        (folder / "sentence_bert_config.json").write_text(json.dumps(
            {"max_seq_length": max_seq_length, "do_lower_case": False}))


def score(model, tokenizer, positions):
    logits, tokens = [], []
    for passage in PASSAGES:
        # As lists: a lone empty second text would be taken for none.
        inputs = tokenizer([QUERY], [passage], truncation="only_second", max_length=positions,
                           return_tensors="pt")
        with torch.no_grad():
            logits.append(model(**inputs).logits.item())
        tokens.append(inputs["input_ids"].shape[1])
    return {"query": QUERY, "passages": PASSAGES, "logits": logits, "tokens": tokens}


def embed(model, tokenizer, limit, pooling, normalise):
    vectors, tokens = [], []
    for text in TEXTS:
        inputs = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs).last_hidden_state[0]
        vector = states[0] if pooling == "cls" else states.mean(0)
        if normalise:
            vector = torch.nn.functional.normalize(vector, dim=0)
        vectors.append([float(np.float32(v)) for v in vector])
        tokens.append(inputs["input_ids"].shape[1])
    return {"texts": TEXTS, "embeddings": vectors, "tokens": tokens}


def check(name):
    """sentence-transformers must agree with what was computed by hand."""
    folder = OUT / name
    expected = json.loads((folder / "expected.json").read_text())
    if "logits" in expected:
        model = sentence_transformers.CrossEncoder(str(folder), device="cpu",
                                                   activation_fn=torch.nn.Identity())
        found = model.predict([(QUERY, p) for p in PASSAGES], batch_size=1)
        wanted = expected["logits"]
    else:
        model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
        found = model.encode(TEXTS, batch_size=1)
        wanted = expected["embeddings"]
    difference = np.abs(found - np.array(wanted, dtype=np.float32)).max()
    print(f"{name}: sentence-transformers differs by {difference:.2g}")
    assert difference < 2e-6


torch.set_num_threads(1)
make("cross-f32", 1, True, "f32", (36, 3, 2, 53, 96))
make("cross-f16", 2, True, "f16", (64, 4, 1, 96, 64))
make("cross-int8", 3, True, "int8", (48, 4, 3, 80, 80), hidden_act="relu")
make("cross-old-names", 4, True, "f32", (32, 2, 1, 37, 64), old_names=True)
make("dense-mean", 5, False, "f32", (40, 5, 2, 61, 96), pooling="mean", normalise=True,
     max_seq_length=64)
make("dense-cls", 6, False, "sharded", (32, 2, 2, 48, 64), pooling="cls")
make("dense-plain", 7, False, "bf16", (48, 3, 4, 33, 70))
check("cross-f32")
check("dense-mean")
check("dense-cls")
