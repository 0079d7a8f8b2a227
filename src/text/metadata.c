/* SPDX-License-Identifier: Apache-2.0 */
/* metadata.c: see metadata.h. */
#include "text/metadata.h"

#include <string.h>

#include "base/json.h"
#include "base/number.h"

/* ---- Dates ---------------------------------------------------------------------- */

typedef struct scan {
    const char *at, *end;
} scan;

static bool take(scan *s, char byte)
{
    if (s->at == s->end || *s->at != byte)
        return false;
    s->at++;
    return true;
}

/* Exactly `digits` digits that make a number within [low, high]. */
static bool take_digits(scan *s, int digits, int low, int high, int *out)
{
    int value = 0;
    for (int i = 0; i < digits; i++, s->at++) {
        if (s->at == s->end || *s->at < '0' || *s->at > '9')
            return false;
        value = value * 10 + (*s->at - '0');
    }
    *out = value;
    return value >= low && value <= high;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* Days from 1970-01-01 in the Gregorian calendar, counted from a 1st of March so
 * that the leap day comes last (H. Hinnant, "chrono-compatible low-level date
 * algorithms"). */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* ".123456": milliseconds; what is finer is dropped. */
static bool take_fraction(scan *s, int *milliseconds)
{
    int scale = 100;
    const char *begin = s->at;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++, scale /= 10)
        *milliseconds += (*s->at - '0') * scale;
    return s->at > begin;
}

/* "Z", "+02:00", "+0200", "+02" or nothing: milliseconds to take off. */
static bool take_zone(scan *s, int64_t *offset)
{
    int hours, minutes = 0;
    if (s->at == s->end || take(s, 'Z') || take(s, 'z'))
        return true;
    bool west = take(s, '-');
    if ((!west && !take(s, '+')) || !take_digits(s, 2, 0, 23, &hours))
        return false;
    if (s->at < s->end) {
        take(s, ':');
        if (!take_digits(s, 2, 0, 59, &minutes))
            return false;
    }
    *offset = (int64_t)(hours * 60 + minutes) * 60000 * (west ? -1 : 1);
    return true;
}

/* The time behind the day, and how long a span it names. */
static bool take_time(scan *s, int64_t *begin, int64_t *length)
{
    int hour, minute, second = 0, milliseconds = 0;
    if (!take_digits(s, 2, 0, 23, &hour) || !take(s, ':') ||
        !take_digits(s, 2, 0, 59, &minute))
        return false;
    *length = 60000;
    if (take(s, ':')) {
        if (!take_digits(s, 2, 0, 60, &second))
            return false;
        *length = 1000;
        if (take(s, '.')) {
            if (!take_fraction(s, &milliseconds))
                return false;
            *length = 1;
        }
    }
    *begin += ((int64_t)(hour * 60 + minute) * 60 + second) * 1000 + milliseconds;
    int64_t offset = 0;
    if (!take_zone(s, &offset))
        return false;
    *begin -= offset;
    return true;
}

bool assay_date_read(const char *text, size_t length, int64_t *begin, int64_t *end)
{
    enum { DAY = 86400000 };
    scan s = {text, text + length};
    int year, month, day = 1;
    if (!take_digits(&s, 4, 0, 9999, &year) || !take(&s, '-') ||
        !take_digits(&s, 2, 1, 12, &month))
        return false;
    int64_t span = (int64_t)days_in_month(year, month) * DAY;
    if (take(&s, '-')) {
        if (!take_digits(&s, 2, 1, days_in_month(year, month), &day))
            return false;
        span = DAY;
    }
    int64_t at = days_since_1970(year, month, day) * DAY;
    if (span == DAY && (take(&s, 'T') || take(&s, 't') || take(&s, ' '))) {
        if (!take_time(&s, &at, &span))
            return false;
    }
    if (s.at != s.end)
        return false;
    *begin = at;
    *end = at + span;
    return true;
}

/* ---- Values --------------------------------------------------------------------- */

bool assay_value_number(const char *text, size_t length, assay_value *out)
{
    assay_value value = {.kind = ASSAY_VALUE_NUMBER};
    value.is_whole = assay_number_whole(text, length, &value.whole);
    if (!value.is_whole && !assay_number_read(text, length, &value.real))
        return false;
    *out = value;
    return true;
}

typedef struct walk {
    assay_field_fn fn;
    void *user;
    assay_error *error;
    char name[ASSAY_FIELD_LIMIT + 1];
} walk;

static assay_status tell_text(walk *w, const char *text, size_t length)
{
    assay_value value = {.kind = ASSAY_VALUE_TEXT, .text = {text, length}};
    if (length > ASSAY_VALUE_TEXT_LIMIT)
        value = (assay_value){.kind = ASSAY_VALUE_OTHER};
    ASSAY_TRY(w->fn(w->user, w->name, &value, w->error));
    int64_t begin, end;
    if (assay_value_number(text, length, &value))
        return w->fn(w->user, w->name, &value, w->error);
    if (assay_date_read(text, length, &begin, &end))
        return w->fn(w->user, w->name,
                     &(assay_value){.kind = ASSAY_VALUE_DATE, .whole = begin}, w->error);
    return ASSAY_OK;
}

static assay_status tell_scalar(walk *w, const json_t *json)
{
    assay_value value = {.kind = ASSAY_VALUE_OTHER};
    if (json_is_null(json))
        return ASSAY_OK;
    if (json_is_string(json))
        return tell_text(w, json_string_value(json), json_string_length(json));
    if (json_is_integer(json))
        value = (assay_value){.kind = ASSAY_VALUE_NUMBER, .is_whole = true,
                              .whole = json_integer_value(json)};
    else if (json_is_real(json))
        value = (assay_value){.kind = ASSAY_VALUE_NUMBER, .real = json_real_value(json)};
    else if (json_is_boolean(json))
        value = (assay_value){.kind = ASSAY_VALUE_TRUTH, .whole = json_is_true(json)};
    return w->fn(w->user, w->name, &value, w->error);
}

static assay_status tell_members(walk *w, const json_t *object, size_t length, int depth);

/* `length` of w->name names what json is the value of. */
static assay_status tell(walk *w, const json_t *json, size_t length, int depth)
{
    if (json_is_object(json) && depth < ASSAY_METADATA_DEPTH)
        return tell_members(w, json, length, depth);
    if (!json_is_array(json) || depth == ASSAY_METADATA_DEPTH)
        return tell_scalar(w, json);
    size_t i;
    json_t *one;
    json_array_foreach(json, i, one) {
        ASSAY_TRY(tell(w, one, length, depth + 1));
        w->name[length] = '\0';
    }
    return ASSAY_OK;
}

static assay_status tell_members(walk *w, const json_t *object, size_t length, int depth)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)object, key, member) {
        size_t dot = length > 0, more = strlen(key);
        if (depth == 0 && strcmp(key, "metadata") == 0 && json_is_object(member)) {
            ASSAY_TRY(tell_members(w, member, 0, 1));
            continue;
        }
        if (more == 0 || length + dot + more > ASSAY_FIELD_LIMIT)
            continue;
        if (dot)
            w->name[length] = '.';
        memcpy(w->name + length + dot, key, more + 1);
        ASSAY_TRY(tell(w, member, length + dot + more, depth + 1));
    }
    return ASSAY_OK;
}

assay_status assay_metadata_each(const char *json, assay_field_fn fn, void *user,
                                 assay_error *error)
{
    walk w = {.fn = fn, .user = user, .error = error};
    json_t *root;
    ASSAY_TRY(assay_json_parse(json, strlen(json), "metadata", &root, error));
    assay_status status = json_is_object(root)
                              ? tell_members(&w, root, 0, 0)
                              : assay_fail(error, ASSAY_E_FORMAT, "metadata",
                                           "expected a JSON object");
    json_decref(root);
    return status;
}
