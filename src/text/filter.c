/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c: see filter.h. Recursive descent, one token ahead. */
#include "text/filter_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum token_kind {
    END, WORD, FIELD, TEXT, NUMBER, DATE, SIGN,
} token_kind;

typedef struct token {
    token_kind kind;
    const char *begin, *end; /* as written */
    assay_text text;         /* of FIELD and TEXT, without quotes */
    assay_value value;       /* of NUMBER */
    int64_t from, to;        /* of DATE */
} token;

typedef struct parser {
    const char *text, *at, *end;
    token now;
    int depth;
    assay_filter *filter;
    assay_error *error;
} parser;

/* ---- Errors --------------------------------------------------------------------- */

/* In characters from 1, as an editor counts. */
static size_t place_of(const parser *p, const char *at)
{
    size_t place = 1;
    for (const char *c = p->text; c < at; c++)
        place += ((unsigned char)*c & 0xC0) != 0x80;
    return place;
}

static assay_status expected(const parser *p, const char *what)
{
    char where[48];
    snprintf(where, sizeof where, "filter, character %zu", place_of(p, p->now.begin));
    int length = (int)(p->now.end - p->now.begin);
    if (p->now.kind == END)
        return assay_fail(p->error, ASSAY_E_FORMAT, where, "expected %s, and the filter ends",
                          what);
    return assay_fail(p->error, ASSAY_E_FORMAT, where, "expected %s, found %.*s", what,
                      length < 40 ? length : 40, p->now.begin);
}

static assay_status wrong(const parser *p, const char *at, const char *message)
{
    char where[48];
    snprintf(where, sizeof where, "filter, character %zu", place_of(p, at));
    return assay_fail(p->error, ASSAY_E_FORMAT, where, "%s", message);
}

/* ---- Tokens --------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool goes_on(char c)
{
    return begins_name(c) || is_digit(c) || c == '-' || c == '.';
}

/* Text in quotes, or a field's name in backquotes. */
static assay_status read_quoted(parser *p, char quote)
{
    token *t = &p->now;
    const char *end = p->at + 1;
    while (end < p->end && *end != quote)
        end += *end == '\\' && quote != '`' && end + 1 < p->end ? 2 : 1;
    if (end >= p->end)
        return wrong(p, t->begin, "the quote that begins here has no end");
    char *copy = assay_arena_small(p->filter->arena, (size_t)(end - p->at));
    size_t length = 0;
    if (copy == NULL)
        return assay_fail_memory(p->error, (size_t)(end - p->at));
    for (p->at++; p->at < end; p->at++) {
        if (*p->at == '\\' && quote != '`' && strchr("\"'\\", *++p->at) == NULL)
            return wrong(p, p->at - 1, "expected \\\", \\' or \\\\ after a backslash");
        copy[length++] = *p->at;
    }
    copy[length] = '\0';
    t->kind = quote == '`' ? FIELD : TEXT;
    t->text = (assay_text){copy, length};
    t->end = ++p->at;
    if (quote == '`' && (length == 0 || length > ASSAY_FIELD_LIMIT))
        return wrong(p, t->begin, "expected a field's name of 1 to 256 bytes in the backquotes");
    return ASSAY_OK;
}

static assay_status read_number(parser *p)
{
    token *t = &p->now;
    while (p->at < p->end && (goes_on(*p->at) || *p->at == '+' || *p->at == ':'))
        p->at++;
    t->end = p->at;
    size_t length = (size_t)(t->end - t->begin);
    if (assay_value_number(t->begin, length, &t->value))
        t->kind = NUMBER;
    else if (assay_date_read(t->begin, length, &t->from, &t->to))
        t->kind = DATE;
    else
        return wrong(p, t->begin, "expected a number, or a date such as 2020-05-01 or "
                     "2020-05-01T10:30:00Z");
    return ASSAY_OK;
}

