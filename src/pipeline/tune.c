/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tune.c: how much of the exact answer a vector index finds, and the least effort that
 * finds as much as is wanted.
 *
 * Questions are given, or made of the collection: passages spread evenly over it, each
 * standing for the question that its document's title asks, or, without one, its
 * beginning, at most half of it: a question that is a whole passage has its vector in the
 * index, where it is found too easily. Recall is the share of the k nearest that a search finds; as near as the k-th
 * counts, since equal vectors stand in no order. It grows with the effort (ef of a
 * graph, nprobe of lists), but for noise, so the least that reaches the recall is found by
 * widening until one does and halving the rest. Lists lose some by what they look into and
 * some by the codes: so many are first scored exactly (ef) that with all lists half of what
 * may be lost is, then lists are taken away.
 */
#include "pipeline/tune.h"

#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "pipeline/nearest.h"
#include "pipeline/pipeline.h"
#include "pipeline/vector_choice.h"
#include "pipeline/words.h"

enum {
    DEFAULT_K = 100,
    DEFAULT_QUERIES = 200,
    MOST_K = 10000,
    MOST_QUERIES = 10000,
    QUESTION_WORDS = 16, /* of a passage's beginning */
    FINE = 32,           /* an effort is found to one in so many */
    EMBED_AT_ONCE = 64,
    KEYS_AT_ONCE = 4096,
    ASK_AT_ONCE = 64,    /* by all threads, before they look up */
};

#define DEFAULT_RECALL 0.95

/* A thread that asks questions. */
typedef struct asker {
    assay_nearest nearest;
    assay_candidate *found; /* [k] */
    size_t hits;
    assay_status status;
    assay_error error;
} asker;

typedef struct tuning {
    assay_store *store;
    assay_collection collection;
    assay_tune_options options; /* defaults filled in */
    assay_arena *arena;         /* of the questions */
    assay_text *texts;          /* [options.query_count] */
    float *queries;             /* [query_count][dimensions] */
    float *least;               /* [query_count] the k-th exact score ... */
    size_t *wanted;             /* ... and how many there are, at most k */
    assay_vectors vectors;
    asker *askers;              /* [threads] */
    uint32_t threads;
    uint32_t ef, nprobe;        /* of searches */
    uint64_t *keys;             /* [key_count] of the passages with vectors */
    uint64_t key_count;
    assay_vector_index_info index;
    bool in_store;              /* the database has the index */
    bool exact;                 /* the same */
    size_t first;               /* question of those that are asked at once */
    assay_progress_fn progress;
    void *user;
    uint64_t done, total;
} tuning;

static void tuning_free(tuning *t)
{
    for (uint32_t i = 0; t->askers != NULL && i < t->threads; i++) {
        assay_nearest_free(&t->askers[i].nearest);
        free(t->askers[i].found);
    }
    free(t->askers);
    assay_vectors_close(&t->vectors);
    assay_arena_free(t->arena);
    free(t->texts);
    free(t->keys);
    free(t->queries);
    free(t->least);
    free(t->wanted);
}

static assay_status tell(tuning *t, size_t more, assay_error *error)
{
    t->done += more;
    assay_progress step = {.phase = ASSAY_PHASE_TUNE, .done = t->done, .total = t->total};
    if (t->progress != NULL && !t->progress(&step, t->user))
        return assay_fail(error, ASSAY_E_INTERRUPTED, NULL, "interrupted");
    return ASSAY_OK;
}

/* --------------------------------------------------------------- questions */

static assay_text question_of(const assay_passage_view *view)
{
    if (view->title[0] != '\0')
        return (assay_text){view->title, strlen(view->title)};
    size_t words = 0, end = 0, most = (assay_words_count(view->text) + 1) / 2;
    most = most < QUESTION_WORDS ? most : QUESTION_WORDS;
    for (; end < view->text.length; end++) {
        bool space = assay_words_space(view->text.data[end]);
        words += space && end > 0 && !assay_words_space(view->text.data[end - 1]);
        if (words == most)
            break;
    }
    return (assay_text){view->text.data, end};
}

