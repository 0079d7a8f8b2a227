# SPDX-License-Identifier: Apache-2.0
"""A BERT cross-encoder of transformers whose lower layers keep the two texts of a pair apart
(MacAvaney et al. 2020, PreTTR), as "assay_split" of a config.json asks for: in these layers
attention is masked between them, and the second's positions begin at an eighth of all."""
import torch


def segments(pairs):
    """[pairs][tokens] of which text a token is; -1: padding. pairs: (ids, first of type 1)."""
    longest = max(len(ids) for ids, _ in pairs)
    out = torch.full((len(pairs), longest), -1)
    for row, (ids, second) in zip(out, pairs):
        row[:second] = 0
        row[second:len(ids)] = 1
    return out


def mask(seen):
    """[pairs][tokens][tokens] of what sees what, as attention adds it to scores."""
    return torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]


def logits(model, pairs, split):
    """One a pair, of the first token's state after all layers; with the model's gradients."""
    of = segments(pairs)
    ids = torch.zeros_like(of)
    positions = torch.zeros_like(of)
    begin = model.config.max_position_embeddings // 8
    for i, (tokens, second) in enumerate(pairs):
        ids[i, :len(tokens)] = torch.tensor(tokens)
        positions[i, :len(tokens)] = torch.tensor([*range(second), *range(begin, begin + len(tokens) - second)])
    there = (of >= 0)[:, None, :].expand(-1, of.shape[1], -1)
    joined, apart = mask(there), mask(there & (of[:, :, None] == of[:, None, :]))
    states = model.bert.embeddings(input_ids=ids, token_type_ids=of.clamp(min=0),
                                   position_ids=positions)
    for number, layer in enumerate(model.bert.encoder.layer):
        states = layer(states, apart if number < split else joined)
        states = states[0] if isinstance(states, tuple) else states
    return model.classifier(model.dropout(model.bert.pooler(states)))[:, 0]