static void read_sign(parser *p)
{
    static const char *const signs[] = {"<=", ">=", "!=", "==", "<>"};
    size_t length = 1;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (p->end - p->at >= 2 && memcmp(p->at, signs[i], 2) == 0)
            length = 2;
    p->at += length;
    p->now.kind = SIGN;
    p->now.end = p->at;
}

static assay_status next(parser *p)
{
    while (p->at < p->end && strchr(" \t\r\n", *p->at) != NULL)
        p->at++;
    p->now = (token){.kind = END, .begin = p->at, .end = p->at};
    if (p->at == p->end)
        return ASSAY_OK;
    char c = *p->at;
    if (c == '"' || c == '\'' || c == '`')
        return read_quoted(p, c);
    if (is_digit(c) || c == '-' || c == '+' || c == '.')
        return read_number(p);
    if (!begins_name(c)) {
        read_sign(p);
        return ASSAY_OK;
    }
    while (p->at < p->end && goes_on(*p->at))
        p->at++;
    p->now.kind = WORD;
    p->now.end = p->at;
    return ASSAY_OK;
}

static bool is_word(const parser *p, const char *word)
{
    size_t length = (size_t)(p->now.end - p->now.begin);
    return p->now.kind == WORD && length == strlen(word) &&
           strncasecmp(p->now.begin, word, length) == 0;
}

static bool is_sign(const parser *p, const char *sign)
{
    size_t length = (size_t)(p->now.end - p->now.begin);
    return p->now.kind == SIGN && length == strlen(sign) &&
           memcmp(p->now.begin, sign, length) == 0;
}

/* ---- The program ------------------------------------------------------------------ */

assay_status assay_filter_add(assay_filter *f, assay_filter_step step, assay_error *error)
{
    if (f->count == ASSAY_FILTER_STEPS)
        return assay_fail(error, ASSAY_E_LIMIT, "filter",
                          "has more than %d comparisons and connections", ASSAY_FILTER_STEPS);
    if (f->count == f->capacity) {
        size_t capacity = f->capacity > 0 ? 2 * f->capacity : 16;
        assay_filter_step *grown = realloc(f->steps, capacity * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, capacity * sizeof *grown);
        f->steps = grown;
        f->capacity = capacity;
    }
    f->steps[f->count++] = step;
    return ASSAY_OK;
}

assay_status assay_filter_add_op(assay_filter *filter, assay_filter_op op, assay_error *error)
{
    return assay_filter_add(filter, (assay_filter_step){.op = op}, error);
}

assay_filter_step assay_filter_equal(assay_value value)
{
    return (assay_filter_step){.op = ASSAY_FILTER_RANGE, .low = value, .high = value,
                               .has_low = true, .has_high = true};
}

assay_filter_step assay_filter_span(int64_t from, int64_t to)
{
    return (assay_filter_step){
        .op = ASSAY_FILTER_RANGE, .has_low = true, .has_high = true, .high_open = true,
        .low = {.kind = ASSAY_VALUE_DATE, .whole = from},
        .high = {.kind = ASSAY_VALUE_DATE, .whole = to},
    };
}

void assay_filter_order(assay_filter_step *range, char sign, bool or_equal)
{
    bool less = sign == '<';
    assay_filter_step equal = *range;
    if (less) {
        range->has_low = false;
        range->low_open = false;
        range->high = or_equal ? equal.high : equal.low;
        range->high_open = or_equal ? equal.high_open : true;
    } else {
        range->has_high = false;
        range->high_open = false;
        range->low = or_equal ? equal.low : equal.high;
        range->low_open = or_equal ? false : !equal.high_open;
    }
}

static assay_status add_step(parser *p, assay_filter_step step)
{
    return assay_filter_add(p->filter, step, p->error);
}

static assay_status add_op(parser *p, assay_filter_op op)
{
    return assay_filter_add_op(p->filter, op, p->error);
}

static assay_status need_sign(parser *p, const char *sign, const char *what)
{
    if (!is_sign(p, sign))
        return expected(p, what);
    return next(p);
}

