#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small seeded random models of tests/golden/models/ and what
transformers and sentence-transformers answer for them in fp32.

Usage: tools/golden/models.py [OUT [NAME...]]       (OUT: tests/golden/models; all)

Each folder is one architecture, layout or precision that users have.
expected.json holds the inputs, the answers and the versions that gave them.
Weights are drawn wide enough that attention is far from uniform and GELU is
bent."""
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
from tokenizers import normalizers, pre_tokenizers, processors
from transformers import (BertConfig, BertForSequenceClassification, BertModel,
                          BertTokenizerFast, PreTrainedTokenizerFast, RobertaConfig,
                          RobertaForSequenceClassification, RobertaModel, XLMRobertaConfig,
                          XLMRobertaForSequenceClassification, XLMRobertaModel)

import split as apart

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/models")
ONLY = sys.argv[2:]
FAMILIES = {
    "bert": (BertConfig, BertForSequenceClassification, BertModel),
    "roberta": (RobertaConfig, RobertaForSequenceClassification, RobertaModel),
    "xlm-roberta": (XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaModel),
}
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
# What RoBERTa numbers differently from all others: padding tokens in a text.
PADDED = "ten <pad> days <pad><pad> of leave </s> <s> <mask> may"
TEXTS = PASSAGES + [QUERY, "   ", "holiday", "holiday " * 100]
LONG = [("days of leave " * 400)[:n] for n in (12, 3600, 1000, 4000, 4)]
ROLE_TEXTS = [PASSAGES[1], QUERY, "", PASSAGES[5]]


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
        if name.endswith(("classifier.weight", "classifier.out_proj.weight")):
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


ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def roberta_wordpiece():
    """BERT's pieces under RoBERTa's special tokens: its own are bytes' BPE."""
    pieces = ROBERTA_SPECIAL + VOCABULARY[5:] + ["<mask>"]
    model = tokenizers.models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def unigram():
    """A small Unigram model with XLM-RoBERTa's ids and pre-tokenizer."""
    words = sorted({w for w in WORDS if len(w) > 1}) + ["Employee", "An", "\u4f60\u597d"]
    pieces = [(p, 0.0) for p in ROBERTA_SPECIAL]
    pieces += [("\u2581" + w, -4.0 - len(w) / 8) for w in words]
    pieces += [(w, -6.0 - len(w) / 8) for w in words if len(w) > 2]
    pieces += [("\u2581", -3.5)] + [(c, -7.0 - i / 16) for i, c in
                                     enumerate(LETTERS + ".,?!-()'\"QRSTAEHW")]
    pieces += [("<mask>", 0.0)]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    return tokenizer


