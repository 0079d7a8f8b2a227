/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_search.c: searching a collection: by a pipeline by name, with a filter, explained.
 *
 * A search that is to be recorded asks for ASSAY_RECORDED_HITS documents and shows what
 * was asked for: of the others the record keeps where they stood. Where two pipelines are
 * on trial, it is answered by both at once, or by the one that its session falls to; not
 * so one that names its pipeline or wants explanations.
 */
#include "server/own.h"

#include <math.h>
#include <string.h>

#include "server/recording.h"

enum { TOP = 5, MOST_TOP = 10000, MOST_EXPLAINED = 100, SESSION_BYTES = 1024 };

static bool no_collection(assay_call *call, const char *name)
{
    return assay_call_fail(call, ASSAY_FAULT_MODEL, "collection",
                           "there is no collection '%.100s' here; GET /v1/collections lists those "
                           "there are", name);
}

bool assay_own_collection(assay_call *call, const char *name)
{
    return assay_shelf_has(call->server->shelf, name) || no_collection(call, name);
}

/* ---- What is asked ------------------------------------------------------------------- */

static bool read_session(assay_call *call)
{
    const char *session = "";
    if (!assay_call_name(call, "session", &session))
        return false;
    if (strlen(session) > SESSION_BYTES)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "session",
                               "session: at most %d bytes, found %zu", SESSION_BYTES,
                               strlen(session));
    call->session = session[0] != '\0' ? session : NULL;
    return true;
}

/* By both of the trial's, or by one of them. */
static assay_lane *trial_lane(assay_call *call, const assay_shelved *shelved,
                              const assay_contest *c)
{
    bool second = c->split && assay_recording_side(call->server, call->session);
    call->trial = c->split ? ASSAY_TRIAL_SPLIT : ASSAY_TRIAL_INTERLEAVED;
    call->pipeline = assay_shelved_pipeline(shelved, c->both[second]);
    call->rival = assay_shelved_pipeline(shelved, c->both[!second]);
    return c->split ? assay_shelved_lane(shelved, c->both[second]) : assay_shelved_trial(shelved);
}

static bool choose_lane(assay_call *call, const assay_shelved *shelved)
{
    const assay_contest contest = assay_shelved_contest(shelved);
    const char *name = NULL;
    size_t pipeline = 0;
    bool tried = contest.any && (call->sampled || contest.split); /* sides are kept to */
    if (!assay_call_name(call, "pipeline", &name))
        return false;
    if (name == NULL && tried && call->job.explain == 0) {
        call->job.lane = trial_lane(call, shelved, &contest);
        return true;
    }
    if (name != NULL)
        pipeline = assay_shelved_find(shelved, name);
    if (pipeline == ASSAY_NO_PIPELINE)
        return assay_call_fail(call, ASSAY_FAULT_MODEL, "pipeline",
                               "there is no pipeline '%.60s' here; GET /v1/collections lists "
                               "those there are", name);
    call->pipeline = assay_shelved_pipeline(shelved, pipeline);
    call->job.lane = assay_shelved_lane(shelved, pipeline);
    return true;
}

/* In words, or as an object, which the engine reads as text, too. */
static bool read_filter(assay_call *call)
{
    const json_t *value = json_object_get(call->json, "filter");
    if (value != NULL && !json_is_null(value) && !json_is_string(value) && !json_is_object(value))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "filter",
                               "filter: expected a string or an object");
    if (json_is_object(value)) {
        char *text = json_dumps(value, JSON_COMPACT);
        json_t *string = text != NULL ? json_string(text) : NULL;
        free(text);
        if (json_object_set_new(call->json, "filter", string) != 0)
            return assay_call_fail_memory(call);
    }
    return assay_call_name(call, "filter", &call->job.filter);
}

