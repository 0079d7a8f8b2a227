/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bi_encoder.c: a text to a vector (Reimers & Gurevych 2019); see assay_embed.
 * Input is a text as the tokenizer lays it out, with BERT's [CLS] text [SEP].
 * Normalising is torch's: v / max(|v|, 1e-12).
 */
#include <math.h>
#include <string.h>

#include "rank/session.h"

typedef struct embedding {
    const assay_session *session;
    float *vectors;
} embedding;

static float square_of(const float *vector, size_t n)
{
    float square;
    assay_kernels_active()->dots_f32(vector, vector, 1, n, &square);
    return square;
}

static void take_block(void *user, const assay_sequence *sequences, size_t count, float *states,
                       float *spare)
{
    (void)spare;
    const embedding *work = user;
    const assay_model_config *config = &work->session->model->config;
    size_t n = config->hidden;
    for (size_t i = 0; i < count; i++) {
        float *vector = states + i * n;
        if (config->normalized)
            assay_unit_length(vector, n);
        memcpy(work->vectors + sequences[i].item * n, vector, n * sizeof *vector);
    }
}

/* The prompt is part of the text that is tokenised, as in sentence-transformers:
 * where one ends and the other begins, a token may hold of both. */
static assay_status put_prompt(assay_session *session, assay_text *text, assay_error *error)
{
    assay_buffer *prompted = &session->prompted;
    if (session->prompt[0] == '\0')
        return ASSAY_OK;
    assay_buffer_clear(prompted);
    assay_buffer_append(prompted, session->prompt, strlen(session->prompt));
    assay_buffer_append(prompted, text->data, text->length);
    ASSAY_TRY(assay_buffer_status(prompted, NULL, error));
    *text = (assay_text){prompted->data, prompted->length};
    return ASSAY_OK;
}

static assay_status add_text(assay_session *session, assay_text text, size_t item,
                             assay_embedding_info *info, assay_error *error)
{
    assay_tokens *tokens = &session->first;
    tokens->count = 0;
    size_t special = session->single->special, room = session->max_tokens - special;
    assay_stopwatch_start(assay_session_watch(session));
    ASSAY_TRY(put_prompt(session, &text, error));
    /* One more than there is room for tells of a cut. */
    ASSAY_TRY(assay_tokenizer_encode_first(session->model->tokenizer, text, room + 1, tokens,
                                           error));
    assay_stopwatch_read(assay_session_watch(session), ASSAY_OPERATION_TOKENIZE);
    size_t keep = tokens->count < room ? tokens->count : room;
    if (info != NULL)
        *info = (assay_embedding_info){.tokens = (uint32_t)(keep + special),
                                       .truncated = keep < tokens->count};
    return assay_batch_add(session, item, tokens->ids, keep, NULL, 0, error);
}

static assay_status check(const assay_session *session, const assay_text *texts, size_t count,
                          const float *vectors, assay_error *error)
{
    if (session == NULL || (count > 0 && (texts == NULL || vectors == NULL)))
        return assay_fail(error, ASSAY_E_ARGUMENT, NULL,
                          "expected a session, texts and a place for vectors");
    if (session->model->config.kind != ASSAY_MODEL_BI_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, session->model->info.path,
                          "is a reranker, which scores pairs; embedding needs a bi-encoder");
    return ASSAY_OK;
}

/* A vector that is none would be kept, and spoil every search. */
static assay_status check_vectors(const assay_session *session, const float *vectors,
                                  size_t first, size_t end, assay_error *error)
{
    size_t n = session->model->config.hidden;
    for (size_t i = first; i < end; i++)
        if (!isfinite(square_of(vectors + i * n, n)))
            return assay_fail(error, ASSAY_E_CORRUPT, session->model->info.path,
                              "the embedding of text %zu is not finite: the weights may be "
                              "damaged (assay check MODEL)", i);
    return ASSAY_OK;
}

assay_status assay_embed(assay_session *session, const assay_text *texts, size_t count,
                         float *vectors, assay_embedding_info *info, assay_error *error)
{
    ASSAY_TRY(check(session, texts, count, vectors, error));
    embedding work = {session, vectors};
    for (size_t first = 0; first < count; first += ASSAY_BATCH_SEQUENCES) {
        size_t end = count - first < ASSAY_BATCH_SEQUENCES ? count : first + ASSAY_BATCH_SEQUENCES;
        assay_batch_begin(session);
        for (size_t i = first; i < end; i++)
            ASSAY_TRY(add_text(session, texts[i], i, info != NULL ? &info[i] : NULL, error));
        assay_batch_run(session, take_block, &work);
        ASSAY_TRY(check_vectors(session, vectors, first, end, error));
    }
    return ASSAY_OK;
}