/* All passages' keys, where they are not those of a file of vectors. */
static assay_status read_keys(tuning *t, assay_error *error)
{
    size_t some = 1;
    uint64_t after = 0;
    t->keys = calloc(t->index.vectors + 1, sizeof *t->keys);
    if (t->keys == NULL)
        return assay_fail_memory(error, t->index.vectors * sizeof *t->keys);
    while (some > 0 && t->key_count < t->index.vectors) {
        size_t room = t->index.vectors - t->key_count;
        ASSAY_TRY(assay_passage_keys(t->store, &t->collection, after, t->keys + t->key_count,
                                     room < KEYS_AT_ONCE ? room : KEYS_AT_ONCE, &some, error));
        t->key_count += some;
        after = t->key_count > 0 ? t->keys[t->key_count - 1] : 0;
    }
    return ASSAY_OK;
}

static uint64_t key_at(const tuning *t, uint64_t i)
{
    return t->in_store ? t->keys[i] : assay_flat_key(t->vectors.flat, i);
}

/* Questions of passages spread over the index, each text once. */
static assay_status make_questions(tuning *t, assay_error *error)
{
    if (t->in_store)
        ASSAY_TRY(read_keys(t, error));
    uint64_t count = t->in_store ? t->key_count : assay_flat_count(t->vectors.flat);
    uint64_t most = t->options.query_count;
    size_t made = 0;
    if (most > count)
        most = count;
    for (uint64_t i = 0; i < most; i++) {
        assay_passage_view view;
        uint64_t key = key_at(t, i * count / most);
        if (key == 0)
            continue;
        assay_status status = assay_passage_get(t->store, key, t->arena, &view, error);
        if (status == ASSAY_E_NOT_FOUND) /* deleted meanwhile */
            continue;
        ASSAY_TRY(status);
        assay_text text = question_of(&view);
        bool again = made > 0 && t->texts[made - 1].length == text.length &&
                     memcmp(t->texts[made - 1].data, text.data, text.length) == 0;
        if (!again && !assay_words_none(text))
            t->texts[made++] = text;
    }
    t->options.query_count = made;
    return ASSAY_OK;
}

static assay_status take_questions(tuning *t, assay_error *error)
{
    size_t count = t->options.query_count;
    t->texts = calloc(count, sizeof *t->texts);
    if (t->texts == NULL)
        return assay_fail_memory(error, count * sizeof *t->texts);
    if (t->options.queries == NULL) {
        ASSAY_TRY(make_questions(t, error));
    } else {
        size_t taken = 0;
        for (size_t i = 0; i < count; i++)
            if (!assay_words_none(t->options.queries[i]))
                t->texts[taken++] = t->options.queries[i];
        t->options.query_count = taken;
    }
    if (t->options.query_count == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, t->collection.name,
                          "there is nothing to ask: no passage, or no question, has a word");
    return ASSAY_OK;
}

static assay_status embed(tuning *t, assay_error *error)
{
    size_t n = t->collection.config.dimensions, count = t->options.query_count;
    assay_model *model = NULL;
    assay_session *session = NULL;
    t->queries = calloc(count * n, sizeof *t->queries);
    if (t->queries == NULL)
        return assay_fail_memory(error, count * n * sizeof *t->queries);
    assay_status status = assay_query_encoder_open(&t->collection, t->options.threads, &model,
                                                   &session, error);
    for (size_t done = 0; status == ASSAY_OK && done < count; done += EMBED_AT_ONCE) {
        size_t some = count - done < EMBED_AT_ONCE ? count - done : EMBED_AT_ONCE;
        status = assay_embed(session, t->texts + done, some, t->queries + done * n, NULL, error);
    }
    assay_session_close(session);
    assay_model_close(model);
    for (size_t i = 0; i < count; i++)
        assay_vector_scale(t->queries + i * n, n);
    return status;
}

/* --------------------------------------------------------------- measuring */