def write_roberta_tokenizer(folder, positions, tokenizer):
    """With the layouts <s> A </s> and <s> A </s></s> B </s>, all of type 0."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=positions, bos_token="<s>", cls_token="<s>",
        eos_token="</s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
        mask_token="<mask>", model_input_names=["input_ids", "attention_mask"])
    wrapped.save_pretrained(folder)
    return wrapped


def make_tokenizer(folder, positions, family, kind):
    if kind == "unigram":
        return write_roberta_tokenizer(folder, positions, unigram())
    if family == "roberta":
        return write_roberta_tokenizer(folder, positions, roberta_wordpiece())
    return write_tokenizer(folder, positions)


def make(name, seed, cross, kind, sizes, pooling=None, normalise=False, old_names=False,
         max_seq_length=None, family="bert", tokenizer=None, prompts=None,
         passages=None, split=0, **extra):
    if ONLY and name not in ONLY:
        return
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    hidden, heads, layers, intermediate, positions = sizes
    padded = family != "bert"
    tokenizer = make_tokenizer(folder, positions, family, tokenizer)
    configuration, classifier, trunk = FAMILIES[family]
    if padded:  # as all of them have it
        extra = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "layer_norm_eps": 1e-5,
                 **extra}
    config = configuration(vocab_size=len(tokenizer), hidden_size=hidden,
                           num_attention_heads=heads, num_hidden_layers=layers,
                           intermediate_size=intermediate,
                           max_position_embeddings=positions + 2 * padded,
                           type_vocab_size=1 if padded else 2, num_labels=1,
                           hidden_dropout_prob=0, attention_probs_dropout_prob=0, **extra)
    model = (classifier if cross else trunk)(config).eval()
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
    if split:
        fields["assay_split"] = split
    if kind == "int8":
        fields["quantization_config"] = QUANTIZATION
    (folder / "config.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")
    if pooling:
        write_modules(folder, pooling, hidden, normalise, max_seq_length)
    more = [PADDED] if padded else []
    if split:
        expected = score_split(model, tokenizer, positions, split)
    elif cross:
        expected = score(model, tokenizer, positions, passages or PASSAGES + more)
    else:
        settings = (model, tokenizer, max_seq_length or positions, pooling or "mean", normalise)
        expected = embed(*settings, TEXTS[:-1] + more + TEXTS[-1:])
        if prompts:
            (folder / "config_sentence_transformers.json").write_text(json.dumps(
                {"prompts": prompts, "default_prompt_name": None}, indent=1))
            for role in prompts:
                expected[role] = embed(*settings, [prompts[role] + t for t in ROLE_TEXTS])
                expected[role]["texts"] = ROLE_TEXTS
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


def score(model, tokenizer, positions, passages):
    logits, tokens = [], []
    for passage in passages:
        # As lists: a lone empty second text would be taken for none.
        inputs = tokenizer([QUERY], [passage], truncation="only_second", max_length=positions,
                           return_tensors="pt")
        with torch.no_grad():
            logits.append(model(**inputs).logits.item())
        tokens.append(inputs["input_ids"].shape[1])
    return {"query": QUERY, "passages": passages, "logits": logits, "tokens": tokens}


def score_split(model, tokenizer, positions, split):
    """Of a passage as much is read as without a query."""
    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    first = [tokenizer.cls_token_id, *ids(QUERY), tokenizer.sep_token_id]
    pairs = [(first + ids(p)[:positions - positions // 8 - 3] + [tokenizer.sep_token_id], len(first))
             for p in PASSAGES]
    with torch.no_grad():
        logits = [apart.logits(model, [pair], split).item() for pair in pairs]
    return {"query": QUERY, "passages": PASSAGES, "logits": logits,
            "tokens": [len(pair[0]) for pair in pairs]}


def embed(model, tokenizer, limit, pooling, normalise, texts):
    vectors, tokens = [], []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs).last_hidden_state[0]
        vector = states[0] if pooling == "cls" else states.mean(0)
        if normalise:
            vector = torch.nn.functional.normalize(vector, dim=0)
        vectors.append([float(np.float32(v)) for v in vector])
        tokens.append(inputs["input_ids"].shape[1])
    return {"texts": texts, "embeddings": vectors, "tokens": tokens}


def check(name):
    """sentence-transformers must agree with what was computed by hand."""
    if ONLY and name not in ONLY:
        return
    folder = OUT / name
    expected = json.loads((folder / "expected.json").read_text())
    settings = {"device": "cpu", "model_kwargs": {"dtype": torch.float32}}
    if "logits" in expected:
        model = sentence_transformers.CrossEncoder(str(folder), activation_fn=torch.nn.Identity(),
                                                   **settings)
        found = model.predict([(QUERY, p) for p in expected["passages"]], batch_size=1)
        agree(name, found, expected["logits"])
        return
    model = sentence_transformers.SentenceTransformer(str(folder), **settings)
    agree(name, model.encode(expected["texts"], batch_size=1), expected["embeddings"])
    for role in ("query", "document"):
        if role in expected:
            encode = model.encode_query if role == "query" else model.encode_document
            agree(f"{name}, {role}", encode(expected[role]["texts"], batch_size=1),
                  expected[role]["embeddings"])


def agree(name, found, wanted):
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
make("cross-roberta", 8, True, "f32", (40, 2, 1, 48, 64), family="roberta")
make("cross-long", 13, True, "f16", (8, 2, 1, 12, 1000), family="roberta", passages=LONG)
make("cross-xlmr", 9, True, "f32", (36, 3, 2, 53, 96), family="xlm-roberta", tokenizer="unigram")
make("cross-xlmr-f16", 10, True, "f16", (64, 4, 1, 72, 80), family="xlm-roberta",
     tokenizer="unigram")
# The first token's state is the text's, as in bge-m3; prompts as multilingual-e5's.
make("dense-xlmr", 11, False, "f32", (32, 4, 2, 40, 72), family="xlm-roberta",
     tokenizer="unigram", pooling="cls", normalise=True, max_seq_length=64,
     prompts={"query": "query: ", "document": "passage: "})
make("dense-prompts", 12, False, "f16", (28, 2, 2, 40, 64), pooling="mean", normalise=True,
     prompts={"query": "query: ", "document": "passage: "})
make("cross-split", 14, True, "f32", (36, 3, 3, 53, 96), split=2)
check("cross-roberta")
check("cross-long")
check("cross-xlmr")
check("cross-xlmr-f16")
check("dense-xlmr")
check("dense-prompts")
check("cross-f32")
check("dense-mean")
check("dense-cls")
