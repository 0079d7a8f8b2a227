# SPDX-License-Identifier: Apache-2.0
"""sentence-transformers, as its users call it: fp32 (the reference of all
rankings), bf16 weights and activations, and torch's dynamic int8 of the linear layers."""
import engine


class Torch(engine.Engine):
    def __init__(self, model, precision, folder, threads):
        import torch
        from sentence_transformers import CrossEncoder, __version__
        torch.set_num_threads(threads)
        self.version = f"sentence-transformers {__version__}, torch {torch.__version__}"
        self.model = CrossEncoder(model, device="cpu", activation_fn=torch.nn.Identity(),
                                  max_length=engine.LIMIT)
        self.model.model.float()
        if precision == "bf16":
            self.model.model.bfloat16()
        elif precision == "int8":
            torch.ao.quantization.quantize_dynamic(self.model.model, {torch.nn.Linear},
                                                   dtype=torch.qint8, inplace=True)

    def score(self, query, passages, batch):
        """predict sorts by length itself."""
        return self.model.predict([(query, p) for p in passages], batch_size=batch,
                                  show_progress_bar=False)


if __name__ == "__main__":
    engine.main(Torch)
