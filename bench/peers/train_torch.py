# SPDX-License-Identifier: Apache-2.0
"""bench_train's step in PyTorch: the same lines, the same batches.

    train_torch.py MODEL THREADS [compile] [bf16]

transformers' BertForSequenceClassification in fp32 with scaled_dot_product_attention,
fused AdamW, clipping; sequences padded to the batch's longest, sorted by length, in as
many parts as the line says behind a "/" (gradients add up): padding costs less in parts.
compile: torch.compile of the model, shapes dynamic. bf16: autocast, forth and so back."""
import json
import resource
import sys
import time

import torch
from transformers import AutoModelForSequenceClassification

torch.set_num_threads(int(sys.argv[2]))
model = AutoModelForSequenceClassification.from_pretrained(
    sys.argv[1], dtype=torch.float32, num_labels=1, attn_implementation="sdpa",
    hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
model.train()
plain = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
others = [p for n, p in model.named_parameters() if not (n.endswith("bias") or "LayerNorm" in n)]
optimizer = torch.optim.AdamW([{"params": others, "weight_decay": 0.01},
                               {"params": plain, "weight_decay": 0.0}], lr=1e-5, fused=True)
bf16 = "bf16" in sys.argv[3:]
forward = torch.compile(model, dynamic=True) if "compile" in sys.argv[3:] else model


def make(lengths):
    longest = max(lengths)
    ids = torch.randint(1000, 21000, (len(lengths), longest))
    mask = (torch.arange(longest)[None] < torch.tensor(lengths)[:, None]).long()
    if mask.all():
        mask = None
    return ids, mask, (torch.arange(len(lengths)) % 4 == 0).float()


def step(parts, total):
    for ids, mask, labels in parts:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = forward(input_ids=ids, attention_mask=mask).logits[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), labels,
                                                                    reduction="sum") / total
        loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)


for line in sys.stdin:
    text, _, count = line.partition("/")
    lengths = sorted(map(int, text.split()), reverse=True)
    pieces = int(count or 1)
    size = (len(lengths) + pieces - 1) // pieces
    parts = [make(lengths[i:i + size]) for i in range(0, len(lengths), size)]
    begun, cpu = time.perf_counter(), time.process_time()
    step(parts, len(lengths))
    print(json.dumps({"tokens": sum(lengths), "seconds": time.perf_counter() - begun,
                      "cpu": time.process_time() - cpu,
                      "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}),
          flush=True)
