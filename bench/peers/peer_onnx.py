# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: fp32 with its fusions for BERT, and that graph quantised: weights
int8 by channel, activations as they come. Where the CPU has no VNNI its 8-bit
product saturates, so weights then take 7 bits, as its documentation asks."""
import pathlib

import engine

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def has_vnni():
    flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return "avx512_vnni" in flags or "avx_vnni" in flags


def export(model, path):
    """Writes fp32 ONNX of a cross-encoder; returns its configuration."""
    import torch
    from transformers import AutoModelForSequenceClassification
    network = AutoModelForSequenceClassification.from_pretrained(
        model, attn_implementation="eager", dtype=torch.float32).eval()
    names = INPUTS if network.config.model_type == "bert" else INPUTS[:2]
    ids = torch.full((2, 16), 5)
    example = (ids, torch.ones_like(ids), torch.zeros_like(ids))[:len(names)]
    torch.onnx.export(network, example, str(path), input_names=list(names),
                      output_names=["logits"], dynamo=False, opset_version=17,
                      dynamic_axes={n: {0: "batch", 1: "length"} for n in names})
    return network.config


class Onnx(engine.Engine):
    @staticmethod
    def prepare(model, precision, folder, texts):
        from onnxruntime import quantization
        from onnxruntime.transformers import optimizer
        fused, plain = pathlib.Path(folder, "fp32.onnx"), pathlib.Path(folder, "plain.onnx")
        config = export(model, plain)
        graph = optimizer.optimize_model(str(plain), model_type="bert",
                                         num_heads=config.num_attention_heads,
                                         hidden_size=config.hidden_size)
        print({k: v for k, v in graph.get_fused_operator_statistics().items() if v})
        graph.save_model_to_file(str(fused), use_external_data_format=True)
        plain.unlink()
        if precision == "int8":
            quantization.quantize_dynamic(str(fused), str(pathlib.Path(folder, "int8.onnx")),
                                          weight_type=quantization.QuantType.QInt8,
                                          per_channel=True, reduce_range=not has_vnni(),
                                          use_external_data_format=True,
                                          extra_options={"DefaultTensorType": 1}) # float

    def __init__(self, model, precision, folder, threads):
        super().__init__(model, threads)
        import onnxruntime
        self.version = f"ONNX Runtime {onnxruntime.__version__}"
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(f"{folder}/{precision}.onnx", settings,
                                                    providers=["CPUExecutionProvider"])
        self.names = [i.name for i in self.session.get_inputs()]

    def logits(self, encodings):
        inputs = dict(zip(INPUTS, self.tokenizer.arrays(encodings)))
        return self.session.run(None, {n: inputs[n] for n in self.names})[0][:, 0]


if __name__ == "__main__":
    engine.main(Onnx)
