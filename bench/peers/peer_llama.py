# SPDX-License-Identifier: Apache-2.0
"""llama.cpp through llama-cpp-python: GGUF with f32 or q8_0 weights, pooling
"rank". Its BERT gives every token the first type. So that it scores what the
others score, the vocabulary is written twice, the second time with the
difference of the two types' vectors added, and tokens of the passage are taken
from there. That costs it a larger table and no time."""
import ctypes
import json

import numpy as np

import engine

LAYER = {"attention.self.query": "attn_q", "attention.self.key": "attn_k",
         "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
         "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up",
         "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
HEAD = {"bert.embeddings.LayerNorm": "token_embd_norm", "bert.pooler.dense": "cls",
        "classifier": "cls.output"}


def gguf_name(name):
    stem, kind = name.rsplit(".", 1)
    if stem.startswith("bert.encoder.layer."):
        number, rest = stem[len("bert.encoder.layer."):].split(".", 1)
        return f"blk.{number}.{LAYER[rest]}.{kind}"
    return f"{HEAD[stem]}.{kind}"


def write_settings(writer, config):
    import gguf
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_classifier_output_labels(["relevance"])


class Llama(engine.Engine):
    @staticmethod
    def prepare(model, precision, folder, texts):
        import gguf
        from safetensors import safe_open
        with open(f"{model}/config.json", encoding="utf-8") as file:
            config = json.load(file)
        if config["model_type"] != "bert":
            raise SystemExit("llama.cpp: only BERT is written as GGUF here")
        writer = gguf.GGUFWriter(f"{folder}/{precision}.gguf", "bert")
        write_settings(writer, config)
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(2 * config["vocab_size"])
        writer.add_uint32("tokenizer.ggml.token_type_count", 1)
        with safe_open(f"{model}/model.safetensors", "np") as file:
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}
        part = "bert.embeddings.{}_embeddings.weight".format
        tensors.pop("bert.embeddings.position_ids", None)
        words, types = tensors.pop(part("word")), tensors.pop(part("token_type"))
        named = {"token_embd.weight": np.concatenate([words, words + types[1] - types[0]]),
                 "token_types.weight": types[:1], "position_embd.weight": tensors.pop(part("position"))}
        named.update({gguf_name(name): tensor for name, tensor in tensors.items()})
        for name, tensor in named.items():
            layer = name.startswith("blk.") and tensor.ndim == 2 or name == "token_embd.weight"
            kind = gguf.GGMLQuantizationType.Q8_0
            if precision == "int8" and layer:
                writer.add_tensor(name, gguf.quantize(tensor, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def __init__(self, model, precision, folder, threads):
        super().__init__(model, threads)
        import llama_cpp
        self.library = llama_cpp
        self.version = f"llama.cpp (llama-cpp-python {llama_cpp.__version__})"
        with open(f"{model}/config.json", encoding="utf-8") as file:
            self.second = json.load(file)["vocab_size"]
        silent = llama_cpp.llama_log_callback(lambda level, text, user: None)
        self.silent = silent
        llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(f"{folder}/{precision}.gguf".encode(), settings)
        self.threads, self.contexts = threads, {}

    def context(self, batch):
        """One for each batch size: its buffers are sized by it."""
        if batch not in self.contexts:
            library, tokens = self.library, batch * engine.LIMIT
            settings = library.llama_context_default_params()
            settings.n_ctx = settings.n_batch = settings.n_ubatch = tokens
            settings.n_seq_max = batch
            settings.n_threads = settings.n_threads_batch = self.threads
            settings.embeddings = True
            settings.pooling_type = library.LLAMA_POOLING_TYPE_RANK
            self.contexts = {batch: (library.llama_init_from_model(self.model, settings),
                                     library.llama_batch_init(tokens, 0, 1))}
        return self.contexts[batch]

    def score(self, query, passages, batch):
        self.batch = batch
        return super().score(query, passages, batch)

    def logits(self, encodings):
        library, (context, batch) = self.library, self.context(self.batch)
        at = 0
        for sequence, e in enumerate(encodings):
            for position, (token, second) in enumerate(zip(e.ids, e.type_ids)):
                batch.token[at] = token + self.second * second
                batch.pos[at] = position
                batch.n_seq_id[at] = 1
                batch.seq_id[at][0] = sequence
                batch.logits[at] = 1
                at += 1
        batch.n_tokens = at
        if library.llama_encode(context, batch) != 0:
            raise SystemExit("llama_encode failed")
        return [library.llama_get_embeddings_seq(context, i)[0] for i in range(len(encodings))]


if __name__ == "__main__":
    engine.main(Llama)
