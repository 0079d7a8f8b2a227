/* SPDX-License-Identifier: Apache-2.0 */
/* late_explain.c: which of a passage's tokens each of a query's tokens found; see
 * assay_explain. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "rank/late_interaction.h"

typedef struct explaining {
    assay_session *session;
    assay_tokens tokens;      /* of the passage */
    size_t kept;              /* of these */
    assay_explanation *out;
    float *products;          /* [capacity] of one query token */
    size_t capacity;
    assay_status status;
} explaining;

/* A token of a sequence: a text's own, or -1. Returns its id. */
static int32_t token_at(const assay_session *session, const assay_tokens *before,
                        const assay_tokens *own, size_t count, size_t position, int64_t *index)
{
    const assay_template *layout = session->single;
    *index = -1;
    for (size_t i = 0; i < layout->count; i++) {
        const assay_template_piece *piece = &layout->pieces[i];
        size_t length = piece->kind == ASSAY_PIECE_SPECIAL ? 1 : before->count + count;
        if (position >= length) {
            position -= length;
            continue;
        }
        if (piece->kind == ASSAY_PIECE_SPECIAL)
            return piece->id;
        if (position < before->count)
            return before->ids[position];
        *index = (int64_t)(position - before->count);
        return own->ids[position - before->count];
    }
    return session->model->late.filler;
}

/* The passage's token whose vector is row number `row`: rows are those of tokens that
 * are not skipped. */
static int32_t token_of_row(const explaining *e, size_t row, int64_t *index)
{
    for (size_t position = 0;; position++) {
        int32_t id = token_at(e->session, &e->session->before_passage, &e->tokens, e->kept,
                              position, index);
        if (!assay_late_skips(e->session->model, id) && row-- == 0)
            return id;
    }
}

static size_t best_of(const float *products, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (products[i] > products[best])
            best = i;
    return best;
}

static void match_token(const explaining *e, size_t i, size_t row, assay_match *match)
{
    const assay_session *session = e->session;
    const assay_tokenizer *tokenizer = session->model->tokenizer;
    const assay_tokens *query = &session->first;
    int64_t index;
    int32_t id = token_at(session, &session->before_query, query, query->count, i, &index);
    *match = (assay_match){.query_token = assay_token_text(tokenizer, id)};
    if (index >= 0) {
        match->query_begin = query->begins[index];
        match->query_end = query->ends[index];
    }
    match->token = assay_token_text(tokenizer, token_of_row(e, row, &index));
    if (index >= 0) {
        match->begin = e->tokens.begins[index];
        match->end = e->tokens.ends[index];
    }
    match->similarity = e->products[row];
}

static void match_all(void *user, size_t item, float *vectors, size_t count)
{
    (void)item;
    explaining *e = user;
    const assay_question *q = &e->session->question;
    size_t d = e->session->model->info.dimensions;
    if (vectors == NULL || count > e->capacity) {
        e->status = ASSAY_E_CORRUPT;
        return;
    }
    for (size_t i = 0; i < q->count; i++) {
        assay_kernels_active()->dots_f32(q->vectors + i * d, vectors, count, d, e->products);
        match_token(e, i, best_of(e->products, count), &e->out->matches[i]);
    }
    e->out->score = assay_late_maxsim(e->session, vectors, count, NULL);
}

static assay_status explain(explaining *e, assay_text query, assay_text passage,
                            assay_error *error)
{
    assay_session *session = e->session;
    ASSAY_TRY(assay_late_query(session, query, error));
    size_t room = assay_late_room(session), count = session->question.count;
    ASSAY_TRY(assay_tokenizer_encode_first(session->model->tokenizer, passage, room + 1,
                                           &e->tokens, error));
    const assay_token_ids ids = {e->tokens.ids, e->tokens.count, e->tokens.count};
    e->kept = e->tokens.count < room ? e->tokens.count : room;
    e->capacity = session->max_tokens;
    e->products = malloc(e->capacity * sizeof *e->products);
    e->out->matches = calloc(count, sizeof *e->out->matches);
    e->out->block = e->out->matches;
    e->out->count = count;
    e->out->truncated = e->tokens.count > room;
    if (e->products == NULL || e->out->matches == NULL)
        return assay_fail_memory(error, e->capacity * sizeof *e->products);
    uint32_t pool = session->pool;
    session->pool = 0; /* of each token by itself */
    assay_status status = assay_late_encode(session, &ids, 1, match_all, e, error);
    session->pool = pool;
    ASSAY_TRY(status);
    if (e->status != ASSAY_OK)
        return assay_fail(error, ASSAY_E_CORRUPT, session->model->info.path,
                          "the passage's vectors are not finite: the weights may be damaged "
                          "(assay check MODEL)");
    return ASSAY_OK;
}

assay_status assay_explain(assay_session *session, assay_text query, assay_text passage,
                           assay_explanation *out, assay_error *error)
{
    if (session == NULL || out == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, NULL,
                          "expected a session and a place for the explanation");
    if (session->model->config.kind != ASSAY_MODEL_LATE)
        return assay_fail(error, ASSAY_E_ARGUMENT, session->model->info.path,
                          "only late interaction tells which tokens matched; open the model as "
                          "\"late\" or \"late:NAME\"");
    assay_explanation found = {0};
    explaining e = {.session = session, .out = &found};
    assay_status status = explain(&e, query, passage, error);
    free(e.products);
    assay_tokens_free(&e.tokens);
    if (status != ASSAY_OK) {
        assay_explanation_free(&found);
        return status;
    }
    *out = found;
    return ASSAY_OK;
}

void assay_explanation_free(assay_explanation *explanation)
{
    if (explanation == NULL)
        return;
    free(explanation->block);
    *explanation = (assay_explanation){0};
}
