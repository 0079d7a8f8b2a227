# SPDX-License-Identifier: Apache-2.0
"""llama_server_model.py MODEL FILE [--int8]: writes a BERT cross-encoder in HF layout as the
GGUF that llama.cpp's server reranks with (llama-server -m FILE --reranking): weights f32 or
q8_0, with the vocabulary, which peer_llama.py's file does without.

The server gives every token the first type (see peer_llama.py), so its scores are not those
of the others; its work is."""
import json
import sys

import gguf
import numpy as np
from safetensors import safe_open

from peer_llama import gguf_name, write_settings


def write_vocabulary(writer, tokenizer):
    """Pieces that begin a word have a mark, as llama.cpp wants; those that go on lose theirs."""
    vocabulary = tokenizer["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.get)
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    text = [t if t in special else t[2:] if t.startswith("##") else "\u2581" + t for t in tokens]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(text)
    writer.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL
                            for t in tokens])
    writer.add_token_type_count(1)
    writer.add_bos_token_id(vocabulary["[CLS]"])
    writer.add_eos_token_id(vocabulary["[SEP]"])
    writer.add_sep_token_id(vocabulary["[SEP]"])
    writer.add_unk_token_id(vocabulary["[UNK]"])
    writer.add_pad_token_id(vocabulary["[PAD]"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    writer.add_add_sep_token(False)
    return len(tokens)


def write_weights(writer, model, words, int8):
    with safe_open(f"{model}/model.safetensors", "np") as file:
        tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}
    part = "bert.embeddings.{}_embeddings.weight".format
    tensors.pop("bert.embeddings.position_ids", None)
    named = {"token_embd.weight": tensors.pop(part("word"))[:words],
             "token_types.weight": tensors.pop(part("token_type"))[:1],
             "position_embd.weight": tensors.pop(part("position"))}
    named.update({gguf_name(name): tensor for name, tensor in tensors.items()})
    kind = gguf.GGMLQuantizationType.Q8_0
    for name, tensor in named.items():
        if int8 and (name.startswith("blk.") and tensor.ndim == 2 or name == "token_embd.weight"):
            writer.add_tensor(name, gguf.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, tensor)


def main():
    model, path = sys.argv[1:3]
    config = json.load(open(f"{model}/config.json", encoding="utf-8"))
    tokenizer = json.load(open(f"{model}/tokenizer.json", encoding="utf-8"))
    if config["model_type"] != "bert" or tokenizer["model"]["type"] != "WordPiece":
        raise SystemExit("only BERT with WordPiece is written as GGUF here")
    writer = gguf.GGUFWriter(path, "bert")
    write_settings(writer, config)
    words = write_vocabulary(writer, tokenizer)
    write_weights(writer, model, words, "--int8" in sys.argv[3:])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