static assay_status read_field(parser *p, const char **out)
{
    static const char *const words[] = {"and", "or", "not", "in", "exists", "true", "false", "null"};
    const char *what = "a field's name";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_word(p, words[i]))
            return expected(p, "a field's name (one that is a word of the language stands in "
                            "backquotes)");
    if (p->now.kind != WORD && p->now.kind != FIELD)
        return expected(p, what);
    size_t length = (size_t)(p->now.end - p->now.begin);
    const char *name = p->now.text.data;
    if (p->now.kind == WORD) {
        if (length > ASSAY_FIELD_LIMIT)
            return wrong(p, p->now.begin, "expected a field's name of at most 256 bytes");
        name = assay_arena_copy(p->filter->arena, p->now.begin, length);
    }
    if (name == NULL)
        return assay_fail_memory(p->error, length);
    *out = name;
    return next(p);
}

/* The values that the literal at hand stands for: a span of them for a date. */
static assay_status read_value(parser *p, assay_filter_step *range)
{
    assay_value one = {.kind = ASSAY_VALUE_TRUTH};
    switch (p->now.kind) {
    case NUMBER:
        one = p->now.value;
        break;
    case TEXT:
        one = (assay_value){.kind = ASSAY_VALUE_TEXT, .text = p->now.text};
        break;
    case DATE:
        *range = assay_filter_span(p->now.from, p->now.to);
        return next(p);
    default:
        if (is_word(p, "null"))
            return expected(p, "a value (for a missing one: not exists(field))");
        if (p->now.kind == WORD && !is_word(p, "true") && !is_word(p, "false"))
            return expected(p, "a value (text stands in quotes)");
        if (p->now.kind != WORD)
            return expected(p, "a value: \"text\", a number, a date, true or false");
        one.whole = is_word(p, "true");
    }
    *range = assay_filter_equal(one);
    return next(p);
}

static assay_status read_set(parser *p, const char *field)
{
    ASSAY_TRY(need_sign(p, "(", "\"(\" and the values"));
    for (bool first = true;; first = false) {
        assay_filter_step range;
        ASSAY_TRY(read_value(p, &range));
        range.field = field;
        ASSAY_TRY(add_step(p, range));
        if (!first)
            ASSAY_TRY(add_op(p, ASSAY_FILTER_OR));
        if (!is_sign(p, ","))
            break;
        ASSAY_TRY(next(p));
    }
    return need_sign(p, ")", "\",\" or \")\"");
}

static assay_status read_comparison(parser *p, const char *field)
{
    static const char *const signs[] = {"=", "==", "!=", "<>", "<", "<=", ">", ">="};
    bool known = false;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        known |= is_sign(p, signs[i]);
    if (!known)
        return expected(p, "=, !=, <, <=, >, >= or in after the field's name");
    bool unequal = is_sign(p, "!=") || is_sign(p, "<>");
    bool ordered = !unequal && p->now.begin[0] != '=';
    char sign = p->now.begin[0];
    bool or_equal = p->now.end - p->now.begin == 2;
    ASSAY_TRY(next(p));
    token literal = p->now;
    assay_filter_step range;
    ASSAY_TRY(read_value(p, &range));
    if (ordered && range.low.kind == ASSAY_VALUE_TRUTH)
        return wrong(p, literal.begin, "true and false compare with = and != only");
    if (ordered)
        assay_filter_order(&range, sign, or_equal);
    range.field = field;
    ASSAY_TRY(add_step(p, range));
    return unequal ? add_op(p, ASSAY_FILTER_NOT) : ASSAY_OK;
}

static assay_status read_filter(parser *p);

static assay_status read_exists(parser *p)
{
    assay_filter_step step = {.op = ASSAY_FILTER_EXISTS};
    ASSAY_TRY(next(p));
    ASSAY_TRY(need_sign(p, "(", "\"(\" and a field's name"));
    ASSAY_TRY(read_field(p, &step.field));
    ASSAY_TRY(need_sign(p, ")", "\")\""));
    return add_step(p, step);
}

