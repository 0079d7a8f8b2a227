/* SPDX-License-Identifier: Apache-2.0 */
/* scorer.c: see scorer.h. */
#include "pipeline/scorer.h"

#include <string.h>

/* ---- Opening ------------------------------------------------------------------- */

/* Instruction sets give the same bits in fp32 and need not in what is narrower,
 * and a later version may count otherwise: both are part of the key. */
static assay_status digest_model(const assay_model *model, assay_digest *out, assay_error *error)
{
    assay_model_info info;
    assay_model_describe(model, &info);
    const char *const parts[] = {assay_version(), assay_cpu(), info.digest, info.precision};
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assay_hasher_add(hasher, parts[i], strlen(parts[i]));
    *out = assay_hasher_finish(hasher);
    return ASSAY_OK;
}

/* A folder where nothing can be written has no cache, and that is no failure. */
static void open_cache(assay_scorer *scorer)
{
    assay_error problem;
    assay_status status = assay_score_cache_open(assay_store_home(scorer->store),
                                                 ASSAY_SCORE_CACHE_BYTES, &scorer->cache,
                                                 &problem);
    if (status != ASSAY_OK && status != ASSAY_E_NOT_FOUND)
        scorer->cache_error = problem;
}

assay_status assay_scorer_open(assay_scorer *scorer, assay_store *store, assay_model *model,
                               assay_scorer_options options, assay_error *error)
{
    *scorer = (assay_scorer){.store = store};
    assay_passage_tokenizer_open(&scorer->maker, assay_model_tokenizer(model));
    ASSAY_TRY(digest_model(model, &scorer->model, error));
    assay_session_options limits = {.threads = options.threads,
                                    .max_tokens = options.max_tokens};
    /* No passage's ids are kept, or made, beyond that. */
    if (limits.max_tokens == 0 || limits.max_tokens > ASSAY_TOKEN_IDS_MAX)
        limits.max_tokens = ASSAY_TOKEN_IDS_MAX;
    ASSAY_TRY(assay_session_open(model, &limits, &scorer->session, error));
    if (!options.no_cache)
        open_cache(scorer);
    return ASSAY_OK;
}

void assay_scorer_close(assay_scorer *scorer)
{
    assay_score_cache_close(scorer->cache);
    assay_session_close(scorer->session);
    assay_passage_tokenizer_close(&scorer->maker);
    *scorer = (assay_scorer){0};
}

/* ---- One call --------------------------------------------------------------------- */

/* A call's lists, in its arena. */
typedef struct assay_scorer_work {
    size_t count;
    assay_arena *arena;
    assay_score_sources sources;
    bool *made;             /* [count] its ids were not in the store */
    assay_token_ids *ids;   /* [count] */
    assay_digest question;
    assay_digest *passages; /* [count] */
    float *logits;          /* [count] */
    bool *known;            /* [count] */
} work;

static assay_status take_lists(work **out, size_t count, assay_arena *arena, assay_error *error)
{
    work *w = *out = assay_arena_small(arena, sizeof *w);
    if (w == NULL)
        return assay_fail_memory(error, sizeof *w);
    *w = (work){
        .count = count,
        .arena = arena,
        .made = assay_arena_small(arena, count * sizeof *w->made),
        .ids = assay_arena_small(arena, count * sizeof *w->ids),
        .passages = assay_arena_small(arena, count * sizeof *w->passages),
        .logits = assay_arena_small(arena, count * sizeof *w->logits),
        .known = assay_arena_small(arena, count * sizeof *w->known),
    };
    bool whole = w->made && w->ids && w->passages && w->logits && w->known;
    return whole ? ASSAY_OK : assay_fail_memory(error, count * sizeof *w->ids);
}

/* What the model reads of a passage: the ids that were kept, or made now. */
static assay_status read_passage(assay_scorer *scorer, const assay_passage_view *view,
                                 assay_arena *arena, assay_token_ids *out, bool *made,
                                 assay_error *error)
{
    ASSAY_TRY(assay_tokens_get(scorer->store, view->passage, &scorer->maker.digest, arena, out,
                               error));
    bool enough = out->count == out->total || out->count >= assay_cross_room(scorer->session);
    *made = out->ids == NULL || !enough;
    if (*made)
        ASSAY_TRY(assay_passage_tokenizer_encode(&scorer->maker, view->title, view->heading,
                                                 view->text, arena, out, error));
    assay_cross_cut(scorer->session, out);
    return ASSAY_OK;
}

