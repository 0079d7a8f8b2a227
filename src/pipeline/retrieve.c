/* SPDX-License-Identifier: Apache-2.0 */
/* retrieve.c: candidates of a query: BM25, dense or both, fused. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pipeline/pipeline.h"

enum { LATE_SCORED = 8 }; /* passages whose codes late interaction looks at, times ef */

assay_status assay_query_encoder_open(const assay_collection *collection, uint32_t threads,
                                      assay_model **model, assay_session **session,
                                      assay_error *error)
{
    const assay_collection_config *config = &collection->config;
    ASSAY_TRY(assay_model_open(config->model, NULL, model, error));
    assay_model_info info;
    assay_model_describe(*model, &info);
    if (strcmp(info.digest, config->model_digest) != 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, info.path,
                          "is not the model that the collection \"%s\" was indexed with; index "
                          "it anew under another name, or put that model back",
                          collection->name);
    assay_session_options options = {.threads = threads, .role = ASSAY_ROLE_QUERY};
    return assay_session_open(*model, &options, session, error);
}

assay_status assay_retrieval_lists(assay_pipeline *p, assay_error *error)
{
    assay_retrieval *r = &p->retrieval;
    size_t retrieve = p->settings.options.retrieve;
    r->query_vector = calloc(p->collection.config.dimensions + 1, sizeof *r->query_vector);
    r->bm25 = calloc(retrieve, sizeof *r->bm25);
    r->dense = calloc(retrieve, sizeof *r->dense);
    r->fused = calloc(2 * retrieve, sizeof *r->fused);
    r->terms = assay_arena_new(0);
    bool whole = r->query_vector && r->bm25 && r->dense && r->fused && r->terms;
    return whole ? ASSAY_OK : assay_fail_memory(error, 2 * retrieve * sizeof *r->fused);
}

assay_status assay_retrieval_open(assay_pipeline *p, assay_error *error)
{
    const assay_pipeline_options *o = &p->settings.options;
    assay_retrieval *r = &p->retrieval;
    ASSAY_TRY(assay_retrieval_lists(p, error));
    if (o->retriever == ASSAY_RETRIEVER_LATE)
        return assay_late_retriever_open(&r->late, p->store, &p->collection, o->threads, error);
    if (!(o->retriever & ASSAY_RETRIEVER_DENSE))
        return ASSAY_OK;
    return assay_query_encoder_open(&p->collection, o->threads, &r->encoder, &r->session, error);
}

void assay_retrieval_close(assay_retrieval *r)
{
    assay_late_retriever_close(&r->late);
    assay_session_close(r->session);
    assay_model_close(r->encoder);
    assay_nearest_free(&r->nearest);
    assay_vectors_close(&r->vectors);
    assay_postings_close(r->postings);
    assay_arena_free(r->terms);
    assay_allowed_free(&r->allowed);
    free(r->query_vector);
    free(r->bm25);
    free(r->dense);
    free(r->fused);
}

static assay_status search_postings(assay_pipeline *p, assay_text query, size_t *count,
                                    assay_error *error)
{
    const assay_pipeline_options *o = &p->settings.options;
    assay_retrieval *r = &p->retrieval;
    const assay_term *terms;
    size_t term_count;
    assay_arena_reset(r->terms);
    ASSAY_TRY(assay_store_terms(p->store, query, r->terms, &terms, &term_count, error));
    ASSAY_TRY(assay_allowed_words(&r->allowed, r->postings, &p->collection, error));
    return assay_postings_search(r->postings, terms, term_count, o->k1.value, o->b.value,
                                 r->allowed.filter != NULL ? &r->allowed.words : NULL, o->retrieve,
                                 r->bm25, count, error);
}

/* By the word index; by FTS5 where there is none, or it is damaged. */
static assay_status retrieve_words(assay_pipeline *p, assay_text query, size_t *count,
                                   assay_error *error)
{
    const assay_pipeline_options *o = &p->settings.options;
    assay_retrieval *r = &p->retrieval;
    r->words = (assay_error){0};
    assay_status status =
        assay_word_index_open(p->store, &p->collection, &r->postings, &r->words);
    if (status == ASSAY_OK && r->postings != NULL)
        status = search_postings(p, query, count, &r->words);
    if (status == ASSAY_OK && r->postings != NULL)
        return ASSAY_OK;
    assay_postings_close(r->postings);
    r->postings = NULL;
    return assay_store_bm25(p->store, &p->collection, query, o->k1.value, o->b.value,
                            r->allowed.filter != NULL ? &r->allowed.selection : NULL, o->retrieve,
                            r->bm25, count, error);
}

/* The index of the collection as it is now. */
static assay_status open_vectors(assay_pipeline *p, assay_error *error)
{
    assay_retrieval *r = &p->retrieval;
    if (r->vectors.flat == NULL || !assay_vectors_current(r->vectors.flat, &p->collection))
        assay_nearest_forget(&r->nearest);
    return assay_vectors_open(p->store, &p->collection, &r->vectors, NULL, NULL, error);
}

