#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small seeded random ColBERT models of tests/golden/models/late-* and what
pylate answers for them in fp32; and what the seed form, a bi-encoder's hidden states
as they are, is by transformers.

Usage: tools/golden/late.py [OUT]       (OUT: tests/golden/models)

expected_pool.json has the vectors of documents whose tokens were pooled.

Needs pylate. The layout of the ColBERT authors is computed by their formulas, too
(QueryTokenizer, DocTokenizer and ColBERT of colbert-ir/ColBERT), which must agree with
pylate. expected.json holds the inputs, the answers and the versions that gave them."""
import json
import pathlib
import shutil
import string
import sys

import pylate
import scipy
import sentence_transformers
import torch
import transformers
from pylate import models
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, BertTokenizerFast

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/models")
VERSIONS = {"pylate": pylate.__version__, "transformers": transformers.__version__,
            "sentence-transformers": sentence_transformers.__version__,
            "torch": torch.__version__}
LETTERS = string.ascii_lowercase + string.digits
WORDS = ("the of to and in is a holiday leave employee may carry over year days how many "
         "contract notice period pay what when sick parent rain water cell protein").split()
VOCABULARY = (["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] +
              list(LETTERS) + ["##" + c for c in LETTERS] + list(".,?!-()'\"") +
              [w for w in WORDS if len(w) > 1] + ["##ing"])
QUERIES = ["How many days of leave may an employee carry over?", "rain",
           "what is the notice period, and when may sick pay be paid (contract)? " * 3]
DOCUMENTS = [
    "An employee may carry over ten days of leave into the next year.",
    "The notice period is three months.",
    "Rain, water; cell? protein!",
    "",
    "x",
    "Sick pay (what a parent may ask for) is paid when the contract says so - 26 weeks. " * 8,
    "\u00dcn\u00efcode caf\u00e9 \u4f60\u597d",
    "how many days of leave may an employee carry over?",
]


def fill(module, seed):
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.named_parameters():
        wide = 0.08 if tensor.dim() == 1 else 1.2 / tensor.shape[-1] ** 0.5
        if "embeddings" in name and tensor.dim() == 2:
            wide = 0.5
        value = torch.randn(tensor.shape, generator=generator) * wide
        tensor.data.copy_(1 + value if "LayerNorm.weight" in name else value)


def trunk(seed, hidden, heads, layers, intermediate):
    config = BertConfig(vocab_size=len(VOCABULARY), hidden_size=hidden, num_attention_heads=heads,
                        num_hidden_layers=layers, intermediate_size=intermediate,
                        max_position_embeddings=96, hidden_dropout_prob=0,
                        attention_probs_dropout_prob=0)
    model = BertModel(config, add_pooling_layer=False).eval()
    fill(model, seed)
    return model


def tokenizer_into(folder):
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=96)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return tokenizer


def new_folder(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


POOL_FACTORS = [2, 3, 100]


def pooled(folder, model):
    """Documents' vectors with pool_factor, in pylate's order of clusters."""
    vectors = {str(factor): [rounded(v) for v in model.encode(
                   DOCUMENTS, is_query=False, convert_to_tensor=True, pool_factor=factor)]
               for factor in POOL_FACTORS}
    (folder / "expected_pool.json").write_text(json.dumps(
        {"documents": DOCUMENTS, "document_vectors": vectors,
         "versions": {**VERSIONS, "scipy": scipy.__version__}}, ensure_ascii=True) + "\n")


def answer(folder, model):
    pooled(folder, model)
    queries = model.encode(QUERIES, is_query=True, convert_to_tensor=True, batch_size=1)
    documents = [model.encode([d], is_query=False, convert_to_tensor=True)[0] for d in DOCUMENTS]
    return write(folder, [q.cpu() for q in queries], [d.cpu() for d in documents])


def rounded(vectors):
    return [[round(float(v), 7) for v in row] for row in vectors]


def write(folder, queries, documents, name="expected.json", versions=VERSIONS):
    scores = [[float((q @ d.T).max(1).values.sum()) for d in documents] for q in queries]
    expected = {"queries": QUERIES, "documents": DOCUMENTS, "scores": scores,
                "query_vectors": [rounded(q) for q in queries],
                "document_vectors": [rounded(d) for d in documents], "versions": versions}
    (folder / name).write_text(json.dumps(expected, ensure_ascii=True) + "\n")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{folder.name}: {size} bytes")
    return queries, documents


def normalised(states):
    return torch.nn.functional.normalize(states, p=2, dim=-1)


def reference(model, linear, tokenizer, text, query, length, markers):
    """The formulas of colbert-ir/ColBERT, one text at a time."""
    found = tokenizer([". " + text], padding="max_length" if query else False, truncation=True,
                      max_length=length, return_tensors="pt")
    ids, mask = found["input_ids"], found["attention_mask"]
    ids[:, 1] = tokenizer.convert_tokens_to_ids(markers[0 if query else 1])
    if query:
        ids[ids == tokenizer.pad_token_id] = tokenizer.mask_token_id
    with torch.no_grad():
        states = linear(model(ids, attention_mask=mask)[0])[0]
    if not query:
        skipped = {tokenizer.encode(c, add_special_tokens=False)[0] for c in string.punctuation}
        states = states[[int(i) not in skipped for i in ids[0]]]
    return normalised(states)


def agree(what, found, wanted):
    for a, b in zip(found, wanted):
        assert a.shape == b.shape, (what, a.shape, b.shape)
        assert (a - b).abs().max() < 2e-6, (what, (a - b).abs().max())
    print(f"{what}: the same")


def colbert():
    """As colbertv2.0 and answerai-colbert-small-v1 lie on the hub."""
    folder = new_folder("late-colbert")
    tokenizer = tokenizer_into(folder)
    model = trunk(21, 36, 3, 2, 52)
    linear = torch.nn.Linear(36, 20, bias=False)
    fill(linear, 22)
    state = {"bert." + n: t.contiguous() for n, t in model.state_dict().items()}
    save_file({**state, "linear.weight": linear.weight.data}, folder / "model.safetensors",
              {"format": "pt"})
    fields = model.config.to_dict()
    fields.update(architectures=["HF_ColBERT"], position_embedding_type="absolute")
    (folder / "config.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")
    (folder / "artifact.metadata").write_text(json.dumps(
        {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_token": "[Q]",
         "doc_token": "[D]", "dim": 20, "similarity": "cosine", "query_maxlen": 24,
         "doc_maxlen": 64, "mask_punctuation": True, "attend_to_mask_tokens": False},
        indent=1) + "\n")
    queries, documents = answer(folder, models.ColBERT(str(folder), device="cpu"))
    markers = ("[unused0]", "[unused1]")
    agree("reference, queries", [reference(model, linear, tokenizer, q, True, 24, markers)
                                 for q in QUERIES], queries)
    agree("reference, documents", [reference(model, linear, tokenizer, d, False, 64, markers)
                                   for d in DOCUMENTS], documents)


def modules(name, seed, **settings):
    """As pylate saves a model."""
    base = new_folder(name + "-base")
    tokenizer_into(base)
    trunk(seed, 32, 4, 2, 40).save_pretrained(base)
    model = models.ColBERT(str(base), device="cpu", **settings)
    fill(model, seed)
    folder = new_folder(name)
    model.save_pretrained(str(folder), create_model_card=False)
    shutil.rmtree(base)
    for leftover in ("README.md", "vocab.txt"):
        (folder / leftover).unlink(missing_ok=True)
    answer(folder, models.ColBERT(str(folder), device="cpu"))


def seed(name):
    """A bi-encoder's last hidden states; [CLS], [SEP] and punctuation count."""
    folder = OUT / name
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).eval()
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]

    def encode(text):
        inputs = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.no_grad():
            return normalised(model(**inputs).last_hidden_state[0])

    write(folder, [encode(q) for q in QUERIES], [encode(d) for d in DOCUMENTS],
          "expected_late.json", {k: VERSIONS[k] for k in ("transformers", "torch")})


torch.set_num_threads(1)
colbert()
modules("late-pylate", 23, embedding_size=16, query_length=20, document_length=48)
modules("late-pylate-attend", 25, embedding_size=24, query_length=16, document_length=40,
        attend_to_expansion_tokens=True, skiplist_words=["the", "of", "?"], bias=True)
modules("late-pylate-plain", 27, embedding_size=12, query_length=30, document_length=90,
        do_query_expansion=False, query_prefix="", document_prefix="", skiplist_words=[])
seed("dense-mean")
