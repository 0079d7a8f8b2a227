/* SPDX-License-Identifier: Apache-2.0 */
/* verb_search.c: `assay search`, the passages of a collection that answer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/explanation.h"
#include "cli/stages.h"

#define DEFAULT_TOP 5
#define INDENT 4

typedef struct search_settings {
    assay_common common;
    assay_stages stages;
    const char *collection, *filter;
    uint32_t top;
    bool no_cache, explain;
} search_settings;

/* ------------------------------------------------------------------- JSON */

/* Something was found, and nothing of it was probable enough, or answers. */
static bool abstained(const assay_result *result)
{
    return result->count == 0 && result->withheld + result->dropped > 0;
}

static void set_retriever_json(assay_answer *answer, json_t *one, const char *rank_name,
                               uint32_t rank, const char *score_name, float score)
{
    assay_answer_set(answer, one, rank_name, rank ? assay_json_count(rank) : json_null());
    assay_answer_set(answer, one, score_name, assay_json_number((double)score));
}

static void set_rerank_json(assay_answer *answer, json_t *one, const assay_hit *hit)
{
    bool scored = hit->reranked;
    assay_answer_set(answer, one, "reranked", json_boolean(scored));
    assay_answer_set(answer, one, "logit",
                     scored ? assay_json_number((double)hit->logit) : json_null());
    assay_answer_set(answer, one, "probability",
                     scored ? assay_json_number((double)hit->probability) : json_null());
    assay_answer_set(answer, one, "tokens", scored ? assay_json_count(hit->tokens) : json_null());
    assay_answer_set(answer, one, "truncated",
                     scored ? json_boolean(hit->truncated) : json_null());
    if (hit->status != ASSAY_OK)
        assay_answer_set(answer, one, "error", json_string(assay_status_name(hit->status)));
}

/* Where the hit stood after each stage. */
static void set_stages_json(assay_answer *answer, json_t *one, const assay_hit *hit, size_t count)
{
    json_t *stages = assay_answer_array(answer, one, "stages");
    for (size_t i = 0; i < count; i++) {
        const assay_hit_stage *stage = &hit->stages[i];
        json_t *place = assay_answer_object(answer, stages, NULL);
        assay_answer_set(answer, place, "rank", assay_json_count(stage->rank));
        assay_answer_set(answer, place, "score", assay_json_number((double)stage->score));
        assay_answer_set(answer, place, "scored", json_boolean(stage->scored));
        if (stage->verdict != ASSAY_VERDICT_NONE) {
            assay_answer_set(answer, place, "verdict",
                             json_string(assay_verdict_name(stage->verdict)));
            assay_answer_set(answer, place, "reason", assay_json_name(stage->reason));
        }
        if (!stage->scored)
            continue;
        assay_answer_set(answer, place, "logit", assay_json_number((double)stage->logit));
        assay_answer_set(answer, place, "probability",
                         assay_json_number((double)stage->probability));
    }
}

static void add_hit_json(assay_answer *answer, json_t *hits, const assay_hit *hit, size_t stages,
                         const assay_explanation *explanation, assay_text question)
{
    json_t *one = assay_answer_object(answer, hits, NULL);
    if (explanation)
        assay_explain_json(answer, one, explanation, question);
    assay_answer_set(answer, one, "rank", assay_json_count(hit->rank));
    assay_answer_set(answer, one, "document", assay_json_name(hit->document));
    assay_answer_set(answer, one, "title", assay_json_name(hit->title));
    assay_answer_set(answer, one, "heading", assay_json_name(hit->heading));
    assay_answer_set(answer, one, "text", assay_json_text(hit->text.data, hit->text.length));
    assay_answer_set(answer, one, "source", assay_json_name(hit->source));
    assay_answer_set(answer, one, "offset", assay_json_count(hit->offset));
    assay_answer_set(answer, one, "passage", assay_json_count(hit->passage));
    assay_answer_set(answer, one, "score", assay_json_number((double)hit->score));
    set_rerank_json(answer, one, hit);
    assay_answer_set(answer, one, "rank_first", assay_json_count(hit->rank_first));
    assay_answer_set(answer, one, "score_first", assay_json_number((double)hit->score_first));
    set_retriever_json(answer, one, "rank_bm25", hit->rank_bm25, "score_bm25", hit->score_bm25);
    set_retriever_json(answer, one, "rank_dense", hit->rank_dense, "score_dense",
                       hit->score_dense);
    set_stages_json(answer, one, hit, stages);
}