static assay_status read_plain(parser *p)
{
    const char *field;
    if (is_word(p, "exists"))
        return read_exists(p);
    ASSAY_TRY(read_field(p, &field));
    bool negated = is_word(p, "not");
    if (negated)
        ASSAY_TRY(next(p));
    if (negated && !is_word(p, "in"))
        return expected(p, "in after not");
    if (!is_word(p, "in"))
        return read_comparison(p, field);
    ASSAY_TRY(next(p));
    ASSAY_TRY(read_set(p, field));
    return negated ? add_op(p, ASSAY_FILTER_NOT) : ASSAY_OK;
}

static assay_status read_one(parser *p)
{
    bool negated = is_word(p, "not");
    if (!negated && !is_sign(p, "("))
        return read_plain(p);
    if (p->depth == ASSAY_FILTER_DEPTH)
        return wrong(p, p->now.begin, "more than 32 parentheses and negations in one another");
    p->depth++;
    ASSAY_TRY(next(p));
    if (negated) {
        ASSAY_TRY(read_one(p));
        ASSAY_TRY(add_op(p, ASSAY_FILTER_NOT));
    } else {
        ASSAY_TRY(read_filter(p));
        ASSAY_TRY(need_sign(p, ")", "and, or, or \")\""));
    }
    p->depth--;
    return ASSAY_OK;
}

static assay_status read_both(parser *p)
{
    ASSAY_TRY(read_one(p));
    while (is_word(p, "and")) {
        ASSAY_TRY(next(p));
        ASSAY_TRY(read_one(p));
        ASSAY_TRY(add_op(p, ASSAY_FILTER_AND));
    }
    return ASSAY_OK;
}

static assay_status read_filter(parser *p)
{
    ASSAY_TRY(read_both(p));
    while (is_word(p, "or")) {
        ASSAY_TRY(next(p));
        ASSAY_TRY(read_both(p));
        ASSAY_TRY(add_op(p, ASSAY_FILTER_OR));
    }
    return ASSAY_OK;
}

static assay_status read_all(parser *p)
{
    ASSAY_TRY(next(p));
    ASSAY_TRY(read_filter(p));
    return p->now.kind == END ? ASSAY_OK : expected(p, "and, or, or the end");
}

static assay_status read_either(parser *p, bool *everything)
{
    const char *begin = p->text + strspn(p->text, " \t\r\n");
    if (*begin == '{')
        return assay_filter_parse_json(p->text, (size_t)(p->end - p->text), p->filter, everything,
                                       p->error);
    return read_all(p);
}

assay_status assay_filter_parse(const char *text, assay_filter **out, assay_error *error)
{
    size_t length = strlen(text);
    if (length > ASSAY_FILTER_LENGTH)
        return assay_fail(error, ASSAY_E_LIMIT, "filter", "is %zu bytes long; at most %d", length,
                          ASSAY_FILTER_LENGTH);
    assay_filter *filter = calloc(1, sizeof *filter);
    if (filter == NULL)
        return assay_fail_memory(error, sizeof *filter);
    filter->arena = assay_arena_new(0);
    parser p = {.text = text, .at = text, .end = text + length, .filter = filter, .error = error};
    bool everything = false;
    assay_status status = filter->arena != NULL ? read_either(&p, &everything)
                                                : assay_fail_memory(error, 1024);
    if (status != ASSAY_OK || everything) {
        assay_filter_free(filter);
        filter = NULL;
    }
    if (status == ASSAY_OK)
        *out = filter;
    return status;
}

void assay_filter_free(assay_filter *filter)
{
    if (filter == NULL)
        return;
    assay_arena_free(filter->arena);
    free(filter->steps);
    free(filter);
}

const assay_filter_step *assay_filter_steps(const assay_filter *filter, size_t *count)
{
    *count = filter->count;
    return filter->steps;
}
