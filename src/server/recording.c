/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recording.c: see recording.h.
 *
 * An event is assay's own, {"search", "type", "document" or "position", "seconds"}, or
 * one of OpenSearch's User Behavior Insights (UBI 1.x): action_name, query_id,
 * event_attributes.object.object_id, event_attributes.position.ordinal. Of UBI's many
 * action names those that open a document count as a click; unknown ones are passed
 * over, as an application logs more than what concerns a ranking.
 */
#include "server/recording.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "server/clerk.h"
#include "server/http.h"

enum {
    WAITING = 1024,     /* most calls before the clerk */
    REPORTS = 16,       /* before the one that reads */
    MOST_EVENTS = 1000, /* of a request */
    REPORTED = 20000,   /* most searches that a report looks into */
};

struct assay_recording {
    assay_feedback *feedback, *read;
    assay_clerk *clerk, *reader; /* of the second of these: a report takes seconds */
    double share;
    uint64_t seed;
    atomic_uint_fast64_t draws;
    pthread_mutex_t lock;
    assay_recording_counts counts;
    bool complained; /* once is enough */
};

/* ---- Opening -------------------------------------------------------------------------- */

static assay_status open_feedback(assay_recording *r, const assay_serve_options *o,
                                  assay_error *error)
{
    const assay_feedback_options options = {.keep_text = o->record_text,
                                            .keep_days = o->record_days};
    assay_store *store;
    assay_status status =
        assay_store_open(NULL, &(assay_store_options){.create = true}, &store, error);
    if (status != ASSAY_OK) /* the data directory cannot be made, or written */
        return status;
    assay_store_close(store);
    status = assay_feedback_open(NULL, &options, &r->feedback, error);
    if (status == ASSAY_OK)
        status = assay_feedback_open(NULL, &(assay_feedback_options){.read_only = true}, &r->read,
                                     error);
    return status;
}

assay_status assay_recording_open(assay_server *server, assay_error *error)
{
    assay_recording *r = calloc(1, sizeof *r);
    if (r == NULL) {
        *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
        return ASSAY_E_MEMORY;
    }
    pthread_mutex_init(&r->lock, NULL);
    r->share = server->options.record;
    if (getrandom(&r->seed, sizeof r->seed, GRND_NONBLOCK) != sizeof r->seed)
        r->seed = (uint64_t)server->started_at;
    assay_status status = open_feedback(r, &server->options, error);
    if (status == ASSAY_OK && ((r->clerk = assay_clerk_open(WAITING)) == NULL ||
                               (r->reader = assay_clerk_open(REPORTS)) == NULL)) {
        *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
        status = ASSAY_E_MEMORY;
    }
    if (status != ASSAY_OK) {
        assay_recording_close(r);
        return status;
    }
    server->recording = r;
    return ASSAY_OK;
}

void assay_recording_end(assay_recording *r)
{
    if (r == NULL)
        return;
    assay_clerk_end(r->clerk);
    assay_clerk_end(r->reader);
}

void assay_recording_close(assay_recording *r)
{
    if (r == NULL)
        return;
    assay_clerk_close(r->clerk);
    assay_clerk_close(r->reader);
    assay_feedback_close(r->feedback);
    assay_feedback_close(r->read);
    free(r);
}

void assay_recording_look(assay_recording *r, assay_recording_counts *out)
{
    pthread_mutex_lock(&r->lock);
    *out = r->counts;
    pthread_mutex_unlock(&r->lock);
}

/* ---- Chance ----------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t assay_recording_random(assay_server *server)
{
    assay_recording *r = server->recording;
    return mixed(r->seed + (atomic_fetch_add(&r->draws, 1) + 1) * UINT64_C(0x9E3779B97F4A7C15));
}

bool assay_recording_draw(assay_server *server)
{
    if (server->recording == NULL)
        return false;
    double drawn = (double)(assay_recording_random(server) >> 11) * 0x1p-53; /* [0, 1) */
    return drawn < server->recording->share;
}

/* FNV-1a: the same side after a restart, and on every server. */
bool assay_recording_side(assay_server *server, const char *session)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    if (session == NULL)
        return assay_recording_random(server) & 1;
    for (const char *c = session; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001B3);
    return mixed(hash) & 1;
}

/* ---- Searches ------------------------------------------------------------------------------ */

static void count_record(assay_recording *r, bool kept, const assay_error *problem)
{
    pthread_mutex_lock(&r->lock);
    r->counts.recorded += kept;
    r->counts.dropped += problem != NULL;
    bool complain = problem != NULL && !r->complained;
    r->complained = r->complained || complain;
    pthread_mutex_unlock(&r->lock);
    if (complain)
        fprintf(stderr, "assay: a search was not recorded: %s: %s\n", problem->where,
                problem->message);
}