static bool validates(const assay_pipeline *pipeline, size_t stage)
{
    assay_pipeline_options options;
    assay_pipeline_describe(pipeline, &options);
    return options.stages[stage].kind == ASSAY_RERANKER_VISION;
}

static void set_validation_json(assay_answer *answer, json_t *one,
                                const assay_stage_result *stage)
{
    assay_answer_set(answer, one, "accepted", assay_json_count(stage->accepted));
    assay_answer_set(answer, one, "rejected", assay_json_count(stage->rejected));
    assay_answer_set(answer, one, "dropped", assay_json_count(stage->dropped));
}

/* What each stage did. */
static void set_work_json(assay_answer *answer, const assay_pipeline *pipeline,
                          const assay_result *result)
{
    json_t *stages = assay_answer_array(answer, answer->root, "stages");
    for (size_t i = 0; i < result->stage_count; i++) {
        const assay_stage_result *stage = &result->stages[i];
        json_t *one = assay_answer_object(answer, stages, NULL);
        assay_answer_set(answer, one, "scored", assay_json_count(stage->scored));
        assay_answer_set(answer, one, "left_out", assay_json_count(stage->left_out));
        assay_answer_set(answer, one, "spared", assay_json_count(stage->spared));
        assay_answer_set(answer, one, "cached", assay_json_count(stage->cached));
        assay_answer_set(answer, one, "latency_ms", assay_json_number(stage->seconds * 1e3));
        if (validates(pipeline, i))
            set_validation_json(answer, one, stage);
        assay_llm_json(answer, one, &stage->llm);
        if (stage->degraded.code != ASSAY_OK)
            assay_answer_set(answer, one, "degraded", assay_json_name(stage->degraded.message));
        if (stage->skipped.code != ASSAY_OK)
            assay_answer_set(answer, one, "skipped", assay_json_name(stage->skipped.message));
    }
}

/* Only where a probability is asked for. */
static void set_probability_json(assay_answer *answer, const assay_result *result)
{
    if (!result->least.set)
        return;
    json_t *one = assay_answer_object(answer, answer->root, "probability");
    assay_answer_set(answer, one, "least", assay_json_number(result->least.value));
    assay_answer_set(answer, one, "best", assay_json_number((double)result->best_probability));
    assay_answer_set(answer, one, "withheld", assay_json_count(result->withheld));
    assay_answer_set(answer, one, "abstained", json_boolean(abstained(result)));
}

static int print_json(const search_settings *settings, const char *question,
                      const assay_pipeline *pipeline, const assay_result *result,
                      const assay_explanation *explanations)
{
    assay_answer answer = assay_answer_new();
    assay_answer_set(&answer, answer.root, "query", assay_json_name(question));
    assay_answer_set(&answer, answer.root, "collection", assay_json_name(settings->collection));
    json_t *hits = assay_answer_array(&answer, answer.root, "hits");
    for (size_t i = 0; i < result->count; i++)
        add_hit_json(&answer, hits, &result->hits[i], result->stage_count,
                     explanations ? &explanations[i] : NULL,
                     (assay_text){question, strlen(question)});
    if (result->filtered) {
        json_t *filter = assay_answer_object(&answer, answer.root, "filter");
        assay_answer_set(&answer, filter, "expression", assay_json_name(settings->filter));
        assay_answer_set(&answer, filter, "passages", assay_json_count(result->allowed));
        assay_answer_set(&answer, filter, "missing",
                         result->missing.code == ASSAY_OK
                             ? json_null()
                             : assay_json_name(result->missing.message));
    }
    assay_answer_set(&answer, answer.root, "word_index", json_boolean(result->word_index));
    assay_answer_set(&answer, answer.root, "candidates", assay_json_count(result->candidates));
    assay_answer_set(&answer, answer.root, "query_truncated",
                     json_boolean(result->query_truncated));
    assay_answer_set(&answer, answer.root, "degraded",
                     result->degraded.code == ASSAY_OK ? json_null()
                                                       : assay_json_name(result->degraded.message));
    assay_answer_set(&answer, answer.root, "rerank_skipped",
                     result->skipped.code == ASSAY_OK ? json_null()
                                                      : assay_json_name(result->skipped.message));
    assay_answer_set(&answer, answer.root, "vector_index",
                     result->vectors == ASSAY_VECTORS_AUTO
                         ? json_null()
                         : json_string(assay_vector_index_name(result->vectors)));
    json_t *scores = assay_answer_object(&answer, answer.root, "scores");
    assay_answer_set(&answer, scores, "passages", assay_json_count(result->scored));
    assay_answer_set(&answer, scores, "cached", assay_json_count(result->cached));
    assay_answer_set(&answer, scores, "tokenized", assay_json_count(result->tokenized));
    assay_answer_set(&answer, scores, "kept_vectors", assay_json_count(result->kept));
    assay_answer_set(&answer, scores, "damaged_vectors", assay_json_count(result->damaged));
    assay_answer_set(&answer, scores, "cache_error",
                     result->cache.code == ASSAY_OK ? json_null()
                                                    : assay_json_name(result->cache.message));
    set_probability_json(&answer, result);
    set_work_json(&answer, pipeline, result);
    json_t *latency = assay_answer_object(&answer, answer.root, "latency_ms");
    assay_answer_set(&answer, latency, "first", assay_json_number(result->first_seconds * 1e3));
    assay_answer_set(&answer, latency, "rerank", assay_json_number(result->rerank_seconds * 1e3));
    assay_stages_json(&answer, answer.root, "pipeline", pipeline);
    return assay_answer_print(&answer);
}