static assay_status make_askers(tuning *t, assay_error *error)
{
    t->threads = t->in_store ? 1 : t->options.threads; /* a store is one thread's */
    if (t->threads == 0 || t->threads > assay_cores())
        t->threads = assay_cores();
    t->askers = calloc(t->threads, sizeof *t->askers);
    for (uint32_t i = 0; t->askers != NULL && i < t->threads; i++) {
        t->askers[i].found = calloc(t->options.k, sizeof *t->askers[i].found);
        if (t->askers[i].found == NULL)
            return assay_fail_memory(error, t->options.k * sizeof *t->askers[i].found);
    }
    return t->askers != NULL ? ASSAY_OK : assay_fail_memory(error, t->threads * sizeof *t->askers);
}

static assay_status search_store(const tuning *t, const float *query, asker *a, size_t *count)
{
    assay_vector_index kind;
    const assay_store_find options = {.k = t->options.k, .ef = t->ef, .nprobe = t->nprobe,
                                      .exact = t->exact};
    return assay_store_nearest(t->store, &t->collection, query, &options, a->found, count, &kind,
                               &a->error);
}

static assay_status search(const tuning *t, const float *query, asker *a, size_t *count)
{
    const assay_nearest_options options = {
        .k = t->options.k,
        .ef = t->ef,
        .nprobe = t->nprobe,
        .exact = t->exact,
        .threads = 1,
    };
    if (t->in_store)
        return search_store(t, query, a, count);
    return assay_nearest_search(&a->nearest, &t->vectors, query, &options, a->found, count,
                                &a->error);
}

/* One question. What is found exactly is what the others are measured by. */
static void ask(void *context, size_t item, uint32_t worker)
{
    tuning *t = context;
    asker *a = &t->askers[worker];
    size_t query = t->first + item, count = 0;
    if (a->status == ASSAY_OK)
        a->status = search(t, t->queries + query * t->collection.config.dimensions, a, &count);
    if (a->status != ASSAY_OK)
        return;
    if (t->exact) {
        t->wanted[query] = count;
        t->least[query] = count > 0 ? a->found[count - 1].score : 0;
        return;
    }
    for (size_t j = 0; j < count; j++)
        a->hits += a->found[j].score >= t->least[query];
}

/* All questions, shared out among threads; exact answers are told of as progress. */
static assay_status ask_all(tuning *t, bool exact, assay_error *error)
{
    size_t count = t->options.query_count;
    t->exact = exact;
    for (t->first = 0; t->first < count; t->first += ASK_AT_ONCE) {
        size_t some = count - t->first < ASK_AT_ONCE ? count - t->first : ASK_AT_ONCE;
        assay_loop(some, t->threads, ask, t);
        for (uint32_t i = 0; i < t->threads; i++)
            if (t->askers[i].status != ASSAY_OK) {
                if (error != NULL)
                    *error = t->askers[i].error;
                return t->askers[i].status;
            }
        if (exact)
            ASSAY_TRY(tell(t, some, error));
    }
    return ASSAY_OK;
}

static assay_status measure_exact(tuning *t, assay_error *error)
{
    size_t count = t->options.query_count;
    t->least = calloc(count, sizeof *t->least);
    t->wanted = calloc(count, sizeof *t->wanted);
    if (t->least == NULL || t->wanted == NULL)
        return assay_fail_memory(error, count * sizeof *t->wanted);
    t->total = count;
    ASSAY_TRY(make_askers(t, error));
    return ask_all(t, true, error);
}

static assay_status measure(tuning *t, double *recall, assay_error *error)
{
    size_t hits = 0, wanted = 0;
    for (uint32_t i = 0; i < t->threads; i++)
        t->askers[i].hits = 0;
    ASSAY_TRY(ask_all(t, false, error));
    for (uint32_t i = 0; i < t->threads; i++)
        hits += t->askers[i].hits;
    for (size_t i = 0; i < t->options.query_count; i++)
        wanted += t->wanted[i];
    *recall = wanted > 0 ? (double)hits / (double)wanted : 1;
    t->total++;
    return tell(t, 1, error);
}

