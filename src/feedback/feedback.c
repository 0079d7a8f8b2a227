/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feedback.c: searches and events into the record.
 *
 * A question is known by SHA-256 of the file's key and the question's words, in lower
 * case and parted by single spaces, cut to 16 bytes; a session by that of its name. A
 * reformulation is a question of the same session, WINDOW after another, of other words
 * of which half (of the shorter one's) are shared; what is compared is hashes of words
 * that are in memory only, of the last 256 searches.
 *
 * How the order changed is worked out here, once: the first place that changed, and
 * Kendall's tau over what was reranked. A report sums up.
 */
#include "feedback/feedback.h"

#include <jansson.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

enum {
    WINDOW_MS = 120000,
    KEEP_DAYS = 90,
    DAY_MS = 86400000,
    PRUNE_MS = 3600000, /* not more often */
    ID_BYTES = 128,
    NAME_BYTES = 1024,
    TEXT_BYTES = 8192,  /* kept of a question */
};

int64_t assay_feedback_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Opening ----------------------------------------------------------------------- */

assay_status assay_feedback_open(const char *home, const assay_feedback_options *options,
                                 assay_feedback **out, assay_error *error)
{
    static const assay_feedback_options defaults;
    char path[4096];
    if (home == NULL) {
        ASSAY_TRY(assay_home(path, sizeof path, error));
        home = path;
    }
    assay_feedback *feedback = calloc(1, sizeof *feedback);
    if (feedback == NULL)
        return assay_fail_memory(error, sizeof *feedback);
    feedback->options = options != NULL ? *options : defaults;
    if (feedback->options.keep_days == 0)
        feedback->options.keep_days = KEEP_DAYS;
    assay_buffer_init(&feedback->text, 0);
    assay_status status =
        assay_event_log_open(home, feedback->options.read_only, &feedback->log, error);
    if (status != ASSAY_OK) {
        assay_feedback_close(feedback);
        return status;
    }
    *out = feedback;
    return ASSAY_OK;
}

void assay_feedback_close(assay_feedback *feedback)
{
    if (feedback == NULL)
        return;
    assay_event_log_close(feedback->log);
    assay_buffer_free(&feedback->text);
    free(feedback);
}

/* ---- Words --------------------------------------------------------------------------- */

static bool in_word(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

/* The next word of the text from *at on, in lower case (ASCII's) onto the buffer. */
static bool next_word(assay_text text, size_t *at, assay_buffer *out)
{
    while (*at < text.length && !in_word((unsigned char)text.data[*at]))
        ++*at;
    size_t begin = *at;
    for (; *at < text.length && in_word((unsigned char)text.data[*at]); ++*at) {
        char c = text.data[*at];
        assay_buffer_byte(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
    return *at > begin;
}

/* The text's words onto the buffer, and, where asked for, their hashes. */
static void read_words(assay_text text, assay_buffer *out, assay_recent *recent)
{
    for (size_t at = 0;;) {
        size_t begin = out->length;
        if (!next_word(text, &at, out))
            return;
        if (recent != NULL && recent->count < ASSAY_WORDS && out->failed == ASSAY_OK)
            recent->words[recent->count++] =
                assay_hash64(out->data + begin, out->length - begin);
        assay_buffer_byte(out, ' ');
    }
}

static bool has_word(const assay_recent *recent, uint64_t word)
{
    for (size_t i = 0; i < recent->count; i++)
        if (recent->words[i] == word)
            return true;
    return false;
}

/* Other words, half of which are shared. */
static bool reformulates(const assay_recent *later, const assay_recent *earlier)
{
    size_t shared = 0, less = later->count < earlier->count ? later->count : earlier->count;
    for (size_t i = 0; i < later->count; i++)
        shared += has_word(earlier, later->words[i]);
    bool same = shared == later->count && later->count == earlier->count;
    return less > 0 && !same && 2 * shared >= less;
}

/* SHA-256 of the key and what is in the buffer, cut. */
static assay_status keyed_digest(const assay_feedback *feedback, const char *data, size_t length,
                                 assay_digest *out, assay_error *error)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(context, assay_event_log_secret(feedback->log),
                                 ASSAY_LOG_KEY) == 1 &&
                EVP_DigestUpdate(context, data, length) == 1 &&
                EVP_DigestFinal_ex(context, hash, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!done)
        return assay_fail(error, ASSAY_E_INTERNAL, "feedback", "SHA-256 failed");
    memcpy(out->bytes, hash, sizeof out->bytes);
    return ASSAY_OK;
}

/* ---- How the order changed -------------------------------------------------------------- */

static uint32_t first_change(const assay_answered *answered)
{
    for (size_t i = 0; i < answered->count; i++)
        if (answered->hits[i].rank_first != i + 1)
            return (uint32_t)i + 1;
    return 0;
}

/* Kendall's tau (1938) between the order given and that before, over what was reranked. */
static double correlation_of(const assay_answered *answered)
{
    int64_t agree = 0, pairs = 0;
    size_t count = answered->count < ASSAY_FEEDBACK_HITS ? answered->count : ASSAY_FEEDBACK_HITS;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count && answered->hits[i].reranked; j++) {
            if (!answered->hits[j].reranked)
                continue;
            agree += answered->hits[i].rank_first < answered->hits[j].rank_first ? 1 : -1;
            pairs++;
        }
    }
    return pairs > 0 ? (double)agree / (double)pairs : (double)NAN;
}

static assay_status write_hits(const assay_answered *answered, char **out, assay_error *error)
{
    json_t *list = json_array();
    int failed = list == NULL;
    for (size_t i = 0; i < answered->count && i < ASSAY_FEEDBACK_HITS; i++) {
        const assay_answered_hit *hit = &answered->hits[i];
        json_t *name = json_string(hit->document);
        if (name == NULL) /* not UTF-8: no id that an event could name */
            name = json_string("");
        json_t *one = json_pack(hit->second ? "[o, I, i]" : "[o, I]", name,
                                (json_int_t)hit->rank_first, 1);
        failed |= json_array_append_new(list, one);
    }
    *out = failed ? NULL : json_dumps(list, JSON_COMPACT);
    json_decref(list);
    return *out != NULL ? ASSAY_OK : assay_fail_memory(error, answered->count * 16);
}

/* ---- Searches ------------------------------------------------------------------------------ */

static assay_status check_name(const char *what, const char *name, size_t most,
                               assay_error *error)
{
    size_t length = name != NULL ? strlen(name) : 0;
    if (length > 0 && length <= most)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, what, "expected 1 to %zu bytes, found %zu", most,
                      length);
}

