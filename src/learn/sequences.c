/* SPDX-License-Identifier: Apache-2.0 */
/* sequences.c: see sequences.h. */
#include "learn/sequences.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_TOKENS = 16 };

#define MAX_PROMPTED ((size_t)1 << 30)

assay_status assay_sequences_open(assay_sequences *s, const assay_tokenizer *tokenizer,
                                  const assay_model_config *config, uint32_t max_tokens,
                                  assay_error *error)
{
    uint32_t most = config->max_tokens > 0 && config->max_tokens < config->longest
                        ? config->max_tokens
                        : config->longest;
    uint32_t limit = assay_tokenizer_limit(tokenizer);
    if (limit > 0 && limit < most)
        most = limit;
    if (max_tokens == 0 || max_tokens > most)
        max_tokens = most;
    *s = (assay_sequences){.tokenizer = tokenizer, .config = config, .max_tokens = max_tokens};
    assay_buffer_init(&s->prompted, MAX_PROMPTED);
    if (max_tokens < LEAST_TOKENS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "max_tokens", "%u, expected at least %d",
                          max_tokens, LEAST_TOKENS);
    return ASSAY_OK;
}

void assay_sequences_free(assay_sequences *s)
{
    assay_tokens_free(&s->first);
    assay_tokens_free(&s->second);
    assay_buffer_free(&s->prompted);
    free(s->list);
    free(s->offsets);
    free(s->ids);
    *s = (assay_sequences){0};
}

void assay_sequences_clear(assay_sequences *s)
{
    s->count = 0;
    s->id_count = 0;
}

void assay_sequences_ready(assay_sequences *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->list[i].ids = s->ids + s->offsets[i];
}

static assay_status reserve(assay_sequences *s, size_t tokens, assay_error *error)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity > 0 ? s->capacity * 2 : 256;
        assay_sequence *list = realloc(s->list, capacity * sizeof *list);
        if (list != NULL)
            s->list = list;
        size_t *offsets = realloc(s->offsets, capacity * sizeof *offsets);
        if (offsets != NULL)
            s->offsets = offsets;
        if (list == NULL || offsets == NULL)
            return assay_fail_memory(error, capacity * sizeof *list);
        s->capacity = capacity;
    }
    if (s->id_count + tokens > s->id_capacity) {
        size_t capacity = (s->id_count + tokens) * 2;
        int32_t *ids = realloc(s->ids, capacity * sizeof *ids);
        if (ids == NULL)
            return assay_fail_memory(error, capacity * sizeof *ids);
        s->ids = ids;
        s->id_capacity = capacity;
    }
    return ASSAY_OK;
}

static void put(assay_sequences *s, const int32_t *ids, size_t count)
{
    if (count > 0)
        memcpy(s->ids + s->id_count, ids, count * sizeof *ids);
    s->id_count += count;
}

/* Appends a sequence with the first tokens of both texts. */
static assay_status add(assay_sequences *s, const assay_template *layout, size_t first,
                        size_t second, assay_error *error)
{
    size_t start = s->id_count, total = first + second + layout->special, typed = 0;
    ASSAY_TRY(reserve(s, total, error));
    for (size_t i = 0; i < layout->count; i++) {
        const assay_template_piece *piece = &layout->pieces[i];
        if (piece->kind == ASSAY_PIECE_SPECIAL)
            put(s, &piece->id, 1);
        else if (piece->kind == ASSAY_PIECE_FIRST)
            put(s, s->first.ids, first);
        else
            put(s, s->second.ids, second);
        if (piece->type == 0)
            typed = s->id_count - start;
    }
    s->offsets[s->count] = start;
    s->list[s->count] = (assay_sequence){
        .count = (uint32_t)total,
        .second = (uint32_t)(s->config->family->types ? typed : total),
        .item = s->count,
    };
    s->count++;
    return ASSAY_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

assay_status assay_sequences_pair(assay_sequences *s, const char *query, const char *passage,
                                  assay_error *error)
{
    const assay_template *layout = assay_tokenizer_template(s->tokenizer, true);
    size_t room = s->max_tokens - layout->special;
    s->first.count = s->second.count = 0;
    ASSAY_TRY(assay_tokenizer_encode_first(s->tokenizer, (assay_text){query, strlen(query)},
                                           room / 2, &s->first, error));
    size_t first = least(s->first.count, room / 2);
    ASSAY_TRY(assay_tokenizer_encode_first(s->tokenizer, (assay_text){passage, strlen(passage)},
                                           room - first, &s->second, error));
    return add(s, layout, first, least(s->second.count, room - first), error);
}

assay_status assay_sequences_text(assay_sequences *s, const char *text, assay_role role,
                                  assay_error *error)
{
    const assay_template *layout = assay_tokenizer_template(s->tokenizer, false);
    size_t room = s->max_tokens - layout->special;
    s->first.count = 0;
    assay_buffer_clear(&s->prompted);
    assay_buffer_string(&s->prompted, s->config->prompts[role]);
    assay_buffer_string(&s->prompted, text);
    ASSAY_TRY(assay_buffer_status(&s->prompted, NULL, error));
    ASSAY_TRY(assay_tokenizer_encode_first(s->tokenizer,
                                           (assay_text){s->prompted.data, s->prompted.length},
                                           room, &s->first, error));
    return add(s, layout, least(s->first.count, room), 0, error);
}
