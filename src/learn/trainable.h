/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trainable.h: a model whose weights can be moved: its weights in fp32, what comes
 * out for a batch of token sequences, and the gradients of a loss by each weight.
 *
 *     assay_trainable_open(folder, &options, &model, &error)
 *     per step, per part of a batch:
 *         assay_trainable_forward(model, sequences, count, &pass, outputs, &error)
 *         ... the loss, and its gradient by each output ...
 *         assay_trainable_backward(model, gradients)      adds to the weights' gradients
 *     assay_optimizer_step(optimizer, ...)                optimizer.h; then the gradients are 0
 *     assay_trainable_save(model, folder, &error)
 *
 * Results are the same bits for the same weights, sequences, seed and draw, whatever
 * the number of threads; at fp32 whatever the processor, too. One thread may call at a
 * time.
 */
#ifndef ASSAY_TRAINABLE_H
#define ASSAY_TRAINABLE_H

#include "model/encoder.h"
#include "text/tokenizer.h"

typedef struct assay_trainable assay_trainable;

typedef struct assay_trainable_options {
    assay_model_kind kind;  /* what it is to be: the base may have another head, or none.
                               CROSS_ENCODER: [CLS], a layer with tanh, a logit. BI_ENCODER:
                               pooled, and of length 1 if the base's are. LATE: token vectors */
    uint32_t threads;       /* 0: all cores */
    float dropout;          /* of hidden states and of the head's; < 0: as config.json says */
    float attention_dropout; /* of attention's probabilities; < 0: as config.json says */
    uint64_t seed;          /* of dropout, and of weights that the base lacks */
    bool freeze_embeddings; /* words, positions and types stay as they are */
    bool recompute;         /* layers are computed again on the way back: up to a third more
                               time, less than half the memory by token */
    assay_precision precision; /* of the layers' products: FP32 (or AUTO), or BF16, whose sums
                               are floats, as are weights, gradients and all else. BF16 only
                               with instructions for it, which may differ in the last bits */
    uint32_t lora_rank;     /* 0: all weights move; else only so many directions of each
                               layer's (Hu et al. 2021), biases, norms and the head */
    uint32_t dimensions;    /* LATE: of a token's vector, where the base says none; 0: 128,
                               or its hidden states' where that is less */
    uint32_t split;         /* CROSS_ENCODER: layers in which its two texts are apart
                               (encoder.h); 0: as the base's */
} assay_trainable_options;

/* `folder` is one in Hugging Face layout, weights of any precision that assay reads.
 * Errors as assay_model_open's, UNSUPPORTED for BF16 without instructions for it among
 * them. Weights that the new head needs and the base lacks
 * are drawn from a normal distribution of deviation 0.02, biases 0, as transformers
 * does; *drawn (may be NULL) is then true. */
assay_status assay_trainable_open(const char *folder, const assay_trainable_options *options,
                                  assay_trainable **out, bool *drawn, assay_error *error);
void assay_trainable_close(assay_trainable *model);

/* Of the model as it will be saved: longest, max_tokens, hidden, normalized, prompts ... */
const assay_model_config *assay_trainable_config(const assay_trainable *model);
const assay_tokenizer *assay_trainable_tokenizer(const assay_trainable *model);

/* Bytes that the model takes in all, optimizer included, when passes have at most so
 * many tokens in so many sequences, none longer than `longest`. */
size_t assay_trainable_memory(const assay_trainable *model, size_t tokens, size_t sequences,
                              size_t longest);

/* Floats that come out for one sequence (LATE: for one token). */
size_t assay_trainable_dimensions(const assay_trainable *model);

typedef struct assay_forward {
    uint64_t draw; /* which of the seed's dropout masks; 0: no dropout. The same draw of the
                      same sequences gives the same masks: a pass can be repeated */
    bool keep;     /* keeps what backward needs; else less memory, nothing to go back through */
} assay_forward;

/* outputs[count][dimensions]; LATE: [all tokens][dimensions], sequence after sequence.
 * The sequences' token ids must stay until backward. ids, count, second and unseen of a
 * sequence are looked at (encoder.h). Errors: MEMORY, ARGUMENT for a sequence that is
 * empty, too long, or has an id that the model does not embed. */
assay_status assay_trainable_forward(assay_trainable *model, const assay_sequence *sequences,
                                     size_t count, const assay_forward *pass, float *outputs,
                                     assay_error *error);

/* Goes back through the last pass, which was kept; once. gradients as outputs were: the
 * loss's by each output. Adds to every parameter's gradient. */
assay_status assay_trainable_backward(assay_trainable *model, const float *gradients,
                                      assay_error *error);

/* A tensor that moves. */
typedef struct assay_parameter {
    const char *name;   /* as transformers has it: "bert.encoder.layer.0.output.dense.weight" */
    float *values;      /* [rows][columns] */
    float *gradient;    /* likewise */
    size_t rows, columns; /* a vector has one row */
    bool decays;        /* not a bias nor of a LayerNorm */
    uint32_t depth;     /* 0: embeddings, 1 .. layers, layers + 1: the head */
    uint8_t *touched;   /* [rows] of a table of words, else NULL: 0 while a row's gradients
                           have never been anything but 0, bit 0: they are not 0 now */
} assay_parameter;

enum { ASSAY_ROW_TOUCHED = 1, ASSAY_ROW_MOVED = 2 };

assay_parameter *assay_trainable_parameters(assay_trainable *model, size_t *count);

/* To be called when values were changed by anybody but the optimizer. */
void assay_trainable_changed(assay_trainable *model);

/* Sets all gradients to 0: after a step that is not to be taken. */
void assay_trainable_clear(assay_trainable *model);

/* Fills a folder that is there (assay_new_folder makes it appear at once, with what the
 * caller adds): config.json, model.safetensors in fp32, the tokenizer's files, and the
 * files of sentence-transformers or ColBERT that belong to the kind. transformers and
 * assay open it. Opening it again as trainable gives the same bits. Weights of LoRA are
 * merged. Errors: IO, FULL, MEMORY. */
assay_status assay_trainable_save(assay_trainable *model, const char *folder,
                                  assay_error *error);

#endif