/* Makes *effort, t->ef or t->nprobe, the least within [least, most] that reaches the
 * recall `wanted`, or the most. */
static assay_status find_effort(tuning *t, uint32_t *effort, uint32_t least, uint32_t most,
                                double wanted, double *recall, assay_error *error)
{
    uint32_t low = least, high = least; /* low: does not reach it */
    *effort = high;
    ASSAY_TRY(measure(t, recall, error));
    while (*recall < wanted && high < most) {
        low = high;
        *effort = high = high + high / 2 + 1 < most ? high + high / 2 + 1 : most;
        ASSAY_TRY(measure(t, recall, error));
    }
    while (high - low > 1 + high / FINE && *recall >= wanted) {
        double there;
        *effort = low + (high - low) / 2;
        ASSAY_TRY(measure(t, &there, error));
        if (there >= wanted) {
            high = *effort;
            *recall = there;
        } else {
            low = *effort;
        }
    }
    *effort = high;
    return ASSAY_OK;
}

/* What ef may be: of the vectors, at most as many as there are. */
static uint32_t most_ef(uint32_t least, uint32_t vectors)
{
    uint32_t most = vectors < ASSAY_HNSW_MOST_EF ? vectors : ASSAY_HNSW_MOST_EF;
    return most > least ? most : least;
}

/* -------------------------------------------------------------------- all */

static assay_status settle(assay_tune_options *o, assay_error *error)
{
    if (o->recall == 0)
        o->recall = DEFAULT_RECALL;
    if (o->k == 0)
        o->k = DEFAULT_K;
    if (o->query_count == 0 && o->queries == NULL)
        o->query_count = DEFAULT_QUERIES;
    if (o->query_count > MOST_QUERIES)
        o->query_count = MOST_QUERIES;
    if (!(o->recall > 0 && o->recall <= 1))
        return assay_fail(error, ASSAY_E_ARGUMENT, "recall", "%g, expected more than 0 and at "
                          "most 1", o->recall);
    if (o->k > MOST_K)
        return assay_fail(error, ASSAY_E_ARGUMENT, "k", "%u is more than the limit of %d", o->k,
                          MOST_K);
    if (o->query_count == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "queries", "there are none");
    return ASSAY_OK;
}

static assay_status tune_graph(tuning *t, assay_vector_tuning *out, assay_error *error)
{
    assay_hnsw_info info;
    assay_hnsw_describe(t->vectors.hnsw, &info);
    out->kind = ASSAY_VECTORS_HNSW;
    out->vectors = info.live;
    ASSAY_TRY(find_effort(t, &t->ef, t->options.k, most_ef(t->options.k, info.live),
                          t->options.recall, &out->recall, error));
    out->ef = t->ef;
    return ASSAY_OK;
}

static assay_status tune_lists(tuning *t, assay_vector_tuning *out, assay_error *error)
{
    assay_ivf_info info;
    assay_ivf_describe(t->vectors.ivf, &info);
    uint32_t least = t->options.k + ASSAY_MORE_EF;
    out->kind = ASSAY_VECTORS_IVF;
    t->nprobe = info.options.lists;
    ASSAY_TRY(find_effort(t, &t->ef, least, most_ef(least, info.count),
                          (1 + t->options.recall) / 2, &out->recall, error));
    ASSAY_TRY(find_effort(t, &t->nprobe, 1, info.options.lists, t->options.recall, &out->recall,
                          error));
    out->ef = t->ef > least ? t->ef : 0;
    out->nprobe = t->nprobe;
    return ASSAY_OK;
}