bool assay_search_in(assay_call *call, const char *name)
{
    uint64_t top = TOP;
    bool explain = false, record = true;
    if (!assay_call_text(call, "query", true, &call->job.query) ||
        !assay_call_count(call, call->json, "top", 1, MOST_TOP, &top) ||
        !read_filter(call) ||
        !assay_call_number(call, "min_probability", 0, 1, &call->job.least) ||
        !assay_call_flag(call, call->json, "explain", &explain) ||
        !assay_call_flag(call, call->json, "record", &record) || !read_session(call))
        return false;
    if ((call->shelved = assay_shelf_take(call->server->shelf, name)) == NULL)
        return no_collection(call, name);
    if (call->job.query.length == 0)
        return assay_call_fail(call, ASSAY_FAULT_EMPTY, "query", "`query` cannot be empty");
    call->sampled = record && assay_recording_draw(call->server);
    call->shown = (size_t)top;
    call->collection = assay_shelved_name(call->shelved);
    call->job.explain = !explain ? 0 : top < MOST_EXPLAINED ? (uint32_t)top : MOST_EXPLAINED;
    call->job.top = call->sampled && top < ASSAY_RECORDED_HITS ? ASSAY_RECORDED_HITS
                                                               : (uint32_t)top;
    call->job.count = 1;
    return choose_lane(call, call->shelved) && assay_call_submit(call);
}

bool assay_search_begin(assay_call *call)
{
    const char *name = "default";
    return assay_call_name(call, "collection", &name) && assay_search_in(call, name);
}

/* ---- The order answered ----------------------------------------------------------------- */

static bool take_plain(assay_call *call)
{
    const assay_result *result = &call->job.results[0];
    call->hits = assay_call_keep(call, result->count * sizeof *call->hits);
    if (call->hits == NULL)
        return false;
    for (size_t i = 0; i < result->count; i++)
        call->hits[i] = (assay_answer_hit){&result->hits[i], false};
    call->hit_count = result->count;
    return true;
}

static const char **documents_of(assay_call *call, const assay_result *result)
{
    const char **names = assay_call_keep(call, result->count * sizeof *names);
    for (size_t i = 0; names != NULL && i < result->count; i++)
        names[i] = result->hits[i].document;
    return names;
}

/* Both results as one list. */
static bool take_interleaved(assay_call *call)
{
    const assay_result *both = call->job.results;
    const char **first = documents_of(call, &both[0]), **second = documents_of(call, &both[1]);
    size_t most = both[0].count + both[1].count;
    assay_pick *picks = assay_call_keep(call, most * sizeof *picks);
    call->hits = assay_call_keep(call, most * sizeof *call->hits);
    if (first == NULL || second == NULL || picks == NULL || call->hits == NULL)
        return false;
    if (assay_interleave(first, both[0].count, second, both[1].count, most,
                         assay_recording_random(call->server), picks, &call->hit_count,
                         NULL) != ASSAY_OK)
        return assay_call_fail_memory(call);
    for (size_t i = 0; i < call->hit_count; i++)
        call->hits[i] = (assay_answer_hit){&both[picks[i].second].hits[picks[i].place],
                                           picks[i].second};
    return true;
}

/* ---- The answer --------------------------------------------------------------------------- */

static void write_rank(assay_writer *out, const char *rank_name, uint32_t rank,
                       const char *score_name, float score)
{
    assay_write_name(out, rank_name);
    if (rank > 0)
        assay_write_count(out, rank);
    else
        assay_write_null(out);
    assay_write_name(out, score_name);
    assay_write_float(out, score);
}

static void write_reranked(assay_writer *out, const assay_hit *hit)
{
    assay_write_name(out, "reranked");
    assay_write_bool(out, hit->reranked);
    assay_write_name(out, "logit");
    assay_write_float(out, hit->reranked ? hit->logit : NAN);
    assay_write_name(out, "probability");
    assay_write_float(out, hit->reranked ? hit->probability : NAN);
    assay_write_name(out, "truncated");
    assay_write_bool(out, hit->reranked && hit->truncated);
}

