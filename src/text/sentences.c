/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sentences.c: sentence ends by rules, in the spirit of UAX #29 (sentence
 * boundaries) but with lists of abbreviations and with the lines of structured
 * text: an empty line ends a sentence, list items and table rows begin one, a
 * heading line belongs to what follows it.
 *
 * A full stop followed by a space ends a sentence unless it belongs to an
 * abbreviation, an initial ("J. K. Rowling"), a list number at a line's start,
 * an ellipsis before a lower-case letter or a short word before one. Errors cost
 * little: passages are filled with several sentences.
 */
#include "text/sentences.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "text/scan.h"

#define WORD_LIMIT 24 /* bytes looked back for the word before a full stop */

/* When a full stop after the word does not end a sentence. */
typedef enum abbreviation {
    NO_ABBREVIATION,
    NEVER_ENDS,        /* "Dr." */
    ENDS_UNLESS_DIGIT, /* "No. 5" */
    ENDS_IF_UPPER,     /* "etc. The" */
} abbreviation;

static const struct {
    const char *words; /* in lower case, a space around each */
    abbreviation kind;
} abbreviations[] = {
    {" dr mr mrs ms mx prof rev hon sen rep gen col capt cpt lt sgt st mt messrs mme mlle "
     "cf vs viz al approx ca resp incl esp e.g i.e eg ie ed eds trans "
     "bzw z.b d.h u.a vgl hrsg evtl ggf sog p.ex ex sr sra srta ",
     NEVER_ENDS},
    {" no nos fig figs eq eqs sec ch chap vol vols pp p art ref refs tab para nr abs bd "
     "jan feb mar apr jun jul aug sep sept oct nov dec ",
     ENDS_UNLESS_DIGIT},
    {" etc inc ltd co corp jr usw a.m p.m bros dept est min max ", ENDS_IF_UPPER},
};

typedef enum stop {
    STOP_NONE,
    STOP_PERIOD,   /* needs a space after it, and may be an abbreviation */
    STOP_SPACED,   /* needs a space after it */
    STOP_ALONE,    /* ends a sentence by itself */
} stop;

static stop stop_of(int32_t point)
{
    switch (point) {
    case '.':
        return STOP_PERIOD;
    case '!': case '?': case 0x2026: case 0x203C: case 0x2047: case 0x2048: case 0x2049:
    case 0x061F: case 0x0589:
        return STOP_SPACED;
    case 0x06D4: case 0x0964: case 0x0965: case 0x104B: case 0x1362: case 0x17D4: case 0x3002:
    case 0xFF01: case 0xFF0E: case 0xFF1F: case 0xFF61:
        return STOP_ALONE;
    default:
        return STOP_NONE;
    }
}

/* Closing quotes, brackets, and Markdown's emphasis. */
static bool is_closer(int32_t point)
{
    switch (point) {
    case '"': case '\'': case ')': case ']': case '}': case '*': case '_': case '`':
    case 0x00BB: case 0x203A: case 0x2019: case 0x201D: case 0x300B: case 0x3009: case 0x300D:
    case 0x300F: case 0x3011: case 0x3015: case 0xFF09: case 0xFF3D: case 0xFF5D: case 0xFF02:
        return true;
    default:
        return false;
    }
}

static bool is_opener(int32_t point)
{
    switch (point) {
    case '"': case '\'': case '(': case '[': case '{': case '*': case '_': case '`':
    case 0x00AB: case 0x2039: case 0x2018: case 0x201C: case 0x201E: case 0x300A: case 0x300C:
    case 0x00BF: case 0x00A1:
        return true;
    default:
        return false;
    }
}

static bool is_digit(int32_t point)
{
    return point >= '0' && point <= '9';
}

/* The character that the next sentence would begin with: past white space and
 * opening quotes; 0 at the end of the text. */
static int32_t next_letter(const char *text, size_t at, size_t length)
{
    at = assay_skip_space(text, at, length);
    for (int openers = 0; at < length && openers < 4; openers++) {
        size_t bytes;
        int32_t point = assay_char_at(text + at, length - at, &bytes);
        if (!is_opener(point))
            return point;
        at += bytes;
    }
    return at < length ? ' ' : 0;
}

static bool is_lower(int32_t point)
{
    return utf8proc_category(point) == UTF8PROC_CATEGORY_LL;
}

static bool is_upper(int32_t point)
{
    utf8proc_category_t category = utf8proc_category(point);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
}

/* ------------------------------------------------------------ abbreviations */

/* Where the word that ends at text[end) begins: letters, digits, inner full
 * stops. Words longer than WORD_LIMIT are no abbreviations: then `end`. */
