# SPDX-License-Identifier: Apache-2.0
"""CTranslate2: its encoder with the [CLS] pooling that its converter adds to
BERT, fp32 and int8; the classifier in numpy, as its documentation shows."""
import numpy as np

import engine


class CTranslate2(engine.Engine):
    @staticmethod
    def prepare(model, precision, folder, texts):
        import torch
        from ctranslate2.converters import TransformersConverter
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        network = AutoModelForSequenceClassification.from_pretrained(model, dtype=torch.float32)
        base = network.base_model
        if network.config.model_type == "bert":
            head = [network.classifier]
        else: # of XLM-RoBERTa's head no part is in the encoder
            head = [network.classifier.dense, network.classifier.out_proj]
        arrays = {}
        for i, layer in enumerate(head):
            arrays[f"w{i}"], arrays[f"b{i}"] = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        np.savez(f"{folder}/head.npz", **arrays)
        base.config.position_embedding_type = "absolute"  # the converter reads it, transformers 5 has it no more
        base.save_pretrained(f"{folder}/base")
        AutoTokenizer.from_pretrained(model).save_pretrained(f"{folder}/base")
        TransformersConverter(f"{folder}/base").convert(
            f"{folder}/model", quantization={"fp32": "float32"}.get(precision, precision), force=True)

    def __init__(self, model, precision, folder, threads):
        super().__init__(model, threads)
        import ctranslate2
        self.version = f"CTranslate2 {ctranslate2.__version__}"
        self.storage = ctranslate2.StorageView
        self.encoder = ctranslate2.Encoder(
            f"{folder}/model", device="cpu", intra_threads=threads, inter_threads=1,
            compute_type={"fp32": "float32", "int8": "int8_float32"}[precision])
        self.head = np.load(f"{folder}/head.npz")
        self.types = True

    def logits(self, encodings):
        out = self.encoder.forward_batch([e.ids for e in encodings],
                                         token_type_ids=[e.type_ids for e in encodings])
        if out.pooler_output is not None:
            pooled = np.array(out.pooler_output)
        else:
            pooled = np.array(out.last_hidden_state)[:, 0]
        if "w1" in self.head:
            pooled = np.tanh(pooled @ self.head["w0"].T + self.head["b0"])
            return (pooled @ self.head["w1"].T + self.head["b1"])[:, 0]
        return (pooled @ self.head["w0"].T + self.head["b0"])[:, 0]


if __name__ == "__main__":
    engine.main(CTranslate2)