static void write_verdict(assay_writer *out, const assay_hit_stage *stage)
{
    assay_write_name(out, "verdict");
    assay_write_string(out, assay_verdict_name(stage->verdict));
    assay_write_name(out, "probability");
    assay_write_float(out, stage->scored ? stage->probability : NAN);
    assay_write_name(out, "reason");
    assay_write_string(out, stage->reason);
}

static void write_stages(assay_writer *out, const assay_hit *hit, size_t count)
{
    assay_write_name(out, "stages");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < count; i++) {
        const assay_hit_stage *stage = &hit->stages[i];
        assay_write_mark(out, '{');
        write_rank(out, "rank", stage->rank, "score", stage->score);
        assay_write_name(out, "scored");
        assay_write_bool(out, stage->scored);
        assay_write_name(out, "logit");
        assay_write_float(out, stage->scored ? stage->logit : NAN);
        if (stage->verdict != ASSAY_VERDICT_NONE)
            write_verdict(out, stage);
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
}

static void write_match(assay_writer *out, const assay_match *match)
{
    const struct {
        const char *name;
        uint32_t value;
    } places[] = {{"query_begin", match->query_begin}, {"query_end", match->query_end},
                  {"begin", match->begin}, {"end", match->end}};
    assay_write_mark(out, '{');
    assay_write_name(out, "query_token");
    assay_write_string(out, match->query_token);
    assay_write_name(out, "token");
    assay_write_string(out, match->token);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assay_write_name(out, places[i].name);
        assay_write_count(out, places[i].value);
    }
    assay_write_name(out, "in_title");
    assay_write_bool(out, match->in_title);
    assay_write_name(out, "similarity");
    assay_write_float(out, match->similarity);
    assay_write_mark(out, '}');
}

static void write_explanation(assay_writer *out, const assay_explanation *explanation)
{
    assay_write_name(out, "explanation");
    assay_write_mark(out, '{');
    assay_write_name(out, "score");
    assay_write_float(out, explanation->score);
    assay_write_name(out, "matches");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < explanation->count; i++)
        write_match(out, &explanation->matches[i]);
    assay_write_mark(out, ']');
    assay_write_mark(out, '}');
}

static void write_hit(assay_writer *out, const assay_hit *hit, uint32_t rank, size_t stages,
                      const assay_explanation *explanation)
{
    const struct {
        const char *name, *value;
    } names[] = {{"document", hit->document}, {"title", hit->title},
                 {"heading", hit->heading}, {"source", hit->source}};
    assay_write_mark(out, '{');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assay_write_name(out, names[i].name);
        assay_write_string(out, names[i].value);
    }
    assay_write_name(out, "text");
    assay_write_text(out, hit->text);
    assay_write_name(out, "offset");
    assay_write_count(out, hit->offset);
    assay_write_name(out, "passage");
    assay_write_count(out, hit->passage);
    write_rank(out, "rank", rank, "score", hit->score);
    write_rank(out, "rank_first", hit->rank_first, "score_first", hit->score_first);
    write_rank(out, "rank_bm25", hit->rank_bm25, "score_bm25", hit->score_bm25);
    write_rank(out, "rank_dense", hit->rank_dense, "score_dense", hit->score_dense);
    write_reranked(out, hit);
    write_stages(out, hit, stages);
    if (explanation != NULL)
        write_explanation(out, explanation);
    assay_write_mark(out, '}');
}

static void write_hits(assay_call *call)
{
    const assay_job *job = &call->job;
    assay_writer *out = &call->out;
    assay_write_name(out, "hits");
    assay_write_mark(out, '[');
    if (call->shown > call->hit_count)
        call->shown = call->hit_count;
    for (size_t i = 0; i < call->shown; i++)
        write_hit(out, call->hits[i].hit, (uint32_t)i + 1,
                  job->results[call->hits[i].second].stage_count,
                  job->explanations != NULL && i < job->explain ? &job->explanations[i] : NULL);
    assay_write_mark(out, ']');
}

