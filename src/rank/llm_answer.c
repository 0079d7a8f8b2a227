/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm_answer.c: see llm_answer.h.
 *
 * An order is looked for where it is least likely to be something else: numbers
 * of a JSON list or of its objects, then a chain with '>', then numbers in
 * brackets, then one number a line behind the list's own numbering, then all
 * numbers, if there are enough of them to be no accident.
 */
#include "rank/llm_answer.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What a reasoning model thought before it answered is no answer. */
static assay_text without_thoughts(assay_text text)
{
    static const char end[] = "</think>";
    const char *last = NULL, *at = text.data, *stop = text.data + text.length;
    while (at != NULL && at < stop &&
           (at = memmem(at, (size_t)(stop - at), end, sizeof end - 1)) != NULL)
        last = at += sizeof end - 1;
    return last != NULL ? (assay_text){last, (size_t)(stop - last)} : text;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* The number at text[*at], and *at moved behind it; numbers of more digits than
 * any could have are 0, which is none. */
static size_t take_number(assay_text text, size_t *at)
{
    size_t value = 0, begin = *at;
    while (*at < text.length && is_digit(text.data[*at]))
        value = value * 10 % 10000000 + (size_t)(text.data[(*at)++] - '0');
    return *at - begin > 6 ? 0 : value;
}

/* ---- Orders ------------------------------------------------------------------- */

typedef struct order {
    size_t count, taken, wrong;
    size_t *list; /* [count] */
    bool *seen;   /* [count] */
} order;

static void forget(order *o)
{
    o->taken = o->wrong = 0;
    memset(o->seen, 0, o->count * sizeof *o->seen);
}

static void take(order *o, size_t number)
{
    if (number < 1 || number > o->count || o->seen[number - 1]) {
        o->wrong++;
        return;
    }
    o->seen[number - 1] = true;
    o->list[o->taken++] = number - 1;
}

/* The first number in a text; 0: none. */
static size_t first_number(assay_text text)
{
    for (size_t at = 0; at < text.length; at++)
        if (is_digit(text.data[at]))
            return take_number(text, &at);
    return 0;
}

static void take_item(order *o, const json_t *item)
{
    static const char *const names[] = {"id", "passage", "index", "number", "document", "doc"};
    for (size_t i = 0; json_is_object(item) && i < sizeof names / sizeof *names; i++) {
        const json_t *found = json_object_get(item, names[i]);
        if (found != NULL) {
            item = found;
            break;
        }
    }
    if (json_is_integer(item) && json_integer_value(item) > 0)
        take(o, (size_t)json_integer_value(item));
    else if (json_is_string(item))
        take(o, first_number((assay_text){json_string_value(item), json_string_length(item)}));
    else
        o->wrong++;
}

/* The longest list in a value, down to some depth. */
static const json_t *longest_list(const json_t *value, unsigned depth)
{
    const json_t *best = json_is_array(value) ? value : NULL;
    const char *name;
    json_t *member;
    if (!json_is_object(value) || depth == 0)
        return best;
    json_object_foreach((json_t *)value, name, member)
    {
        const json_t *found = longest_list(member, depth - 1);
        if (json_array_size(found) > json_array_size(best))
            best = found;
    }
    return best;
}

static size_t next_of(assay_text text, size_t at, const char *bytes)
{
    while (at < text.length && (text.data[at] == '\0' || strchr(bytes, text.data[at]) == NULL))
        at++;
    return at;
}

/* Whether a JSON value begins somewhere whose longest list is wanted; the first such is
 * taken. Few places are tried: parsing each of a million brackets would take for ever. */
typedef bool (*take_list)(void *out, const json_t *value, const json_t *list);
static bool take_json(assay_text text, size_t flags, take_list wants, void *out)
{
    enum { PLACES = 16, DEPTH = 4 };
    size_t at = 0;
    for (int i = 0; i < PLACES; i++, at++) {
        at = next_of(text, at, "{[");
        if (at >= text.length)
            return false;
        json_t *value = json_loadb(text.data + at, text.length - at,
                                   JSON_DISABLE_EOF_CHECK | flags, NULL);
        bool taken = wants(out, value, longest_list(value, DEPTH));
        json_decref(value);
        if (taken)
            return true;
    }
    return false;
}

static bool take_order(void *out, const json_t *value, const json_t *list)
{
    order *o = out;
    forget(o);
    for (size_t j = 0; j < json_array_size(list); j++)
        take_item(o, json_array_get(list, j));
    /* "[2]" is a list too, but rather the first of a chain of such */
    return o->taken > 1 || (o->taken == 1 && (o->count == 1 || json_is_object(value)));
}

/* "[2] > [1]", "2>1": numbers with '>' between them. */
static bool take_chain(order *o, assay_text text)
{
    size_t links = 0;
    bool link = false;
    forget(o);
    for (size_t at = 0; at < text.length;) {
        char c = text.data[at];
        if (is_digit(c)) {
            size_t begin = at, number = take_number(text, &at);
            size_t behind = next_of(text, at, ">0123456789\n");
            bool next = behind < text.length && text.data[behind] == '>';
            bool apart = begin == 0 || !is_letter(text.data[begin - 1]);
            if ((link || next) && apart)
                take(o, number);
            links += next;
            link = next;
        } else {
            at++;
        }
    }
    return links > 0 && o->taken > 0;
}

static bool take_brackets(order *o, assay_text text)
{
    forget(o);
    for (size_t at = 0; at + 1 < text.length; at++) {
        if (text.data[at] != '[' || !is_digit(text.data[at + 1]))
            continue;
        size_t number = take_number(text, &(size_t){at + 1}), end = at + 1;
        while (end < text.length && is_digit(text.data[end]))
            end++;
        if (end < text.length && text.data[end] == ']')
            take(o, number);
    }
    return o->taken > 0;
}

/* "1. Passage 3": of each line that is numbered, the number behind. */
static bool take_lines(order *o, assay_text text)
{
    size_t lines = 0;
    forget(o);
    for (size_t at = 0; at < text.length;) {
        const char *newline = memchr(text.data + at, '\n', text.length - at);
        size_t end = newline != NULL ? (size_t)(newline - text.data) : text.length;
        size_t i = at;
        while (i < end && (text.data[i] == ' ' || text.data[i] == '*'))
            i++;
        size_t begin = i;
        while (i < end && is_digit(text.data[i]))
            i++;
        if (i > begin && i < end && (text.data[i] == '.' || text.data[i] == ')')) {
            size_t number = first_number((assay_text){text.data + i, end - i});
            lines += number > 0;
            if (number > 0)
                take(o, number);
        }
        at = end + 1;
    }
    return lines > 0 && o->taken > 0;
}

/* All numbers, if they are more than a sentence would hold by chance, or there is
 * nothing but numbers. */
static bool take_numbers(order *o, assay_text text)
{
    bool words = false;
    forget(o);
    for (size_t at = 0; at < text.length;) {
        words = words || is_letter(text.data[at]);
        if (is_digit(text.data[at]))
            take(o, take_number(text, &at));
        else
            at++;
    }
    return o->taken > 0 && (!words || o->taken * 2 >= o->count + (o->count == 1));
}

static assay_llm_verdict finish_order(order *o)
{
    bool whole = o->taken == o->count && o->wrong == 0;
    for (size_t i = 0; i < o->count; i++)
        if (!o->seen[i])
            o->list[o->taken++] = i;
    return whole ? ASSAY_LLM_OK : ASSAY_LLM_REPAIRED;
}

assay_llm_verdict assay_llm_read_order(assay_text answer, size_t count, size_t *list, bool *seen)
{
    order o = {.count = count, .list = list, .seen = seen};
    assay_text text = without_thoughts(answer);
    if (take_json(text, 0, take_order, &o) || take_chain(&o, text) || take_brackets(&o, text) ||
        take_lines(&o, text) || take_numbers(&o, text))
        return finish_order(&o);
    forget(&o);
    finish_order(&o);
    return ASSAY_LLM_FAILED;
}

/* ---- Words -------------------------------------------------------------------- */

/* The answer without thoughts and without what is set around a word. */
static assay_text bare(assay_text text)
{
    static const char around[] = " \t\r\n*_`\"'.!()[]{}";
    text = without_thoughts(text);
    while (text.length > 0 && text.data[0] != '\0' && strchr(around, text.data[0]) != NULL)
        text = (assay_text){text.data + 1, text.length - 1};
    while (text.length > 0 && text.data[text.length - 1] != '\0' &&
           strchr(around, text.data[text.length - 1]) != NULL)
        text.length--;
    return text;
}

static bool equals(assay_text text, const char *word)
{
    return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

/* The next word of letters at or behind *at, which is moved behind it. */
static bool next_word(assay_text text, size_t *at, assay_text *word)
{
    while (*at < text.length && !is_letter(text.data[*at]))
        ++*at;
    size_t begin = *at;
    while (*at < text.length && is_letter(text.data[*at]))
        ++*at;
    *word = (assay_text){text.data + begin, *at - begin};
    return word->length > 0;
}

/* Whether what stands before an answer is its name in JSON alone: grade": */
static bool is_name(assay_text before, const char *name)
{
    assay_text word;
    size_t at = 0;
    return before.length == 0 ||
           (next_word(before, &at, &word) && equals(word, name) &&
            strspn(before.data + at, "\": ") + at >= before.length);
}

/* ---- Grades ------------------------------------------------------------------- */

/* "7", "7.5": at text[*at]. */
static double take_decimal(assay_text text, size_t *at)
{
    double value = (double)take_number(text, at), unit = 0.1;
    if (*at + 1 < text.length && text.data[*at] == '.' && is_digit(text.data[*at + 1])) {
        for (++*at; *at < text.length && is_digit(text.data[*at]); ++*at, unit /= 10)
            value += unit * (text.data[*at] - '0');
    }
    return value;
}

/* Whether the number that begins at `at` is the scale's end: "/10", "out of 10",
 * "0 to 10", "0-10". */
static bool is_scale(assay_text text, size_t begin)
{
    static const char *const before[] = {"/", "out of", "to", "-", "and", "von"};
    size_t end = begin;
    while (end > 0 && text.data[end - 1] == ' ')
        end--;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        size_t length = strlen(before[i]);
        if (end >= length && strncasecmp(text.data + end - length, before[i], length) == 0)
            return true;
    }
    return false;
}

/* Whether "to 10" or "-10" follows: the number is the scale's begin. */
static bool begins_scale(assay_text text, size_t at)
{
    while (at < text.length && text.data[at] == ' ')
        at++;
    assay_text rest = {text.data + at, text.length - at};
    return (rest.length > 2 && strncasecmp(rest.data, "to ", 3) == 0) ||
           (rest.length > 1 && rest.data[0] == '-' && is_digit(rest.data[1]));
}

assay_llm_verdict assay_llm_read_grade(assay_text answer, double *grade)
{
    assay_text text = bare(answer);
    for (size_t at = 0; at < text.length;) {
        if (!is_digit(text.data[at])) {
            at++;
            continue;
        }
        size_t begin = at;
        bool negative = begin > 0 && text.data[begin - 1] == '-' &&
                        (begin == 1 || text.data[begin - 2] == ' ');
        double value = take_decimal(text, &at);
        if (negative || value > 10 || is_scale(text, begin) || begins_scale(text, at))
            continue;
        *grade = value;
        bool alone = at == text.length && is_name((assay_text){text.data, begin}, "grade");
        return alone ? ASSAY_LLM_OK : ASSAY_LLM_REPAIRED;
    }
    return ASSAY_LLM_FAILED;
}

/* ---- Yes or no ---------------------------------------------------------------- */

assay_llm_verdict assay_llm_read_yes(assay_text answer, bool *yes)
{
    assay_text text = bare(answer), word;
    for (size_t at = 0; next_word(text, &at, &word);) {
        bool positive = equals(word, "yes") || equals(word, "true");
        if (!positive && !equals(word, "no") && !equals(word, "false"))
            continue;
        *yes = positive;
        return word.length == text.length ? ASSAY_LLM_OK : ASSAY_LLM_REPAIRED;
    }
    return ASSAY_LLM_FAILED;
}

/* ---- Choices ------------------------------------------------------------------ */

static bool is_choice(assay_text word)
{
    return word.length == 1 && (word.data[0] == 'A' || word.data[0] == 'B');
}

/* "Passage B is better than passage A": the one that is named first. "A" alone
 * is an article too, so a lone one counts only where no other is. */
assay_llm_verdict assay_llm_read_choice(assay_text answer, int *choice)
{
    assay_text text = bare(answer), word, before = {0};
    char lone[2] = "";
    size_t last = text.length > 0 ? text.length - 1 : 0;
    if (text.length > 0 && is_choice((assay_text){text.data + last, 1}) &&
        is_name((assay_text){text.data, last}, "better")) {
        *choice = text.data[last] == 'A' ? 1 : -1;
        return ASSAY_LLM_OK;
    }
    if (equals(text, "equal") || equals(text, "tie") || equals(text, "both")) {
        *choice = 0;
        return ASSAY_LLM_OK;
    }
    for (size_t at = 0; next_word(text, &at, &word); before = word) {
        if (!is_choice(word))
            continue;
        size_t begin = at - 1;
        bool marked = equals(before, "passage") || equals(before, "better") ||
                      equals(before, "answer") ||
                      (begin > 0 && strchr("[(\"*", text.data[begin - 1]) != NULL &&
                       text.data[begin - 1] != '\0');
        if (marked) {
            *choice = word.data[0] == 'A' ? 1 : -1;
            return ASSAY_LLM_REPAIRED;
        }
        lone[0] = lone[0] == '\0' || lone[0] == word.data[0] ? word.data[0] : '?';
    }
    if (lone[0] != 'A' && lone[0] != 'B')
        return ASSAY_LLM_FAILED;
    *choice = lone[0] == 'A' ? 1 : -1;
    return ASSAY_LLM_REPAIRED;
}

/* ---- Queries ------------------------------------------------------------------ */

typedef struct query_list {
    assay_arena *arena;
    assay_text *list; /* [most] */
    size_t most, count, seen;
} query_list;

static bool is_any(char c, const char *bytes)
{
    return c != '\0' && strchr(bytes, c) != NULL;
}

/* Without white space and what models set around a line: quotes, stars. */
static assay_text trimmed(assay_text text, const char *before, const char *behind)
{
    while (text.length > 0 && is_any(text.data[0], before))
        text = (assay_text){text.data + 1, text.length - 1};
    while (text.length > 0 && is_any(text.data[text.length - 1], behind))
        text.length--;
    return text;
}

/* A copy with each run of white space and control characters as one space. */
static void take_query(query_list *q, assay_text text)
{
    text = trimmed(text, " \t\r\n\"*`", " \t\r\n\"*`");
    if (text.length == 0)
        return;
    q->seen++;
    char *copy = q->count < q->most ? assay_arena_small(q->arena, text.length) : NULL;
    if (copy == NULL)
        return;
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = (unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7F ? ' ' : text.data[i];
        if (c != ' ' || (length > 0 && copy[length - 1] != ' '))
            copy[length++] = c;
    }
    if (length > 0)
        q->list[q->count++] = (assay_text){copy, length};
}

/* A string, or an object's "query" or the like, or its only string. */
static void take_json_query(query_list *q, const json_t *item)
{
    static const char *const names[] = {"query", "question", "claim", "text"};
    for (size_t i = 0; json_is_object(item) && i < sizeof names / sizeof *names; i++)
        if (json_is_string(json_object_get(item, names[i])))
            item = json_object_get(item, names[i]);
    if (json_is_string(item))
        take_query(q, (assay_text){json_string_value(item), json_string_length(item)});
}

static bool take_queries(void *out, const json_t *value, const json_t *list)
{
    query_list *q = out;
    (void)value;
    for (size_t j = 0; j < json_array_size(list); j++)
        take_json_query(q, json_array_get(list, j));
    return q->seen > 0;
}

/* "1. ", "2) ", "- ": behind it. */
static assay_text without_number(assay_text text)
{
    size_t at = 0;
    text = trimmed(text, " \t\r*-", "");
    while (at < text.length && is_digit(text.data[at]))
        at++;
    if (at > 0 && at + 1 < text.length && is_any(text.data[at], ".):") && text.data[at + 1] == ' ')
        text = (assay_text){text.data + at + 1, text.length - at - 1};
    return text;
}

/* "I'm sorry, but", "As an AI": a model that will not. */
static bool refuses(assay_text text)
{
    static const char *const begins[] = {"i'm sorry", "i\xE2\x80\x99m sorry", "i am sorry",
                                         "sorry",     "i cannot", "i can't",
                                         "i can\xE2\x80\x99t", "i am unable", "as an ai"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (text.length >= strlen(begins[i]) &&
            strncasecmp(text.data, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* Lines that only lead to others, "Here are two:", and fences are passed over. */
static void take_line_queries(query_list *q, assay_text text)
{
    for (size_t at = 0; at < text.length;) {
        const char *newline = memchr(text.data + at, '\n', text.length - at);
        size_t end = newline != NULL ? (size_t)(newline - text.data) : text.length;
        assay_text one = trimmed((assay_text){text.data + at, end - at}, " \t\r", " \t\r*");
        bool leads = one.length > 0 && one.data[one.length - 1] == ':';
        if (!leads && (one.length == 0 || !is_any(one.data[0], "`{}[]")))
            take_query(q, without_number(one));
        at = end + 1;
    }
}

assay_llm_verdict assay_llm_read_queries(assay_text answer, size_t most, assay_arena *arena,
                                         assay_text *queries, size_t *count)
{
    query_list q = {.arena = arena, .list = queries, .most = most};
    assay_text text = without_thoughts(answer);
    if (!take_json(text, JSON_ALLOW_NUL, take_queries, &q) && !refuses(bare(text)))
        take_line_queries(&q, text);
    *count = q.count;
    if (q.count == 0)
        return ASSAY_LLM_FAILED;
    return q.seen == most ? ASSAY_LLM_OK : ASSAY_LLM_REPAIRED;
}

/* ---- Pages -------------------------------------------------------------------- */

typedef struct page_answer {
    assay_arena *arena;
    bool yes, whole; /* whole: as asked for */
    double confidence;
    assay_text reason;
} page_answer;

/* The reason as a query would be taken: trimmed, on one line. */
static void take_reason(page_answer *p, assay_text text)
{
    query_list one = {.arena = p->arena, .list = &p->reason, .most = 1};
    p->reason = (assay_text){"", 0};
    take_query(&one, text);
}

/* 0.9, "0.9", 90, "90%"; NAN for anything else. */
static double confidence_of(const json_t *value)
{
    const char *text = json_string_value(value);
    char *end = NULL;
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    if (text != NULL && is_digit(text[0]))
        number = strtod(text, &end);
    bool percent = number > 1 || (end != NULL && *end == '%');
    number = percent ? number / 100 : number;
    return number >= 0 && number <= 1 ? number : NAN;
}

static const json_t *member(const json_t *object, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_object_get(object, names[i]) != NULL)
            return json_object_get(object, names[i]);
    return NULL;
}

static bool take_page(void *out, const json_t *value, const json_t *list)
{
    static const char *const names[] = {"answers", "answer", "verdict", "relevant", "yes"};
    page_answer *p = out;
    (void)list;
    const json_t *answers = member(value, names, sizeof names / sizeof *names);
    const json_t *sure = json_object_get(value, "confidence");
    const json_t *reason = json_object_get(value, "reason");
    bool word = json_is_string(answers) &&
                assay_llm_read_yes((assay_text){json_string_value(answers),
                                                json_string_length(answers)},
                                   &p->yes) != ASSAY_LLM_FAILED;
    if (!word && !json_is_boolean(answers))
        return false;
    if (!word)
        p->yes = json_is_true(answers);
    p->confidence = confidence_of(sure);
    take_reason(p, json_is_string(reason)
                       ? (assay_text){json_string_value(reason), json_string_length(reason)}
                       : (assay_text){"", 0});
    p->whole = !word && json_is_string(reason) && json_is_number(sure) &&
               json_number_value(sure) >= 0 && json_number_value(sure) <= 1;
    return true;
}

assay_llm_verdict assay_llm_read_page(assay_text answer, assay_arena *arena, bool *yes,
                                      double *confidence, assay_text *reason)
{
    page_answer p = {.arena = arena, .confidence = NAN};
    assay_text text = without_thoughts(answer);
    if (!take_json(text, JSON_ALLOW_NUL, take_page, &p)) {
        if (refuses(bare(text)) || assay_llm_read_yes(text, &p.yes) == ASSAY_LLM_FAILED)
            return ASSAY_LLM_FAILED;
        take_reason(&p, text);
    }
    *yes = p.yes;
    *confidence = p.confidence;
    *reason = p.reason;
    return p.whole ? ASSAY_LLM_OK : ASSAY_LLM_REPAIRED;
}