/* -------------------------------------------------------------- for people */

/* What reranking did to the hit: "▲ 7 -> 1". */
static void print_move(const assay_hit *hit)
{
    const char *plain = assay_style_code(ASSAY_STYLE_PLAIN);
    if (!hit->reranked)
        return;
    if (hit->rank < hit->rank_first)
        printf("  %s▲ %u -> %u%s", assay_style_code(ASSAY_STYLE_GOOD), hit->rank_first, hit->rank,
               plain);
    else if (hit->rank > hit->rank_first)
        printf("  %s▼ %u -> %u%s", assay_style_code(ASSAY_STYLE_BAD), hit->rank_first, hit->rank,
               plain);
    else
        printf("  = %u", hit->rank);
}

static void print_found_by(const assay_hit *hit)
{
    printf("%*s%s", INDENT, "", assay_style_code(ASSAY_STYLE_DIM));
    if (hit->rank_bm25)
        printf("bm25 #%u (%.2f)", hit->rank_bm25, (double)hit->score_bm25);
    if (hit->rank_bm25 && hit->rank_dense)
        printf(", ");
    if (hit->rank_dense)
        printf("dense #%u (%.3f)", hit->rank_dense, (double)hit->score_dense);
    if (hit->reranked)
        printf("; logit %.2f", (double)hit->logit);
    if (hit->reranked && isfinite(hit->probability))
        printf(", probability %.3f", (double)hit->probability);
    if (hit->truncated)
        printf("; cut at %u tokens, its end was not seen", hit->tokens);
    if (hit->status != ASSAY_OK)
        printf("; not reranked: %s", assay_status_name(hit->status));
    printf("%s\n", assay_style_code(ASSAY_STYLE_PLAIN));
}

/* "page: yes (0.92): The table names it." */
static void print_verdicts(const assay_hit *hit, size_t stages)
{
    for (size_t i = 0; i < stages; i++) {
        const assay_hit_stage *stage = &hit->stages[i];
        if (stage->verdict == ASSAY_VERDICT_NONE)
            continue;
        printf("%*s%spage: %s", INDENT, "",
               assay_style_code(stage->verdict == ASSAY_VERDICT_YES  ? ASSAY_STYLE_GOOD
                                : stage->verdict == ASSAY_VERDICT_NO ? ASSAY_STYLE_BAD
                                                                     : ASSAY_STYLE_DIM),
               assay_verdict_name(stage->verdict));
        if (stage->scored && isfinite(stage->probability))
            printf(" (probability %.2f)", (double)stage->probability);
        if (stage->reason != NULL && stage->reason[0] != '\0') {
            printf(": ");
            assay_print_text(stdout, stage->reason, strlen(stage->reason));
        }
        printf("%s\n", assay_style_code(ASSAY_STYLE_PLAIN));
    }
}

static void print_line(const char *text, assay_style style)
{
    if (!text || !*text)
        return;
    printf("%*s%s", INDENT, "", assay_style_code(style));
    assay_print_text(stdout, text, strlen(text));
    printf("%s\n", assay_style_code(ASSAY_STYLE_PLAIN));
}