/* What a search of a collection answered. */
static void read_search(const assay_call *call, assay_answered *out, assay_answered_hit *hits)
{
    for (size_t i = 0; i < call->hit_count; i++) {
        const assay_hit *hit = call->hits[i].hit;
        hits[i] = (assay_answered_hit){hit->document, hit->rank_first, hit->reranked,
                                       call->hits[i].second};
        out->truncated += hit->reranked && hit->truncated;
        out->scored += hit->reranked;
    }
    out->count = call->hit_count;
    out->shown = call->shown;
    out->query = call->job.query;
    for (int i = 0; i < 2; i++) { /* the second is empty, but in a comparison */
        const assay_result *result = &call->job.results[i];
        out->degraded |= result->degraded.code != ASSAY_OK;
        out->first_seconds += result->first_seconds;
        out->rerank_seconds += result->rerank_seconds;
    }
}

/* Documents that came with the request are known by their places in it. */
static void read_ranking(const assay_call *call, assay_answered *out, assay_answered_hit *hits,
                         char (*names)[24])
{
    for (size_t i = 0; i < call->ranking.count; i++) {
        size_t document = call->ranking.order[i];
        snprintf(names[i], sizeof names[i], "%zu", document);
        hits[i] = (assay_answered_hit){names[i], (uint32_t)document + 1, true, false};
    }
    out->count = call->ranking.count;
    out->shown = call->ranking.shown;
    out->query = call->pairs[0].query;
    out->scored = (uint32_t)call->ranking.count;
    out->truncated = call->job.truncated;
    out->pipeline = call->model->name;
    out->rerank_seconds = call->job.done_at - call->job.begun_at;
}

static void record(assay_call *call)
{
    assay_recording *r = call->server->recording;
    bool ranking = call->hits == NULL;
    size_t count = ranking ? call->ranking.count : call->hit_count;
    assay_answered answered = {.search = call->id, .collection = call->collection,
                               .pipeline = call->pipeline, .rival = call->rival,
                               .trial = call->trial, .session = call->session};
    assay_answered_hit *hits = calloc(count + 1, sizeof *hits);
    char(*names)[24] = calloc(ranking ? count + 1 : 1, sizeof *names);
    assay_error error = {.where = "feedback", .message = "out of memory"};
    bool kept = false;
    if (hits != NULL && names != NULL) {
        if (ranking)
            read_ranking(call, &answered, hits, names);
        else
            read_search(call, &answered, hits);
        answered.hits = hits;
        if (assay_feedback_search(r->feedback, &answered, &kept, &error) == ASSAY_OK)
            snprintf(error.message, sizeof error.message, "another has the id %s", call->id);
    }
    count_record(r, kept, kept ? NULL : &error);
    free(hits);
    free(names);
    assay_http_free(call);
}

bool assay_recording_take(assay_call *call)
{
    static const assay_error busy = {.where = "feedback", .message = "too many wait"};
    assay_recording *r = call->server->recording;
    if (r == NULL || call->fault != ASSAY_FAULT_NONE || !call->submitted)
        return false;
    bool wanted = call->hits != NULL ? call->sampled
                                     : call->ranking.order != NULL &&
                                           assay_recording_draw(call->server);
    if (!wanted)
        return false;
    if (assay_clerk_give(r->clerk, call, record))
        return true;
    count_record(r, false, &busy);
    return false;
}

/* ---- Events ---------------------------------------------------------------------------------- */

typedef struct parsed_events {
    size_t count, ignored;
    size_t *places;      /* [count] in what came */
    bool *known;         /* [count] */
    assay_event list[];
} parsed_events;

/* The kind that a name stands for; ASSAY_EVENT_KINDS: none. */
static assay_event_kind kind_of(const char *name)
{
    static const char *const opening[] = {"click", "item_click", "product_click", "on_click",
                                          "view", "watch", "add_to_cart", "purchase",
                                          "conversion"};
    for (int kind = 0; kind < ASSAY_EVENT_KINDS; kind++)
        if (strcmp(name, assay_event_name((assay_event_kind)kind)) == 0)
            return (assay_event_kind)kind;
    for (size_t i = 0; i < sizeof opening / sizeof *opening; i++)
        if (strcasecmp(name, opening[i]) == 0)
            return ASSAY_EVENT_CLICK;
    return ASSAY_EVENT_KINDS;
}

