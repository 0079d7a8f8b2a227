/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h: scratch of one caller, and the one way texts get through a model.
 *
 * A caller begins a batch, appends sequences of token ids, and runs it. The
 * batch is cut into blocks of whole sequences, longest first, which threads
 * take one by one, but for those that they share because there are not enough for
 * all; what a block's scores are does not depend on the cut.
 */
#ifndef ASSAY_SESSION_H
#define ASSAY_SESSION_H

#include "base/buffer.h"
#include "model/model.h"
#include "rank/repeats.h"

#define ASSAY_BATCH_SEQUENCES 1024u

typedef struct assay_batch {
    assay_sequence *sequences; /* [ASSAY_BATCH_SEQUENCES] */
    size_t *offsets;           /* of each in ids, while ids may still move */
    size_t *blocks;            /* [block_count + 1] first sequence of each */
    size_t count, block_count;
    assay_stretch stretch;     /* layers that they go through */
    size_t shared;             /* blocks, the first ones, that all threads do together */
    size_t *items;             /* [steps + 1] of such a block */
    int32_t *ids;
    size_t id_count, id_capacity;
} assay_batch;

/* The query of late interaction, once it is encoded: its tokens' vectors as they
 * are and packed for the kernels, floats and bytes. Room for all a query may have. */
typedef struct assay_question {
    size_t count;     /* vectors */
    bool truncated;
    float *vectors;   /* [count][dimensions] of length 1 */
    float *panels;
    int8_t *bytes;    /* [count][dimensions], and packed */
    int8_t *byte_panels;
    float *steps;     /* [count] what 1 means in bytes */
    void *block;
} assay_question;

/* The query of a cross-encoder that is split, once its lower layers are done. */
typedef struct assay_asked {
    size_t count, capacity, hidden;
    float *states; /* [count][hidden] */
} assay_asked;

struct assay_session {
    const assay_model *model;
    uint32_t max_tokens; /* special ones counted */
    uint32_t longest_input; /* the same, or what a query of late interaction is filled up to,
                               or, of a model that is split, both texts' */
    uint32_t workers;
    const assay_template *single, *pair; /* how the tokenizer lays out a text, and two */
    assay_batch batch;
    const char *prompt;         /* before every text that is embedded */
    assay_buffer prompted;      /* a text with it */
    assay_tokens first, second; /* tokens of the texts at hand */
    assay_repeats repeats;
    assay_tokens before_query, before_passage; /* of late interaction: marker or prompt */
    assay_question question;
    assay_asked asked;
    uint32_t pool;              /* how many tokens of a passage become one (token_pool.h) */
    float *scratch;             /* [workers][scratch_floats] */
    size_t scratch_floats;
    size_t longest;             /* sequence that scratch is enough for */
    assay_profile profile;      /* but for seconds */
    assay_stopwatch *watches;   /* [workers], or NULL */
    assay_arena *arena;
};

/* Forgets the sequences of the last batch. The next ones go through all layers, or
 * those of a stretch. */
void assay_batch_begin(assay_session *session);
void assay_batch_begin_stretch(assay_session *session, assay_stretch stretch);

/* Appends a sequence as the tokenizer lays it out: one text, [CLS] ids [SEP] with
 * BERT's, or with a pair (not NULL, even when it is empty) both. The caller has
 * cut them to max_tokens. An id that the model does not embed is FORMAT. */
assay_status assay_batch_add(assay_session *session, size_t item, const int32_t *ids,
                             size_t count, const int32_t *pair, size_t pair_count,
                             assay_error *error);

/* Appends one of a pair's texts with the special tokens of its type, as they lie in the
 * pair: ASSAY_STRETCH_APART. */
assay_status assay_batch_add_part(assay_session *session, size_t item, uint32_t type,
                                  const int32_t *ids, size_t count, assay_error *error);
/* Appends a pair of which the lower layers are done, with first and second tokens; `below`,
 * [2], must stay until the batch has run: ASSAY_STRETCH_JOINED. */
assay_status assay_batch_add_states(assay_session *session, size_t item,
                                    const assay_states *below, size_t first, size_t second,
                                    assay_error *error);

/* The caller's own stopwatch, or NULL. */
static inline assay_stopwatch *assay_session_watch(const assay_session *session)
{
    return session->watches; /* the caller is worker 0 */
}

/* Fills the sequence added last up to `total` tokens with `id`; the tokens that were
 * there attend to these only when `seen`. */
assay_status assay_batch_fill(assay_session *session, int32_t id, size_t total, bool seen,
                              assay_error *error);

/* v / max(|v|, 1e-12), as torch's normalize. False when it is not finite. */
bool assay_unit_length(float *vector, size_t n);

/* What a block is for: states[count][hidden], spare[count][hidden] floats more.
 * Called from several threads at once, each with sequences of its own. */
typedef void (*assay_block_fn)(void *user, const assay_sequence *sequences, size_t count,
                               float *states, float *spare);
/* With late interaction, and with ASSAY_STRETCH_APART: states[all tokens][dimensions] of
 * the sequences, one after another. */

/* Runs the batch. It is reordered by it. */
void assay_batch_run(assay_session *session, assay_block_fn fn, void *user);

#endif