static assay_status check_hits(const assay_answered *answered, assay_error *error)
{
    for (size_t i = 0; i < answered->count; i++)
        if (answered->hits[i].rank_first == 0)
            return assay_fail(error, ASSAY_E_ARGUMENT, "hits",
                              "hit %zu: its rank before reranking is 0; ranks begin at 1", i);
    return ASSAY_OK;
}

static assay_status check_writable(const assay_feedback *feedback, assay_error *error)
{
    return feedback->options.read_only
               ? assay_fail(error, ASSAY_E_ARGUMENT, "feedback", "was opened for reading")
               : ASSAY_OK;
}

static assay_status prune(assay_feedback *feedback, int64_t now, assay_error *error)
{
    if (now - feedback->pruned < PRUNE_MS && now >= feedback->pruned)
        return ASSAY_OK;
    feedback->pruned = now;
    int64_t kept = (int64_t)feedback->options.keep_days * DAY_MS;
    return assay_event_log_prune(feedback->log, now - kept, error);
}

/* Remembers the search, and marks the session's last where this one reformulates it. */
static assay_status remember(assay_feedback *feedback, assay_recent *search, assay_error *error)
{
    assay_recent *last = NULL;
    for (size_t i = 0; i < ASSAY_RECENT; i++) {
        assay_recent *one = &feedback->recent[i];
        if (one->key > 0 && (last == NULL || one->key > last->key) &&
            memcmp(&one->session, &search->session, sizeof one->session) == 0)
            last = one;
    }
    int64_t passed = last != NULL ? search->at - last->at : 0;
    int64_t earlier = last != NULL && passed >= 0 && passed <= WINDOW_MS &&
                      reformulates(search, last) ? last->key : 0;
    feedback->recent[feedback->next++ % ASSAY_RECENT] = *search;
    return earlier > 0 ? assay_event_log_reformulated(feedback->log, earlier, error) : ASSAY_OK;
}