/* "id in file:offset"; a file's own id is its path. */
static void print_source(const assay_hit *hit)
{
    bool named = hit->source && *hit->source;
    printf("%*s%s", INDENT, "", assay_style_code(ASSAY_STYLE_DIM));
    if (!named || strcmp(hit->source, hit->document) != 0) {
        assay_print_text(stdout, hit->document, strlen(hit->document));
        if (named)
            printf(" in ");
    }
    if (named) {
        assay_print_text(stdout, hit->source, strlen(hit->source));
        printf(":%llu", (unsigned long long)hit->offset);
    }
    printf("%s\n", assay_style_code(ASSAY_STYLE_PLAIN));
}

static void print_hit(const assay_hit *hit, size_t stages, const assay_explanation *explanation,
                      assay_text question)
{
    const char *name = hit->title && *hit->title ? hit->title : hit->document;
    printf("%2u. %s", hit->rank, assay_style_code(ASSAY_STYLE_STRONG));
    assay_print_text(stdout, name, strlen(name));
    printf("%s", assay_style_code(ASSAY_STYLE_PLAIN));
    print_move(hit);
    putchar('\n');
    print_found_by(hit);
    print_verdicts(hit, stages);
    print_line(hit->heading, ASSAY_STYLE_PLAIN);
    print_source(hit);
    if (explanation)
        assay_explain_print(explanation, question, hit->text, INDENT);
    else
        assay_print_wrapped(hit->text.data, hit->text.length, INDENT);
    putchar('\n');
}

static void print_people(const search_settings *settings, const char *question,
                         const assay_pipeline *pipeline, const assay_result *result,
                         const assay_explanation *explanations)
{
    char words[512];
    assay_pipeline_options options;
    assay_pipeline_describe(pipeline, &options);
    for (size_t i = 0; i < result->count; i++)
        print_hit(&result->hits[i], result->stage_count, explanations ? &explanations[i] : NULL,
                  (assay_text){question, strlen(question)});
    if (result->filtered && result->allowed == 0)
        printf("The filter lets nothing of '%s' through.\n", settings->collection);
    else if (abstained(result) && result->withheld == 0)
        printf("Nothing in '%s' answers: none of the pages that were found does.\n",
               settings->collection);
    else if (abstained(result))
        printf("Nothing in '%s' answers with a probability of %g; the best reached %.3f.\n",
               settings->collection, result->least.value,
               (double)result->best_probability);
    else if (result->count == 0)
        printf("Nothing was found in '%s'%s.\n", settings->collection,
               result->filtered ? " among what the filter lets through" : "");
    printf("%s%s", assay_style_code(ASSAY_STYLE_DIM), assay_stages_words(words, &options));
    printf("; %u found in %.0f ms", result->candidates, result->first_seconds * 1e3);
    if (result->vectors == ASSAY_VECTORS_HNSW)
        printf(" (vectors by hnsw, ef %u)", options.ef);
    if (result->vectors == ASSAY_VECTORS_IVF && options.nprobe > 0)
        printf(" (vectors by ivf, nprobe %u)", options.nprobe);
    else if (result->vectors == ASSAY_VECTORS_IVF)
        printf(" (vectors by ivf)");
    if (result->filtered)
        printf(", the filter lets %llu passages through", (unsigned long long)result->allowed);
    if (result->rerank_seconds > 0)
        printf(", reranked in %.0f ms", result->rerank_seconds * 1e3);
    if (result->dropped > 0)
        printf(", %u passages dropped for their pages", result->dropped);
    if (result->spared > 0)
        printf(", %u passages were not worth it", result->spared);
    if (result->cached > 0)
        printf(", %u of %u scores from the cache", result->cached, result->scored);
    if (result->kept > 0)
        printf(", %u of %u with token vectors that were kept", result->kept, result->scored);
    if (result->tokenized > 0)
        printf(", %u passages tokenised anew", result->tokenized);
    for (size_t i = 0; i < result->stage_count; i++)
        assay_llm_print(&result->stages[i].llm);
    printf("%s\n", assay_style_code(ASSAY_STYLE_PLAIN));
    if (result->skipped.code != ASSAY_OK)
        printf("Not reranked: %s (--rerank-long does it anyway)\n",
               result->skipped.message);
    if (result->least.set && !isfinite(result->best_probability) && result->count > 0)
        printf("How probable these answers are is not known: no stage worked that tells it.\n");
}

