/* SPDX-License-Identifier: Apache-2.0 */
/* passage_tokens.c: see passage_tokens.h. */
#include "pipeline/passage_tokens.h"

#include <string.h>

#define DEFAULT_RERANKER "cross"

/* How the parts are joined (text/context.c), with a number that grows when the
 * function does it otherwise. */
#define JOINED "sentences 1"

/* Joining may take as much again as a text of the largest size. */
enum { MAX_CONTEXT = 1 << 30 };

static assay_digest digest_of(const assay_tokenizer *tokenizer)
{
    struct {
        assay_digest tokenizer;
        char joined[sizeof JOINED];
    } both = {assay_tokenizer_digest(tokenizer), JOINED};
    return assay_hash128(&both, sizeof both);
}

/* *out stays NULL when there is no such model: BM25 needs none. */
static void open_default(assay_tokenizer **out)
{
    char path[4096];
    if (assay_model_find(DEFAULT_RERANKER, path, sizeof path, NULL) != ASSAY_OK ||
        assay_tokenizer_open(path, out, NULL) != ASSAY_OK)
        *out = NULL;
}

void assay_passage_tokenizer_open(assay_passage_tokenizer *maker, const assay_tokenizer *tokenizer)
{
    *maker = (assay_passage_tokenizer){.tokenizer = tokenizer};
    assay_buffer_init(&maker->context, MAX_CONTEXT);
    if (tokenizer == NULL)
        open_default(&maker->own);
    if (tokenizer == NULL)
        maker->tokenizer = maker->own;
    if (maker->tokenizer != NULL)
        maker->digest = digest_of(maker->tokenizer);
}

void assay_passage_tokenizer_close(assay_passage_tokenizer *maker)
{
    assay_tokenizer_close(maker->own);
    assay_tokens_free(&maker->tokens);
    assay_buffer_free(&maker->context);
    *maker = (assay_passage_tokenizer){0};
}

assay_status assay_passage_tokenizer_encode(assay_passage_tokenizer *maker, const char *title,
                                    const char *heading, assay_text text, assay_arena *arena,
                                    assay_token_ids *out, assay_error *error)
{
    assay_buffer *context = &maker->context;
    assay_tokens *tokens = &maker->tokens;
    assay_buffer_clear(context);
    assay_passage_context(ASSAY_CONTEXT_SENTENCES, title, heading, text, context);
    ASSAY_TRY(assay_buffer_status(context, NULL, error));
    tokens->count = 0;
    assay_text whole = {context->data, context->length};
    ASSAY_TRY(assay_tokenizer_encode_first(maker->tokenizer, whole, ASSAY_TOKEN_IDS_MAX + 1,
                                           tokens, error));
    int32_t *ids = assay_arena_small(arena, tokens->count * sizeof *ids);
    if (ids == NULL)
        return assay_fail_memory(error, tokens->count * sizeof *ids);
    if (tokens->count > 0)
        memcpy(ids, tokens->ids, tokens->count * sizeof *ids);
    *out = (assay_token_ids){.ids = ids, .count = tokens->count, .total = tokens->count};
    return ASSAY_OK;
}