/* The question's text as far as it is kept: valid UTF-8, at most TEXT_BYTES. */
static assay_text kept_text(const assay_feedback *feedback, assay_text query, assay_buffer *room)
{
    json_t *valid = NULL;
    if (!feedback->options.keep_text || query.length > TEXT_BYTES ||
        (valid = json_stringn(query.data, query.length)) == NULL)
        return (assay_text){0};
    json_decref(valid);
    size_t begin = room->length;
    for (size_t i = 0; i < query.length; i++)
        assay_buffer_byte(room, query.data[i] != '\0' ? query.data[i] : ' ');
    return room->failed == ASSAY_OK ? (assay_text){room->data + begin, room->length - begin}
                                    : (assay_text){0};
}

static assay_status record(assay_feedback *feedback, const assay_answered *answered,
                           assay_log_search *row, int64_t *key, assay_error *error)
{
    char *hits;
    ASSAY_TRY(write_hits(answered, &hits, error));
    row->hits = (assay_text){hits, strlen(hits)};
    assay_buffer_clear(&feedback->text);
    row->text = kept_text(feedback, answered->query, &feedback->text);
    assay_status status = assay_event_log_search(feedback->log, row, key, error);
    free(hits);
    return status;
}

assay_status assay_feedback_search(assay_feedback *feedback, const assay_answered *answered,
                                   bool *kept, assay_error *error)
{
    int64_t now = assay_feedback_now();
    assay_recent recent = {.at = answered->at > 0 ? answered->at : now};
    assay_log_search row = {
        .at = recent.at,
        .id = answered->search,
        .collection = answered->collection,
        .pipeline = answered->pipeline != NULL ? answered->pipeline : "default",
        .rival = answered->rival,
        .trial = (uint32_t)answered->trial,
        .shown = (uint32_t)(answered->shown < answered->count ? answered->shown
                                                              : answered->count),
        .scored = answered->scored,
        .truncated = answered->truncated,
        .changed = first_change(answered),
        .degraded = answered->degraded,
        .correlation = correlation_of(answered),
        .first_ms = answered->first_seconds * 1e3,
        .rerank_ms = answered->rerank_seconds * 1e3,
    };
    ASSAY_TRY(check_name("search", answered->search, ID_BYTES, error));
    ASSAY_TRY(check_hits(answered, error));
    ASSAY_TRY(check_writable(feedback, error));
    if (answered->session != NULL) {
        ASSAY_TRY(check_name("session", answered->session, NAME_BYTES, error));
        ASSAY_TRY(keyed_digest(feedback, answered->session, strlen(answered->session),
                               &recent.session, error));
        row.session = &recent.session;
    }
    assay_buffer_clear(&feedback->text);
    read_words(answered->query, &feedback->text, &recent);
    ASSAY_TRY(assay_buffer_status(&feedback->text, "query", error));
    ASSAY_TRY(keyed_digest(feedback, feedback->text.data, feedback->text.length, &row.query,
                           error));
    ASSAY_TRY(prune(feedback, now, error));
    ASSAY_TRY(record(feedback, answered, &row, &recent.key, error));
    if (kept != NULL)
        *kept = recent.key > 0;
    if (recent.key == 0 || row.session == NULL)
        return ASSAY_OK;
    return remember(feedback, &recent, error);
}

/* ---- Events --------------------------------------------------------------------------------- */

