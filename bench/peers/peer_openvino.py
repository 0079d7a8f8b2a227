# SPDX-License-Identifier: Apache-2.0
"""OpenVINO: fp32; bf16 (its own choice where the CPU has it, so fp32 has to be
asked for); int8, its weights compressed and activations quantised as they come,
in groups; int8-static, weights and activations quantised by NNCF, calibrated on
passages that no workload holds. The graph comes from torch with attention as
one operation, which OpenVINO has a kernel for."""
import pathlib

import engine


class OpenVino(engine.Engine):
    @staticmethod
    def prepare(model, precision, folder, texts):
        import openvino
        network = graph(model)
        if precision == "int8":
            import nncf
            network = nncf.compress_weights(network, mode=nncf.CompressWeightsMode.INT8_SYM)
        elif precision == "int8-static":
            network = calibrated(network, model, texts)
        openvino.save_model(network, pathlib.Path(folder, "model.xml"), compress_to_fp16=False)

    def __init__(self, model, precision, folder, threads):
        super().__init__(model, threads)
        import openvino
        self.version = f"OpenVINO {openvino.__version__.split('-')[0]}"
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads,
                    "INFERENCE_PRECISION_HINT": openvino.Type.bf16 if precision == "bf16" else openvino.Type.f32}
        if precision == "int8":
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 32
        self.network = openvino.Core().compile_model(f"{folder}/model.xml", "CPU", settings)
        self.request = self.network.create_infer_request()
        self.inputs = len(self.network.inputs)

    def logits(self, encodings):
        arrays = self.tokenizer.arrays(encodings)[:self.inputs]
        return self.request.infer(list(arrays), share_inputs=True)[0][:, 0]


def graph(model):
    import openvino
    import torch
    from transformers import AutoModelForSequenceClassification
    network = AutoModelForSequenceClassification.from_pretrained(
        model, attn_implementation="sdpa", dtype=torch.float32).eval()
    ids = torch.full((2, 16), 5)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if network.config.model_type == "bert":
        inputs["token_type_ids"] = torch.zeros_like(ids)

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, input_ids, attention_mask, token_type_ids=None):
            return self.network(input_ids, attention_mask=attention_mask,
                                token_type_ids=token_type_ids).logits
    return openvino.convert_model(Logits(), example_input=inputs)


def calibrated(network, model, texts):
    import nncf
    tokenizer = engine.Tokenizer(model, 1)
    pairs = [e for job in engine.read_pairs(texts)
             for e in tokenizer.encode(job["query"], job["passages"])]
    names = [i.get_any_name() for i in network.inputs]
    return nncf.quantize(network, nncf.Dataset(pairs, lambda e: dict(zip(names, tokenizer.arrays([e])))),
                         model_type=nncf.ModelType.TRANSFORMER, subset_size=min(100, len(pairs)))


if __name__ == "__main__":
    engine.main(OpenVino)