static size_t word_begin(const char *text, size_t begin, size_t end)
{
    size_t at = end;
    while (at > begin && end - at < WORD_LIMIT) {
        unsigned char byte = (unsigned char)text[at - 1];
        bool inner = byte == '.' || byte >= 0x80 || (byte >= '0' && byte <= '9') ||
                     (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        if (!inner)
            return at;
        at--;
    }
    return at == begin ? at : end;
}

static abbreviation abbreviation_of(const char *word, size_t length)
{
    char wanted[WORD_LIMIT + 3];
    wanted[0] = ' ';
    for (size_t i = 0; i < length; i++)
        wanted[i + 1] = (char)(word[i] >= 'A' && word[i] <= 'Z' ? word[i] - 'A' + 'a' : word[i]);
    wanted[length + 1] = ' ';
    wanted[length + 2] = '\0';
    for (size_t i = 0; i < sizeof abbreviations / sizeof *abbreviations; i++)
        if (strstr(abbreviations[i].words, wanted) != NULL)
            return abbreviations[i].kind;
    return NO_ABBREVIATION;
}

/* "J", "U.S", "J.R.R": capitals with full stops between. */
static bool is_initials(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (i % 2 == 0 ? word[i] < 'A' || word[i] > 'Z' : word[i] != '.')
            return false;
    return length % 2 == 1;
}

static bool all_digits(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_digit(word[i]))
            return false;
    return length > 0;
}

/* Whether the single full stop at text[at], followed by white space, ends the
 * sentence that began at `begin`; `after` is the character that comes next. */
static bool period_ends(const char *text, size_t begin, size_t at, int32_t after)
{
    size_t from = word_begin(text, begin, at);
    const char *word = text + from;
    size_t length = at - from;
    if (length == 0)
        return true;
    if (from == begin && length <= 4 && all_digits(word, length))
        return false; /* the number of a list item */
    if (is_initials(word, length))
        return !is_upper(after) && !is_lower(after) && !is_digit(after);
    switch (abbreviation_of(word, length)) {
    case NEVER_ENDS:
        return after == 0;
    case ENDS_UNLESS_DIGIT:
        return !is_digit(after);
    case ENDS_IF_UPPER:
        return !is_lower(after) && !is_digit(after);
    case NO_ABBREVIATION:
        break;
    }
    return !(is_lower(after) && (length <= 3 || memchr(word, '.', length) != NULL));
}

/* -------------------------------------------------------------------- stops */

/* The end of "[12]" at text[at], a reference that follows a full stop; else at. */
static size_t skip_reference(const char *text, size_t at, size_t length)
{
    size_t end = at;
    if (end >= length || text[end] != '[')
        return at;
    end++;
    while (end < length && end - at < 8 && (is_digit(text[end]) || text[end] == ','))
        end++;
    return end > at + 1 && end < length && text[end] == ']' ? end + 1 : at;
}

/* Past the run of stops at text[*at] and what closes after it. True when a
 * sentence ends there. */
static bool pass_stops(const char *text, size_t begin, size_t *at, size_t length)
{
    size_t first = *at, end = *at, bytes;
    size_t stops = 0;
    bool alone = false, ellipsis = false, period = true;
    stop kind;
    while (end < length) {
        int32_t point = assay_char_at(text + end, length - end, &bytes);
        if ((kind = stop_of(point)) == STOP_NONE)
            break;
        alone = alone || kind == STOP_ALONE;
        period = period && kind == STOP_PERIOD;
        ellipsis = ellipsis || point == 0x2026;
        stops++;
        end += bytes;
    }
    *at = end;
    ellipsis = ellipsis || (period && stops > 1);
    bool closed = false;
    for (;;) {
        size_t past = skip_reference(text, end, length);
        if (past == end && end < length &&
            is_closer(assay_char_at(text + end, length - end, &bytes)))
            past = end + bytes;
        if (past == end)
            break;
        closed = true;
        end = past;
    }
    if (!alone && end < length && assay_space_at(text + end, length - end) == 0)
        return false;
    int32_t after = next_letter(text, end, length);
    if (!alone && is_lower(after) && (ellipsis || closed))
        return false;
    if (period && stops == 1 && !closed && !period_ends(text, begin, first, after))
        return false;
    *at = end;
    return true;
}

/* -------------------------------------------------------------------- lines */

static size_t line_end(const char *text, size_t at, size_t length)
{
    const char *newline = memchr(text + at, '\n', length - at);
    return newline != NULL ? (size_t)(newline - text) : length;
}