/* ------------------------------------------------------------------- verb */

static void free_explanations(assay_explanation *explanations, size_t count)
{
    for (size_t i = 0; explanations && i < count; i++)
        assay_explanation_free(&explanations[i]);
    free(explanations);
}

static int explain_hits(assay_pipeline *pipeline, const char *question,
                        const assay_result *result, assay_explanation **out)
{
    assay_error error;
    *out = calloc(result->count + 1, sizeof **out);
    if (!*out)
        return assay_report_memory();
    for (size_t i = 0; i < result->count; i++)
        if (assay_pipeline_explain(pipeline, (assay_text){question, strlen(question)},
                                   &result->hits[i], &(*out)[i], &error) != ASSAY_OK)
            return assay_report(&error);
    return ASSAY_EXIT_OK;
}

/* Each reason once. */
static void warn_degraded(const assay_error *degraded, const char *first)
{
    if (degraded->code == ASSAY_OK ||
        (degraded->message != first && strcmp(degraded->message, first) == 0))
        return;
    bool whole = strcmp(degraded->where, "deadline") == 0 || strcmp(degraded->where, "page") == 0;
    if (whole)
        assay_warn("%s", degraded->message);
    else
        assay_warn("not reranked: %s: %s", degraded->where, degraded->message);
}

static int search_with(const search_settings *settings, assay_pipeline *pipeline,
                       const char *question)
{
    assay_error error;
    assay_result result;
    uint32_t top = settings->top ? settings->top : DEFAULT_TOP;
    if (assay_search(pipeline, (assay_text){question, strlen(question)}, top, &result, &error) !=
        ASSAY_OK)
        return assay_report(&error);
    if (result.query_truncated)
        assay_warn("the question is longer than the bi-encoder reads; its end was not seen");
    if (result.rebuilt.code != ASSAY_OK)
        assay_warn("%s: %s", result.rebuilt.where, result.rebuilt.message);
    if (result.words.code != ASSAY_OK)
        assay_warn("%s: %s; the database answered without it, and 'assay index' makes it anew",
                   result.words.where, result.words.message);
    if (result.missing.code != ASSAY_OK)
        assay_warn("%s", result.missing.message);
    for (size_t i = 0; i < result.stage_count; i++)
        if (result.stages[i].query_truncated)
            assay_warn("the question is longer than late interaction reads; its end was not seen");
    if (result.damaged > 0)
        assay_warn("damaged token vectors of %u passage%s were computed: 'assay index --rebuild' "
                   "makes them anew", result.damaged, result.damaged == 1 ? "" : "s");
    warn_degraded(&result.degraded, result.degraded.message);
    for (size_t i = 0; i < result.stage_count; i++)
        warn_degraded(&result.stages[i].degraded, result.degraded.message);
    if (result.cache.code != ASSAY_OK)
        assay_warn("%s: %s; the scores were computed without it", result.cache.where,
                   result.cache.message);
    assay_explanation *explanations = NULL;
    int code = settings->explain ? explain_hits(pipeline, question, &result, &explanations)
                                 : ASSAY_EXIT_OK;
    if (code == ASSAY_EXIT_OK && settings->common.json)
        code = print_json(settings, question, pipeline, &result, explanations);
    else if (code == ASSAY_EXIT_OK)
        print_people(settings, question, pipeline, &result, explanations);
    free_explanations(explanations, result.count);
    if (code == ASSAY_EXIT_OK && abstained(&result))
        code = ASSAY_EXIT_NO_ANSWER;
    assay_result_free(&result);
    return code;
}

static int search_store(const search_settings *settings, const assay_pipeline_options *options,
                        assay_store *store, const char *question)
{
    assay_error error;
    assay_pipeline *pipeline;
    if (assay_pipeline_open(store, settings->collection, options, &pipeline, &error) !=
        ASSAY_OK) {
        int code = assay_report(&error);
        if (!settings->stages.reranker && !settings->stages.pipeline && error.code == ASSAY_E_NOT_FOUND &&
            strstr(error.where, "cross"))
            assay_warn("without a reranker: --rerank none");
        return code;
    }
    assay_stages_warn(pipeline);
    int code = assay_pipeline_filter(pipeline, settings->filter, &error) == ASSAY_OK
                   ? search_with(settings, pipeline, question)
                   : assay_report(&error);
    assay_pipeline_close(pipeline);
    return code;
}

