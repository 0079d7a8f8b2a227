/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather.c: the record read: searches with their hits, and on which of these the clicks
 * fell.
 *
 * A dwell counts as a click, for nobody stays on what was not opened. Where impressions
 * were told, the last of them says how many hits the user saw; a click below what was
 * shown does so as well. Names become numbers.
 */
#include "feedback/feedback.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { READ = 50000 };

/* Room for one more of items[*capacity] of `size` bytes; NULL: memory. New room is
 * zeroed. */
static void *grow(void *items, size_t needed, size_t *capacity, size_t size)
{
    if (needed <= *capacity)
        return items;
    size_t more = *capacity + *capacity / 2 + 64;
    more = more < needed ? needed : more;
    char *grown = realloc(items, more * size);
    if (grown == NULL)
        return NULL;
    memset(grown + *capacity * size, 0, (more - *capacity) * size);
    *capacity = more;
    return grown;
}

#define GROW(items, needed, capacity) grow(items, needed, &(capacity), sizeof *(items))

static assay_status number_of(assay_string_map *map, const char *name, uint32_t *out,
                              assay_error *error)
{
    return assay_string_map_add(map, name, strlen(name), out, NULL, error);
}

/* ---- Hits ------------------------------------------------------------------------- */

static assay_status read_hit(assay_gathering *g, const json_t *hit, assay_seen_hit *out,
                             assay_error *error)
{
    const char *name = json_string_value(json_array_get(hit, 0));
    json_int_t before = json_integer_value(json_array_get(hit, 1));
    if (name == NULL || before < 1 || before > UINT32_MAX)
        return assay_fail(error, ASSAY_E_CORRUPT, "feedback.sqlite",
                          "the hits of a search are not [document, rank]");
    out->rank_first = (uint32_t)before;
    out->second = json_array_size(hit) > 2;
    return number_of(g->documents, name, &out->document, error);
}

/* The first `most` of the search's hits. */
static assay_status read_hits(assay_gathering *g, assay_text text, size_t most, assay_seen *seen,
                              assay_error *error)
{
    json_t *list;
    ASSAY_TRY(assay_json_parse(text.data, text.length, "feedback.sqlite: hits", &list, error));
    size_t count = json_array_size(list);
    count = count < most ? count : most;
    seen->hits = assay_arena_small(g->arena, count * sizeof *seen->hits);
    assay_status status =
        seen->hits != NULL ? ASSAY_OK : assay_fail_memory(error, count * sizeof *seen->hits);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        seen->hits[i] = (assay_seen_hit){0};
        status = read_hit(g, json_array_get(list, i), &seen->hits[i], error);
    }
    seen->hit_count = status == ASSAY_OK ? count : 0;
    json_decref(list);
    return status;
}

/* ---- Events ------------------------------------------------------------------------ */

static assay_seen_hit *find_hit(assay_seen *seen, uint32_t document)
{
    for (size_t i = 0; i < seen->hit_count; i++)
        if (seen->hits[i].document == document)
            return &seen->hits[i];
    return NULL;
}

static assay_status count_unseen(assay_gathering *g, uint32_t document, assay_error *error)
{
    uint64_t *unseen = GROW(g->unseen, (size_t)document + 1, g->unseen_capacity);
    if (unseen == NULL)
        return assay_fail_memory(error, 8 * ((size_t)document + 1));
    g->unseen = unseen;
    g->unseen[document]++;
    g->unseen_clicks++;
    return ASSAY_OK;
}

static assay_status take_click(assay_gathering *g, assay_seen *seen, uint32_t document,
                               assay_error *error)
{
    assay_seen_hit *hit = find_hit(seen, document);
    if (hit == NULL)
        return count_unseen(g, document, error);
    seen->clicks += !hit->clicked;
    hit->clicked = true;
    uint32_t rank = (uint32_t)(hit - seen->hits) + 1;
    if (rank > seen->shown)
        seen->shown = rank;
    return ASSAY_OK;
}

static assay_status take_dwell(assay_gathering *g, double seconds, assay_error *error)
{
    double *dwells = GROW(g->dwells, g->dwell_count + 1, g->dwell_capacity);
    if (dwells == NULL)
        return assay_fail_memory(error, 8 * (g->dwell_count + 1));
    g->dwells = dwells;
    g->dwells[g->dwell_count++] = seconds;
    return ASSAY_OK;
}

/* Impressions first: a click may lie below them. */
static assay_status take_impressions(assay_gathering *g, assay_seen *seen,
                                     const assay_log_event *events, size_t count,
                                     assay_error *error)
{
    uint32_t last = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t document;
        if (events[i].kind != ASSAY_EVENT_IMPRESSION)
            continue;
        ASSAY_TRY(number_of(g->documents, events[i].document, &document, error));
        const assay_seen_hit *hit = find_hit(seen, document);
        uint32_t rank = hit != NULL ? (uint32_t)(hit - seen->hits) + 1 : 0;
        last = rank > last ? rank : last;
    }
    seen->shown = last > 0 ? last : seen->shown;
    return ASSAY_OK;
}

/* Whether the event says for the first time that the document was clicked. */
static bool is_click(const assay_log_event *events, size_t i)
{
    if (events[i].kind != ASSAY_EVENT_CLICK && events[i].kind != ASSAY_EVENT_DWELL)
        return false;
    for (size_t j = 0; j < i; j++)
        if ((events[j].kind == ASSAY_EVENT_CLICK || events[j].kind == ASSAY_EVENT_DWELL) &&
            strcmp(events[j].document, events[i].document) == 0)
            return false;
    return true;
}