/* A string member that may be missing. */
static bool read_name(assay_call *call, const json_t *object, const char *name, const char **out)
{
    const json_t *value = json_object_get(object, name);
    *out = json_string_value(value);
    if (*out != NULL && strlen(*out) != json_string_length(value))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s: has a zero in it", name);
    if (value == NULL || json_is_null(value) || *out != NULL)
        return true;
    return assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s: expected a string", name);
}

static bool read_position(assay_call *call, const json_t *object, const char *name,
                          assay_event *out)
{
    uint64_t position = 0;
    if (!assay_call_count(call, object, name, 1, 1000, &position))
        return false;
    out->position = (uint32_t)position;
    return true;
}

/* Milliseconds since 1970, out of a number of them or of ISO 8601 in UTC. */
static bool read_time(assay_call *call, const json_t *object, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(object, name);
    const char *text = json_string_value(value);
    struct tm utc = {0};
    double number = json_number_value(value);
    const char *end = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &utc) : NULL;
    if (value == NULL || json_is_null(value))
        return true;
    if (json_is_number(value) && number >= 0 && number < 1e14)
        *out = (int64_t)number;
    else if (end != NULL)
        *out = (int64_t)timegm(&utc) * 1000;
    else
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name, "%s: expected milliseconds since "
                               "1970, or 2026-01-31T12:00:00Z", name);
    return true;
}

static bool read_own(assay_call *call, const json_t *object, assay_event *out)
{
    const char *type;
    if (!read_name(call, object, "search", &out->search) ||
        !read_name(call, object, "type", &type) ||
        !read_name(call, object, "document", &out->document) ||
        !read_position(call, object, "position", out) ||
        !read_time(call, object, "time", &out->at))
        return false;
    const json_t *seconds = json_object_get(object, "seconds");
    out->seconds = json_number_value(seconds);
    out->kind = type != NULL ? kind_of(type) : ASSAY_EVENT_KINDS;
    if (out->kind == ASSAY_EVENT_KINDS)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "type", "type: expected impression, "
                               "click, dwell, reformulation, up or down");
    return true;
}

static bool read_ubi(assay_call *call, const json_t *object, const char *action,
                     assay_event *out)
{
    const json_t *attributes = json_object_get(object, "event_attributes");
    const json_t *thing = json_object_get(attributes, "object");
    const json_t *position = json_object_get(attributes, "position");
    out->kind = kind_of(action);
    if (out->kind == ASSAY_EVENT_KINDS)
        return true;
    if (!read_name(call, object, "query_id", &out->search) ||
        !read_name(call, thing, "object_id", &out->document) ||
        !read_position(call, position, "ordinal", out) ||
        !read_time(call, object, "timestamp", &out->at))
        return false;
    const json_t *dwell = json_object_get(attributes, "dwell_time");
    out->seconds = json_number_value(dwell);
    if (out->search == NULL) /* an event of no search */
        out->kind = ASSAY_EVENT_KINDS;
    return true;
}

static bool read_event(assay_call *call, const json_t *object, assay_event *out)
{
    const char *action = NULL;
    *out = (assay_event){0};
    if (!json_is_object(object))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "events", "expected objects");
    if (!read_name(call, object, "action_name", &action))
        return false;
    bool fine = action != NULL ? read_ubi(call, object, action, out)
                               : read_own(call, object, out);
    if (!fine || out->kind == ASSAY_EVENT_KINDS)
        return fine;
    if (out->search == NULL || out->search[0] == '\0' || strlen(out->search) > 128)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "search",
                               "search: expected the id that the search's answer had");
    if (out->kind != ASSAY_EVENT_REFORMULATION && out->document == NULL && out->position == 0)
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "document",
                               "an event needs a document or its position");
    return true;
}

/* Of which event the fault is. */
static void tell_place(assay_call *call, size_t i)
{
    char message[400];
    snprintf(message, sizeof message, "%.399s", call->message);
    snprintf(call->message, sizeof call->message, "event %zu: %s", i, message);
}

static parsed_events *read_events(assay_call *call, const json_t *list, size_t count)
{
    parsed_events *events = assay_call_keep(call, sizeof *events + count * sizeof(assay_event));
    size_t *places = assay_call_keep(call, count * sizeof *places);
    bool *known = assay_call_keep(call, count * sizeof *known);
    if (events == NULL || places == NULL || known == NULL)
        return NULL;
    *events = (parsed_events){.places = places, .known = known};
    for (size_t i = 0; i < count; i++) {
        const json_t *one = list != NULL ? json_array_get(list, i) : call->json;
        assay_event *event = &events->list[events->count];
        places[events->count] = i;
        if (!read_event(call, one, event)) {
            tell_place(call, i);
            return NULL;
        }
        events->ignored += event->kind == ASSAY_EVENT_KINDS;
        events->count += event->kind != ASSAY_EVENT_KINDS;
    }
    return events;
}