/* The cache's keys are of what the model reads: ids, as they are cut. */
static assay_status make_keys(const assay_scorer *scorer, work *w, assay_error *error)
{
    const assay_tokens *query = &scorer->session->first;
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_hasher_add(hasher, scorer->model.bytes, sizeof scorer->model.bytes);
    assay_hasher_add(hasher, query->ids, query->count * sizeof *query->ids);
    w->question = assay_hasher_finish(hasher);
    for (size_t i = 0; i < w->count; i++)
        w->passages[i] = assay_hash128(w->ids[i].ids, w->ids[i].count * sizeof *w->ids[i].ids);
    return ASSAY_OK;
}

static assay_status look_up(assay_scorer *scorer, work *w, assay_error *error)
{
    memset(w->known, 0, w->count * sizeof *w->known);
    w->sources.cache = scorer->cache_error;
    if (scorer->cache == NULL)
        return ASSAY_OK;
    ASSAY_TRY(make_keys(scorer, w, error));
    if (assay_score_cache_get(scorer->cache, &w->question, w->passages, w->count, w->logits,
                              w->known, &w->sources.cache) != ASSAY_OK)
        memset(w->known, 0, w->count * sizeof *w->known);
    return ASSAY_OK;
}

assay_status assay_scorer_begin(assay_scorer *scorer, assay_text query,
                                const assay_passage_view *const *passages, size_t count,
                                assay_arena *arena, assay_score *scores, double *tokens,
                                assay_error *error)
{
    ASSAY_TRY(take_lists(&scorer->work, count, arena, error));
    work *w = scorer->work;
    ASSAY_TRY(assay_cross_query(scorer->session, query, error));
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(read_passage(scorer, passages[i], arena, &w->ids[i], &w->made[i], error));
    ASSAY_TRY(look_up(scorer, w, error));
    for (size_t i = 0; i < count; i++) {
        scores[i] = assay_cross_known(scorer->session, &w->ids[i],
                                      w->known[i] ? w->logits[i] : 0);
        tokens[i] = w->known[i] ? 0 : scores[i].tokens;
    }
    return ASSAY_OK;
}

assay_status assay_scorer_score(assay_scorer *scorer, size_t first, size_t count,
                                assay_score *scores, assay_error *error)
{
    const work *w = scorer->work;
    size_t rest = 0, *places = assay_arena_small(w->arena, count * sizeof *places);
    assay_token_ids *ids = assay_arena_small(w->arena, count * sizeof *ids);
    assay_score *found = assay_arena_small(w->arena, count * sizeof *found);
    if (places == NULL || ids == NULL || found == NULL)
        return assay_fail_memory(error, count * sizeof *found);
    for (size_t i = first; i < first + count; i++) {
        if (w->known[i])
            continue;
        ids[rest] = w->ids[i];
        places[rest++] = i;
    }
    if (rest > 0)
        ASSAY_TRY(assay_cross_score(scorer->session, ids, rest, found, error));
    for (size_t i = 0; i < rest; i++)
        scores[places[i]] = found[i];
    return ASSAY_OK;
}

/* Puts the new scores that are any into the cache. One that could not be read, for it
 * is locked or damaged, is left alone. */
static void keep_new(assay_scorer *scorer, size_t done, const assay_score *scores)
{
    work *w = scorer->work;
    size_t kept = 0;
    if (scorer->cache == NULL || w->sources.cache.code != ASSAY_OK)
        return;
    for (size_t i = 0; i < done; i++) {
        if (w->known[i] || scores[i].status != ASSAY_OK)
            continue;
        w->passages[kept] = w->passages[i];
        w->logits[kept++] = scores[i].logit;
    }
    assay_score_cache_put(scorer->cache, &w->question, w->passages, w->logits, kept,
                          &w->sources.cache);
}

void assay_scorer_end(assay_scorer *scorer, size_t done, const assay_score *scores,
                      assay_score_sources *sources)
{
    const work *w = scorer->work;
    keep_new(scorer, done, scores);
    *sources = w->sources;
    for (size_t i = 0; i < done; i++) {
        sources->tokenized += w->made[i];
        sources->cached += w->known[i];
        sources->tokens += w->known[i] ? 0 : scores[i].tokens;
    }
    scorer->work = NULL;
}