/* The last word on a document counts, however often one was said. */
static bool is_last_vote(const assay_log_event *events, size_t count, size_t i)
{
    for (size_t j = i + 1; j < count; j++)
        if ((events[j].kind == ASSAY_EVENT_UP || events[j].kind == ASSAY_EVENT_DOWN) &&
            strcmp(events[j].document, events[i].document) == 0)
            return false;
    return true;
}

static void take_vote(assay_gathering *g, const assay_log_event *events, size_t count, size_t i)
{
    uint64_t *votes = events[i].kind == ASSAY_EVENT_UP     ? &g->up
                      : events[i].kind == ASSAY_EVENT_DOWN ? &g->down
                                                           : NULL;
    if (votes != NULL)
        *votes += is_last_vote(events, count, i);
}

static assay_status take_events(assay_gathering *g, assay_seen *seen,
                                const assay_log_event *events, size_t count, assay_error *error)
{
    ASSAY_TRY(take_impressions(g, seen, events, count, error));
    for (size_t i = 0; i < count; i++) {
        uint32_t document;
        take_vote(g, events, count, i);
        if (events[i].kind == ASSAY_EVENT_DWELL)
            ASSAY_TRY(take_dwell(g, events[i].value, error));
        if (!is_click(events, i))
            continue;
        ASSAY_TRY(number_of(g->documents, events[i].document, &document, error));
        ASSAY_TRY(take_click(g, seen, document, error));
    }
    return ASSAY_OK;
}

/* ---- Searches ------------------------------------------------------------------------ */

static assay_status take_query(assay_gathering *g, const assay_log_search *search,
                               uint32_t *out, assay_error *error)
{
    ASSAY_TRY(assay_string_map_add(g->queries, search->query.bytes, sizeof search->query.bytes,
                                   out, NULL, error));
    assay_text *texts = GROW(g->texts, (size_t)*out + 1, g->text_capacity);
    if (texts == NULL)
        return assay_fail_memory(error, sizeof *texts * ((size_t)*out + 1));
    g->texts = texts;
    if (texts[*out].length > 0 || search->text.length == 0)
        return ASSAY_OK;
    const char *copy = assay_arena_copy(g->arena, search->text.data, search->text.length);
    if (copy == NULL)
        return assay_fail_memory(error, search->text.length);
    texts[*out] = (assay_text){copy, search->text.length};
    return ASSAY_OK;
}

static assay_status take(void *user, const assay_log_search *search,
                         const assay_log_event *events, size_t count, assay_error *error)
{
    assay_gathering *g = user;
    assay_seen *all = GROW(g->seen, g->count + 1, g->capacity);
    if (all == NULL)
        return assay_fail_memory(error, sizeof *all * (g->count + 1));
    g->seen = all;
    assay_seen *seen = &all[g->count];
    *seen = (assay_seen){
        .at = search->at,
        .trial = search->trial,
        .shown = search->shown,
        .scored = search->scored,
        .truncated = search->truncated,
        .changed = search->changed,
        .degraded = search->degraded,
        .reformulated = search->reformulated,
        .correlation = search->correlation,
        .first_ms = search->first_ms,
        .rerank_ms = search->rerank_ms,
        .known_session = search->session != NULL,
    };
    if (search->session != NULL)
        memcpy(&seen->session, search->session->bytes, sizeof seen->session);
    ASSAY_TRY(number_of(g->pipelines, search->pipeline, &seen->pipeline, error));
    ASSAY_TRY(number_of(g->pipelines, search->rival, &seen->rival, error));
    ASSAY_TRY(take_query(g, search, &seen->query, error));
    size_t most = count > 0 ? ASSAY_FEEDBACK_HITS : search->shown;
    ASSAY_TRY(read_hits(g, search->hits, most, seen, error));
    if (seen->shown > seen->hit_count)
        seen->shown = (uint32_t)seen->hit_count;
    g->count++;
    return take_events(g, seen, events, count, error);
}

static assay_log_filter filter_of(const assay_report_options *options)
{
    int64_t day = 86400000;
    return (assay_log_filter){
        .collection = options->collection,
        .pipeline = options->pipeline,
        .since = options->days > 0 ? assay_feedback_now() - (int64_t)options->days * day : 0,
        .limit = options->read > 0 ? options->read : READ,
    };
}

assay_status assay_gather(assay_feedback *feedback, const assay_report_options *options,
                          assay_gathering *out, assay_error *error)
{
    assay_log_filter filter = filter_of(options);
    *out = (assay_gathering){
        .arena = assay_arena_new(0),
        .documents = assay_string_map_new(),
        .queries = assay_string_map_new(),
        .pipelines = assay_string_map_new(),
    };
    assay_status status = ASSAY_OK;
    if (out->arena == NULL || out->documents == NULL || out->queries == NULL ||
        out->pipelines == NULL)
        status = assay_fail_memory(error, 4096);
    if (status == ASSAY_OK)
        status = assay_event_log_count(feedback->log, &filter, &out->searches, &out->sessions,
                                       error);
    if (status == ASSAY_OK)
        status = assay_event_log_scan(feedback->log, &filter, take, out, error);
    if (status != ASSAY_OK)
        assay_gathering_free(out);
    return status;
}

void assay_gathering_free(assay_gathering *gathering)
{
    assay_arena_free(gathering->arena);
    assay_string_map_free(gathering->documents);
    assay_string_map_free(gathering->queries);
    assay_string_map_free(gathering->pipelines);
    free(gathering->texts);
    free(gathering->seen);
    free(gathering->unseen);
    free(gathering->dwells);
    *gathering = (assay_gathering){0};
}

void assay_gathering_query(const assay_gathering *gathering, uint32_t query, char hex[33])
{
    assay_digest digest;
    memcpy(digest.bytes, assay_string_map_key(gathering->queries, query), sizeof digest.bytes);
    assay_digest_hex(&digest, hex);
}