static size_t count_events(assay_recording *r, const parsed_events *events)
{
    size_t unknown = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < events->count; i++) {
        r->counts.events[events->list[i].kind] += events->known[i];
        unknown += !events->known[i];
    }
    r->counts.unknown += unknown;
    pthread_mutex_unlock(&r->lock);
    return unknown;
}

static void take_events(assay_call *call)
{
    assay_recording *r = call->server->recording;
    const parsed_events *events = call->work;
    assay_error error;
    size_t failed = 0;
    assay_status status = assay_feedback_events(r->feedback, events->list, events->count,
                                                events->known, &failed, &error);
    if (status == ASSAY_E_ARGUMENT)
        assay_call_fail(call, ASSAY_FAULT_FIELD, error.where, "event %zu: %s",
                        events->places[failed], error.message);
    else if (status != ASSAY_OK)
        assay_call_fail(call, ASSAY_FAULT_INTERNAL, NULL, "%s: %s", error.where, error.message);
    if (status != ASSAY_OK)
        return;
    size_t unknown = count_events(r, events);
    assay_write_format(&call->out, "{\"recorded\":%zu,\"unknown\":%zu,\"ignored\":%zu}",
                       events->count - unknown, unknown, events->ignored);
}

static bool nothing_recorded(assay_call *call)
{
    return assay_call_fail(call, ASSAY_FAULT_MODEL, NULL, "nothing is recorded here; assay serve "
                           "--record 1 does");
}

bool assay_events_begin(assay_call *call)
{
    const json_t *list = json_is_array(call->json) ? call->json
                                                   : json_object_get(call->json, "events");
    size_t count = list != NULL ? json_array_size(list) : 1;
    if (list != NULL && !json_is_array(list))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, "events", "events: expected a list");
    if (count > MOST_EVENTS)
        return assay_call_fail(call, ASSAY_FAULT_TOO_MANY, "events",
                               "%zu events, at most %d are taken at a time", count, MOST_EVENTS);
    if ((call->work = read_events(call, list, count)) == NULL)
        return false;
    if (call->server->recording == NULL)
        return nothing_recorded(call);
    return assay_clerk_ask(call->server->recording->clerk, call, take_events);
}

bool assay_recording_finish(assay_call *call)
{
    (void)call; /* the clerk has written the answer */
    return true;
}

/* ---- The report -------------------------------------------------------------------------------- */

static void write_report(assay_call *call)
{
    assay_error error;
    assay_feedback_report report;
    char *text = NULL;
    assay_status status =
        assay_feedback_sum(call->server->recording->read, call->work, &report, &error);
    if (status == ASSAY_OK) {
        status = assay_feedback_report_json(&report, &text, &error);
        assay_feedback_report_free(&report);
    }
    if (status == ASSAY_OK)
        assay_write(&call->out, text);
    else
        assay_call_fail(call, ASSAY_FAULT_INTERNAL, NULL, "%s: %s", error.where, error.message);
    assay_free(text);
}

/* A whole number in the address; 0 where it is not said. */
static bool read_number(assay_call *call, const char *name, unsigned long most, uint32_t *out)
{
    const char *text = assay_call_parameter(call, name);
    char *end = NULL;
    unsigned long value = text != NULL ? strtoul(text, &end, 10) : 0;
    if (text != NULL && (*text < '0' || *text > '9' || *end != '\0' || value > most))
        return assay_call_fail(call, ASSAY_FAULT_FIELD, name,
                               "%s: expected a whole number of at most %lu", name, most);
    *out = (uint32_t)value;
    return true;
}

/* The address is the connection's: it stays as long as the call waits. */
bool assay_report_begin(assay_call *call)
{
    assay_report_options *options = assay_call_keep(call, sizeof *options);
    if (options == NULL)
        return false;
    *options = (assay_report_options){.collection = assay_call_parameter(call, "collection"),
                                      .pipeline = assay_call_parameter(call, "pipeline"),
                                      .read = REPORTED};
    if (!read_number(call, "days", 36500, &options->days) ||
        !read_number(call, "top", 1000, &options->top))
        return false;
    if (call->server->recording == NULL)
        return nothing_recorded(call);
    call->work = options;
    return assay_clerk_ask(call->server->recording->reader, call, write_report);
}