/* The database's own index: its HNSW, or its lists, which have no codes. */
static assay_status tune_in_store(tuning *t, assay_vector_tuning *out, assay_error *error)
{
    uint32_t most = t->options.k > ASSAY_STORE_EF ? t->options.k : ASSAY_STORE_EF;
    out->kind = t->index.kind;
    if (t->index.kind == ASSAY_VECTORS_HNSW) {
        ASSAY_TRY(find_effort(t, &t->ef, t->options.k, most, t->options.recall, &out->recall,
                              error));
        out->ef = t->ef;
    } else if (t->index.kind == ASSAY_VECTORS_IVF) {
        ASSAY_TRY(find_effort(t, &t->nprobe, 1, t->index.lists, t->options.recall, &out->recall,
                              error));
        out->nprobe = t->nprobe;
    }
    return ASSAY_OK;
}

static assay_status open_index(tuning *t, assay_error *error)
{
    if (!t->in_store)
        return assay_vectors_open(t->store, &t->collection, &t->vectors, t->progress, t->user,
                                  error);
    return assay_store_vector_index_describe(t->store, &t->collection, &t->index, error);
}

static assay_status run(tuning *t, assay_vector_tuning *out, assay_error *error)
{
    t->arena = assay_arena_new(0);
    if (t->arena == NULL)
        return assay_fail_memory(error, 64 * 1024);
    ASSAY_TRY(open_index(t, error));
    ASSAY_TRY(take_questions(t, error));
    ASSAY_TRY(embed(t, error));
    ASSAY_TRY(measure_exact(t, error));
    *out = (assay_vector_tuning){
        .kind = ASSAY_VECTORS_FLAT,
        .wanted = t->options.recall,
        .recall = 1,
        .k = t->options.k,
        .queries = (uint32_t)t->options.query_count,
        .vectors = t->in_store ? t->index.vectors : assay_flat_count(t->vectors.flat),
    };
    if (t->in_store)
        return tune_in_store(t, out, error);
    if (t->vectors.hnsw != NULL)
        return tune_graph(t, out, error);
    return t->vectors.ivf != NULL ? tune_lists(t, out, error) : ASSAY_OK;
}

assay_status assay_vector_index_tune(assay_store *store, const char *name,
                                     const assay_tune_options *options,
                                     assay_progress_fn progress, void *user,
                                     assay_vector_tuning *out, assay_error *error)
{
    tuning t = {.store = store, .progress = progress, .user = user};
    assay_vector_tuning tuned;
    if (options != NULL)
        t.options = *options;
    ASSAY_TRY(settle(&t.options, error));
    ASSAY_TRY(assay_collection_open(store, name, &t.collection, error));
    if (t.collection.config.dimensions == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, name, "has no vectors: it is for BM25 only");
    t.in_store = assay_store_finds_vectors(store);
    assay_status status = run(&t, &tuned, error);
    if (status == ASSAY_OK) {
        assay_vector_choice choice = assay_vector_choice_read(store, &t.collection);
        choice.tuned = tuned;
        if (t.in_store) /* which knows what was chosen */
            choice.kind = tuned.kind;
        status = assay_vector_choice_write(store, &t.collection, &choice, error);
    }
    if (status == ASSAY_OK && out != NULL)
        *out = tuned;
    tuning_free(&t);
    return status;
}

void assay_tune_apply(assay_store *store, const assay_collection *collection,
                      assay_pipeline_options *o)
{
    assay_vector_choice choice = assay_vector_choice_read(store, collection);
    assay_vector_tuning t = choice.tuned;
    uint64_t k = o->retrieve > 0 ? o->retrieve : ASSAY_RETRIEVE;
    bool other = (t.kind == ASSAY_VECTORS_IVF) != (choice.kind == ASSAY_VECTORS_IVF);
    if (collection->config.dimensions == 0 || t.k == 0 || other ||
        o->retriever == ASSAY_RETRIEVER_LATE)
        return;
    /* Of more than were measured, as many times more are kept on the way. */
    uint64_t ef = k > t.k ? (t.ef * k + t.k - 1) / t.k : t.ef;
    if (o->nprobe == 0)
        o->nprobe = t.nprobe;
    if (o->ef == 0)
        o->ef = ef < ASSAY_HNSW_MOST_EF ? (uint32_t)ef : ASSAY_HNSW_MOST_EF;
}