static void write_reason(assay_writer *out, const char *name, const assay_error *reason)
{
    assay_write_name(out, name);
    assay_write_string(out, reason->code != ASSAY_OK ? reason->message : NULL);
}

static void write_times(const assay_call *call, assay_writer *out)
{
    const assay_job *job = &call->job;
    const assay_result *both = job->results;
    assay_write_name(out, "latency_ms");
    assay_write_mark(out, '{');
    assay_write_name(out, "queue");
    assay_write_double(out, (job->begun_at - job->queued_at) * 1e3);
    assay_write_name(out, "first");
    assay_write_double(out, (both[0].first_seconds + both[1].first_seconds) * 1e3);
    assay_write_name(out, "rerank");
    assay_write_double(out, (both[0].rerank_seconds + both[1].rerank_seconds) * 1e3);
    assay_write_name(out, "stages");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < both[0].stage_count; i++)
        assay_write_double(out, both[0].stages[i].seconds * 1e3);
    assay_write_mark(out, ']');
    assay_write_mark(out, '}');
}

static void write_origin(const assay_call *call, assay_writer *out)
{
    assay_write_name(out, "search");
    assay_write_string(out, call->id);
    assay_write_name(out, "recorded");
    assay_write_bool(out, call->sampled);
    assay_write_name(out, "pipeline");
    assay_write_string(out, call->pipeline);
    assay_write_name(out, "interleaved_with");
    assay_write_string(out, call->trial == ASSAY_TRIAL_INTERLEAVED ? call->rival : NULL);
}

/* Only where a probability is asked for, of the first result. */
static void write_probability(const assay_call *call, assay_writer *out)
{
    const assay_result *result = &call->job.results[0];
    if (!result->least.set)
        return;
    assay_write_name(out, "probability");
    assay_write_mark(out, '{');
    assay_write_name(out, "least");
    assay_write_double(out, result->least.value);
    assay_write_name(out, "best");
    assay_write_float(out, result->best_probability);
    assay_write_name(out, "withheld");
    assay_write_count(out, result->withheld);
    assay_write_name(out, "abstained");
    assay_write_bool(out, call->hit_count == 0 && result->withheld + result->dropped > 0);
    assay_write_mark(out, '}');
}

static void write_work(const assay_result *result, assay_writer *out)
{
    assay_write_name(out, "candidates");
    assay_write_count(out, result->candidates);
    assay_write_name(out, "allowed");
    if (result->filtered)
        assay_write_count(out, result->allowed);
    else
        assay_write_null(out);
    write_reason(out, "filter_missing", &result->missing);
    assay_write_name(out, "query_truncated");
    assay_write_bool(out, result->query_truncated);
    write_reason(out, "degraded", &result->degraded);
    write_reason(out, "rerank_skipped", &result->skipped);
    assay_write_name(out, "scored");
    assay_write_count(out, result->scored);
    assay_write_name(out, "cached");
    assay_write_count(out, result->cached);
}

bool assay_search_finish(assay_call *call)
{
    assay_writer *out = &call->out;
    const assay_job *job = &call->job;
    if (job->outcome == ASSAY_OUTCOME_FAILED && job->error.code == ASSAY_E_FORMAT)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "filter", "%s: %s", job->error.where,
                               job->error.message);
    if (job->outcome == ASSAY_OUTCOME_FAILED &&
        strcmp(job->error.where, "min_probability") == 0)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "min_probability", "%s: %s",
                               job->error.where, job->error.message);
    if (!assay_call_check(call))
        return false;
    if (!(call->trial == ASSAY_TRIAL_INTERLEAVED ? take_interleaved(call) : take_plain(call)))
        return false;
    assay_write_mark(out, '{');
    write_origin(call, out);
    write_hits(call);
    write_work(&job->results[0], out);
    write_probability(call, out);
    write_times(call, out);
    assay_write_mark(out, '}');
    return true;
}