/* Whether what BM25 found has to do, for want of time. */
static bool leave_dense_out(assay_pipeline *p, size_t found, assay_error *degraded)
{
    double left = p->deadline - assay_seconds();
    if (found == 0 || assay_cost_of(&p->dense_cost, 1) < left)
        return false;
    if (left > 0)
        assay_cost_fade(&p->dense_cost);
    assay_fail(degraded, ASSAY_E_LIMIT, "deadline",
               "the vectors were not searched: the deadline of %u ms left no time for them",
               p->deadline_ms);
    return true;
}

/* By the files derived from the store. */
static assay_status search_files(assay_pipeline *p, size_t *count, assay_error *error)
{
    assay_retrieval *r = &p->retrieval;
    ASSAY_TRY(assay_allowed_slots(&r->allowed, r->vectors.flat, &p->collection, error));
    const assay_pipeline_options *o = &p->settings.options;
    const assay_nearest_options options = {
        .k = o->retrieve,
        .ef = o->ef,
        .nprobe = o->nprobe,
        .exact = o->exact,
        .threads = o->threads,
        .slots = r->allowed.filter != NULL ? &r->allowed.slots : NULL,
    };
    r->kind = o->exact ? ASSAY_VECTORS_FLAT : assay_vectors_kind(&r->vectors);
    return assay_nearest_search(&r->nearest, &r->vectors, r->query_vector, &options, r->dense,
                                count, error);
}

/* By the database itself. */
static assay_status search_store(assay_pipeline *p, size_t *count, assay_error *error)
{
    assay_retrieval *r = &p->retrieval;
    const assay_pipeline_options *o = &p->settings.options;
    const assay_store_find options = {
        .k = o->retrieve,
        .ef = o->ef,
        .nprobe = o->nprobe,
        .exact = o->exact,
        .allowed = r->allowed.filter != NULL ? &r->allowed.selection : NULL,
    };
    return assay_store_nearest(p->store, &p->collection, r->query_vector, &options, r->dense,
                               count, &r->kind, error);
}

static assay_status retrieve_dense(assay_pipeline *p, assay_text query, size_t *count,
                                   assay_result *result, assay_error *error)
{
    assay_retrieval *r = &p->retrieval;
    bool in_store = assay_store_finds_vectors(p->store);
    if (!in_store)
        ASSAY_TRY(open_vectors(p, error));
    double begun = assay_seconds();
    if (r->session != NULL)
        ASSAY_TRY(assay_embed(r->session, &query, 1, r->query_vector, &r->query_info, error));
    assay_vector_scale(r->query_vector, p->collection.config.dimensions);
    result->query_truncated = r->query_info.truncated;
    result->tokens = r->query_info.tokens;
    ASSAY_TRY(in_store ? search_store(p, count, error) : search_files(p, count, error));
    assay_cost_learn(&p->dense_cost, 1, assay_seconds() - begun);
    return ASSAY_OK;
}

static assay_status retrieve_late(assay_pipeline *p, assay_text query, size_t *count,
                                  assay_result *result, assay_error *error)
{
    const assay_pipeline_options *o = &p->settings.options;
    assay_retrieval *r = &p->retrieval;
    ASSAY_TRY(assay_allowed_keys(&r->allowed, p->store, &p->collection, error));
    const assay_late_search search = {
        .k = o->retrieve,
        .scored = LATE_SCORED * o->ef,
        .nprobe = o->nprobe,
        .exact = o->exact,
        .allowed = r->allowed.filter != NULL ? &r->allowed.selection.passages : NULL,
    };
    ASSAY_TRY(assay_late_retrieve(&r->late, &p->collection, query, &search, r->dense, count,
                                  &result->query_truncated, error));
    result->tokens = r->late.late.session->question.count;
    return ASSAY_OK;
}

assay_status assay_retrieve(assay_pipeline *p, assay_text query, size_t *count,
                            assay_result *result, assay_error *error)
{
    const assay_pipeline_options *o = &p->settings.options;
    assay_retrieval *r = &p->retrieval;
    assay_fusion_list bm25 = {r->bm25, 0, 0}, dense = {r->dense, 0, 0};
    *count = r->bm25_count = r->dense_count = 0;
    ASSAY_TRY(assay_allowed_passages(&r->allowed, p->store, &p->collection, error));
    if (r->allowed.filter != NULL && r->allowed.selection.count == 0)
        return ASSAY_OK;
    if (o->retriever & ASSAY_RETRIEVER_BM25) {
        bm25.weight = o->bm25_weight.value;
        ASSAY_TRY(retrieve_words(p, query, &bm25.count, error));
    }
    if ((o->retriever & ASSAY_RETRIEVER_DENSE) &&
        !leave_dense_out(p, bm25.count, &result->degraded)) {
        dense.weight = o->dense_weight.value;
        ASSAY_TRY(retrieve_dense(p, query, &dense.count, result, error));
    }
    if (o->retriever == ASSAY_RETRIEVER_LATE) {
        dense.weight = 1;
        ASSAY_TRY(retrieve_late(p, query, &dense.count, result, error));
    }
    r->bm25_count = bm25.count;
    r->dense_count = dense.count;
    *count = assay_fuse(bm25, dense, o->fusion, r->fused);
    if (*count > o->retrieve)
        *count = o->retrieve;
    return ASSAY_OK;
}