static const char *const event_names[ASSAY_EVENT_KINDS] = {
    [ASSAY_EVENT_IMPRESSION] = "impression", [ASSAY_EVENT_CLICK] = "click",
    [ASSAY_EVENT_DWELL] = "dwell",           [ASSAY_EVENT_REFORMULATION] = "reformulation",
    [ASSAY_EVENT_UP] = "up",                 [ASSAY_EVENT_DOWN] = "down",
};

const char *assay_event_name(assay_event_kind kind)
{
    return (unsigned)kind < ASSAY_EVENT_KINDS ? event_names[kind] : "unknown";
}

static assay_status check_event(const assay_event *event, assay_error *error)
{
    ASSAY_TRY(check_name("search", event->search, ID_BYTES, error));
    if ((unsigned)event->kind >= ASSAY_EVENT_KINDS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "kind", "there is no event kind %d",
                          (int)event->kind);
    if (event->kind == ASSAY_EVENT_REFORMULATION)
        return ASSAY_OK;
    if (event->document != NULL)
        ASSAY_TRY(check_name("document", event->document, NAME_BYTES, error));
    else if (event->position == 0 || event->position > ASSAY_FEEDBACK_HITS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "document",
                          "an event needs a document, or its position, 1 to %d",
                          ASSAY_FEEDBACK_HITS);
    if (event->kind == ASSAY_EVENT_DWELL && !(event->seconds >= 0 && event->seconds <= 1e6))
        return assay_fail(error, ASSAY_E_ARGUMENT, "seconds",
                          "expected 0 to 1000000 of a dwell, found %g", event->seconds);
    return ASSAY_OK;
}

/* The document at the event's position; "" where there is none. */
static const char *document_at(const json_t *hits, uint32_t position)
{
    const json_t *hit = json_array_get(hits, position - 1);
    const char *name = json_string_value(json_array_get(hit, 0));
    return name != NULL ? name : "";
}

static assay_status record_event(assay_feedback *feedback, const assay_event *event, int64_t key,
                                 assay_error *error)
{
    json_t *hits = NULL;
    assay_log_event row = {.kind = (uint32_t)event->kind,
                           .document = event->document,
                           .value = event->kind == ASSAY_EVENT_DWELL ? event->seconds : 0,
                           .at = event->at > 0 ? event->at : assay_feedback_now()};
    assay_status status = ASSAY_OK;
    if (event->kind == ASSAY_EVENT_REFORMULATION)
        return assay_event_log_reformulated(feedback->log, key, error);
    if (row.document == NULL) {
        status = assay_json_parse(feedback->text.data, feedback->text.length, "hits", &hits,
                                  error);
        row.document = document_at(hits, event->position);
        if (status == ASSAY_OK && row.document[0] == '\0')
            status = assay_fail(error, ASSAY_E_ARGUMENT, "position",
                                "the search has no hit at %u", event->position);
    }
    if (status == ASSAY_OK)
        status = assay_event_log_event(feedback->log, key, &row, error);
    json_decref(hits);
    return status;
}

static assay_status take_event(assay_feedback *feedback, const assay_event *event, bool *known,
                               assay_error *error)
{
    int64_t key;
    ASSAY_TRY(check_event(event, error));
    assay_buffer_clear(&feedback->text);
    ASSAY_TRY(assay_event_log_find(feedback->log, event->search, &key, &feedback->text, error));
    *known = key > 0;
    return key > 0 ? record_event(feedback, event, key, error) : ASSAY_OK;
}

assay_status assay_feedback_events(assay_feedback *feedback, const assay_event *events,
                                   size_t count, bool *known, size_t *failed,
                                   assay_error *error)
{
    ASSAY_TRY(check_writable(feedback, error));
    ASSAY_TRY(assay_event_log_begin(feedback->log, error));
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < count && status == ASSAY_OK; i++) {
        *failed = i;
        status = take_event(feedback, &events[i], &known[i], error);
    }
    return assay_event_log_end(feedback->log, status, error);
}