/* A question may be several words that nobody quoted. NULL: memory. */
static char *join_words(char **words, size_t count)
{
    size_t size = 1;
    for (size_t i = 0; i < count; i++)
        size += strlen(words[i]) + 1;
    char *text = malloc(size), *end = text;
    for (size_t i = 0; text && i < count; i++) {
        size_t length = strlen(words[i]);
        if (i > 0)
            *end++ = ' ';
        memcpy(end, words[i], length);
        end += length;
    }
    if (text)
        *end = '\0';
    return text;
}

static int run(const void *given, char **arguments, size_t count)
{
    search_settings settings = *(const search_settings *)given;
    if (!settings.collection)
        settings.collection = "default";
    assay_error error;
    assay_store *store;
    assay_stages_pipeline asked;
    int code = assay_stages_read(&settings.stages, &assay_verb_search, "cross", &asked);
    if (code != ASSAY_EXIT_OK)
        return code;
    asked.options.no_cache = settings.no_cache;
    char *question = join_words(arguments, count);
    if (!question)
        code = assay_report_memory();
    else if (assay_store_open(NULL, &(assay_store_options){.read_only = true}, &store, &error) ==
        ASSAY_OK) {
        code = search_store(&settings, &asked.options, store, question);
        assay_store_close(store);
    } else {
        code = assay_report(&error);
    }
    free(question);
    assay_pipeline_file_close(asked.file);
    return code;
}

static const assay_option options[] = {
    {"collection", ASSAY_OPTION_TEXT, offsetof(search_settings, collection), "NAME",
     "collection to search (default: default)", 0, 0},
    {"top", ASSAY_OPTION_COUNT, offsetof(search_settings, top), "N",
     "documents to show, each with its best passage (default: 5)", 1, 100000},
    {"filter", ASSAY_OPTION_TEXT, offsetof(search_settings, filter), "EXPRESSION",
     "search only documents whose metadata fulfils it", 0, 0},
    {"no-cache", ASSAY_OPTION_FLAG, offsetof(search_settings, no_cache), NULL,
     "compute all scores of the reranker, and keep none for later searches", 0, 0},
    {"explain", ASSAY_OPTION_FLAG, offsetof(search_settings, explain), NULL,
     "light the words of each passage that the question's words found by late interaction, and "
     "tell which found which", 0, 0},
    ASSAY_STAGE_OPTIONS(search_settings, "cross"),
};

static const assay_example examples[] = {
    {"assay search 'may I carry holidays over?'",
     "Retrieves 100 passages, reranks them, shows 5 and how far each moved"},
    {"assay search \"a question\" --collection scifact --retrieve 100 --top 5 --json",
     "The same for programs: every score of every stage, with timings"},
    {"assay search 'a question' --pipeline balanced", "Through the stages of a pipeline"},
    {"assay search 'error 1603' --retriever bm25 --rerank none", "Words only, in milliseconds"},
    {"assay search 'leave' --filter 'year >= 2020 and lang in (\"en\", \"de\")'",
     "Only documents whose metadata say so"},
    {NULL, NULL},
};

const assay_verb assay_verb_search = {
    .name = "search",
    .arguments = "QUESTION",
    .summary = "find the passages that answer a question",
    .description =
        "Retrieves candidate passages from a collection, reranks them with a cross-encoder, and "
        "shows the best documents, each with its best passage. The final order is a weighted "
        "sum of both stages' z-normalised scores; \"7 -> 1\" tells that reranking moved a hit "
        "from place 7 to 1.\n\n"
        "A filter compares fields of the documents' metadata (a JSONL record's further members, "
        "Markdown's front matter) with \"text\", numbers, dates (2020-05-01), true and false: "
        "=, !=, <, <=, >, >=, in (...), not in (...), exists(field), joined by and, or, not and "
        "parentheses. Or it is JSON: {\"year\": {\"$gte\": 2020}, \"lang\": \"en\"}, with $eq, $ne, "
        "$lt, $lte, $gt, $gte, $in, $nin, $exists, $and, $or, $not, and {\"$date\": "
        "\"2020-05-01\"} for a date.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(search_settings),
    .arguments_min = 1,
    .arguments_max = SIZE_MAX,
    .run = run,
};