static bool blank_at(const char *text, size_t at, size_t end)
{
    return at >= end || text[at] == ' ' || text[at] == '\t' || text[at] == '\r';
}

/* A heading ("## Name") or a ruler ("-----"): it is read together with what
 * follows. */
static bool is_heading_line(const char *text, size_t at, size_t end)
{
    size_t run = at;
    while (run < end && text[run] == text[at])
        run++;
    if (text[at] == '#')
        return run - at <= 6 && blank_at(text, run, end);
    bool ruler = text[at] == '-' || text[at] == '=' || text[at] == '~' || text[at] == '*' ||
                 text[at] == '_';
    return ruler && run - at >= 3 && assay_skip_space(text, run, end) == end;
}

/* A list item, table row or fence: it begins a sentence. text[at] is the first
 * character of the line that is not white space. */
static bool is_item_line(const char *text, size_t at, size_t end)
{
    size_t bytes;
    int32_t first = assay_char_at(text + at, end - at, &bytes);
    switch (first) {
    case '|':
        return true;
    case '-': case '*': case '+': case 0x2022: case 0x2023: case 0x25E6: case 0x25AA:
    case 0x2043: case 0x2013:
        if (blank_at(text, at + bytes, end))
            return true;
        break;
    case '`':
        if (end - at >= 3 && text[at + 1] == '`' && text[at + 2] == '`')
            return true;
        break;
    default:
        break;
    }
    size_t digits = at;
    while (digits < end && digits - at < 4 && is_digit(text[digits]))
        digits++;
    if (digits > at && digits < end && (text[digits] == '.' || text[digits] == ')') &&
        blank_at(text, digits + 1, end))
        return true;
    return memchr(text + at, '\t', end - at) != NULL;
}

/* Whether white space from text[at] on has an empty line (or a page break) in
 * it; *next is where it ends, *newline tells that it has a line end. */
static bool has_empty_line(const char *text, size_t at, size_t length, size_t *next,
                           bool *newline)
{
    size_t lines = 0;
    while (at < length) {
        size_t space = assay_space_at(text + at, length - at);
        if (space == 0)
            break;
        bool paragraph = space == 3 && memcmp(text + at, "\xE2\x80\xA9", 3) == 0;
        lines += text[at] == '\n' ? 1 : text[at] == '\f' || paragraph ? 2 : 0;
        at += space;
    }
    *next = at;
    *newline = lines > 0;
    return lines > 1;
}

/* Whether text[begin, end), the rest of a line, is of a table. */
static bool is_row(const char *text, size_t begin, size_t end)
{
    return text[begin] == '|' || memchr(text + begin, '\t', end - begin) != NULL;
}

/* Whether only blanks lie between text[at] and the line's begin. */
static bool is_line_begin(const char *text, size_t at)
{
    while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t' || text[at - 1] == '\r'))
        at--;
    return at == 0 || text[at - 1] == '\n';
}

/* Past heading lines at the beginning of a sentence, and past the space below:
 * where the text proper begins; `length` when nothing follows. */
static size_t skip_headings(const char *text, size_t at, size_t length)
{
    /* Asked first: a line of many sentences must not be searched for its end
     * once a sentence. */
    while (at < length && is_line_begin(text, at)) {
        size_t end = line_end(text, at, length);
        if (!is_heading_line(text, at, end))
            break;
        at = assay_skip_space(text, end, length);
    }
    return at;
}

size_t assay_sentence_end(const char *text, size_t begin, size_t length)
{
    size_t at = skip_headings(text, begin, length);
    size_t sentence = at, line = at; /* where the text proper and its line begin */
    while (at < length) {
        size_t space = assay_space_at(text + at, length - at);
        if (space > 0) {
            size_t next;
            bool newline;
            bool empty = has_empty_line(text, at, length, &next, &newline);
            if (next == length || empty)
                return at;
            if (newline) {
                size_t end = line_end(text, next, length);
                if (is_heading_line(text, next, end) && text[next] != '#') {
                    /* An underline: what is above it is a heading. */
                    at = sentence = line = skip_headings(text, next, length);
                    continue;
                }
                if (text[next] == '#' ? is_heading_line(text, next, end)
                                      : is_item_line(text, next, end) || is_row(text, line, at))
                    return at;
                line = next;
            }
            at = next;
            continue;
        }
        size_t bytes;
        int32_t point = assay_char_at(text + at, length - at, &bytes);
        if (stop_of(point) == STOP_NONE) {
            at += bytes;
            continue;
        }
        if (pass_stops(text, sentence, &at, length))
            return at;
    }
    return assay_trim_end(text, begin, length);
}
