/* SPDX-License-Identifier: Apache-2.0 */
/* sequences.c: see sequences.h. */
#include "learn/sequences.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_TOKENS = 16 };

#define MAX_PROMPTED ((size_t)1 << 30)

static uint32_t at_most(uint32_t length, uint32_t limit)
{
    return length > 0 && length < limit ? length : limit;
}

/* Late interaction's lengths are those of its settings. */
static assay_status open_late(assay_sequences *s, uint32_t max_tokens, assay_error *error)
{
    const assay_late_config *late = &s->config->late;
    s->max_tokens = at_most(max_tokens, at_most(late->document_length, s->config->longest));
    s->query_tokens = at_most(at_most(late->query_length, s->config->longest),
                              ASSAY_LATE_QUERY_MAX);
    size_t least = assay_tokenizer_template(s->tokenizer, false)->special + 2; /* and a marker */
    if (s->max_tokens < least || s->query_tokens < least)
        return assay_fail(error, ASSAY_E_ARGUMENT, "max_tokens",
                          "%u of a passage and %u of a query, expected at least %zu",
                          s->max_tokens, s->query_tokens, least);
    return assay_late_marks_find(late, s->tokenizer, s->config->weights, &s->late, error);
}

assay_status assay_sequences_open(assay_sequences *s, const assay_tokenizer *tokenizer,
                                  const assay_model_config *config, uint32_t max_tokens,
                                  assay_error *error)
{
    *s = (assay_sequences){.tokenizer = tokenizer, .config = config};
    assay_buffer_init(&s->prompted, MAX_PROMPTED);
    if (config->kind == ASSAY_MODEL_LATE)
        return open_late(s, max_tokens, error);
    uint32_t most = at_most(assay_tokenizer_limit(tokenizer),
                            at_most(config->max_tokens, config->longest));
    s->max_tokens = max_tokens = at_most(max_tokens, most);
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

/* Appends a sequence with the first tokens of both texts, and a marker before them; -1:
 * none. */
static assay_status add(assay_sequences *s, const assay_template *layout, int32_t marker,
                        size_t first, size_t second, assay_error *error)
{
    size_t start = s->id_count, typed = 0;
    size_t total = (marker >= 0) + first + second + layout->special;
    ASSAY_TRY(reserve(s, total, error));
    for (size_t i = 0; i < layout->count; i++) {
        const assay_template_piece *piece = &layout->pieces[i];
        if (piece->kind == ASSAY_PIECE_SPECIAL)
            put(s, &piece->id, 1);
        else if (piece->kind == ASSAY_PIECE_FIRST)
            put(s, &marker, marker >= 0), put(s, s->first.ids, first);
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

/* Fills the last sequence up, with tokens that the others do not see unless the model
 * says so. */
static assay_status fill_up(assay_sequences *s, assay_error *error)
{
    uint32_t count = s->list[s->count - 1].count;
    uint32_t more = s->query_tokens > count ? s->query_tokens - count : 0;
    ASSAY_TRY(reserve(s, more, error));
    assay_sequence *last = &s->list[s->count - 1];
    for (uint32_t i = 0; i < more; i++)
        put(s, &s->late.filler, 1);
    if (last->second == last->count)
        last->second += more;
    last->count += more;
    last->unseen = s->config->late.attend ? 0 : more;
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
    if (s->config->split > 0)
        room = first + least(room - first, assay_split_room(s->config) - layout->special);
    ASSAY_TRY(assay_tokenizer_encode_first(s->tokenizer, (assay_text){passage, strlen(passage)},
                                           room - first, &s->second, error));
    return add(s, layout, -1, first, least(s->second.count, room - first), error);
}

assay_status assay_sequences_text(assay_sequences *s, const char *text, assay_role role,
                                  assay_error *error)
{
    const assay_template *layout = assay_tokenizer_template(s->tokenizer, false);
    bool late = s->config->kind == ASSAY_MODEL_LATE, query = role == ASSAY_ROLE_QUERY;
    int32_t marker = !late ? -1 : query ? s->late.query_marker : s->late.document_marker;
    size_t limit = late && query ? s->query_tokens : s->max_tokens;
    size_t room = limit - layout->special - (marker >= 0);
    s->first.count = 0;
    assay_buffer_clear(&s->prompted);
    assay_buffer_string(&s->prompted, s->config->prompts[role]);
    assay_buffer_string(&s->prompted, text);
    ASSAY_TRY(assay_buffer_status(&s->prompted, NULL, error));
    ASSAY_TRY(assay_tokenizer_encode_first(s->tokenizer,
                                           (assay_text){s->prompted.data, s->prompted.length},
                                           room, &s->first, error));
    ASSAY_TRY(add(s, layout, marker, least(s->first.count, room), 0, error));
    return late && query && s->late.filler >= 0 ? fill_up(s, error) : ASSAY_OK;
}
