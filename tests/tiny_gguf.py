#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tiny_gguf.py FILE: writes a language model of random weights that llama.cpp runs: two
layers of 64, a tokenizer of bytes and some words. It says nothing of sense, which is what
tests of its readers want. Needs the packages gguf and numpy."""
import sys

import gguf
import numpy

LAYERS, WIDTH, INNER, HEADS = 2, 64, 128, 4
WORDS = ("yes no true false order grade better answers passage passages query the a of to and "
         "is in [ ] > < { } : , . \" 0 1 2 3 4 5 6 7 8 9 10 A B").split()


def vocabulary():
    normal, unknown, control, byte = 1, 2, 3, 6
    tokens, kinds = ["<unk>", "<s>", "</s>"], [unknown, control, control]
    tokens += [f"<0x{i:02X}>" for i in range(256)]
    kinds += [byte] * 256
    for word in WORDS:
        for piece in (word, "\u2581" + word):
            tokens.append(piece)
            kinds.append(normal)
    scores = [0.0] * 259 + [-1.0 - i / 100 for i in range(len(tokens) - 259)]
    return tokens, scores, kinds


def main():
    writer = gguf.GGUFWriter(sys.argv[1], "llama")
    random = numpy.random.default_rng(6)
    tokens, scores, kinds = vocabulary()
    writer.add_context_length(8192)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    shapes = {"token_embd.weight": (len(tokens), WIDTH), "output.weight": (len(tokens), WIDTH),
              "output_norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        shapes |= {f"blk.{i}.{name}.weight": shape for name, shape in {
            "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH),
            "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER),
        }.items()}
    for name, shape in shapes.items():
        values = numpy.ones(shape) if len(shape) == 1 else random.normal(0, 0.2, shape)
        writer.add_tensor(name, values.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
