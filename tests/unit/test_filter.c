/* SPDX-License-Identifier: Apache-2.0 */
/* test_filter.c: filters: what is read and what is refused, dates, what holds for
 * missing fields and values of other kinds; random expressions against a second
 * evaluation that knows no sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "index/flat.h"
#include "store/store.h"
#include "assert_ok.h"

static assay_store *store;
static assay_collection collection;
static char home[64];

static int open_store(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/assay-filter-XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    if (assay_store_open(home, &(assay_store_options){.create = true}, &store, &error) != ASSAY_OK)
        return -1;
    return assay_collection_create(store, "c", &(assay_collection_config){0}, &collection,
                                   &error) != ASSAY_OK;
}

static int close_store(void **state)
{
    (void)state;
    char file[96];
    assay_store_close(store);
    snprintf(file, sizeof file, "%s/assay.sqlite", home);
    unlink(file);
    return rmdir(home);
}

static void put(const char *id, const char *metadata)
{
    assay_stored_passage passages[2] = {{.length = 4}, {.length = 4, .offset = 4}};
    assay_stored_document document = {.id = id, .text = {"wordword", 8}, .metadata = metadata,
                                      .passages = passages, .passage_count = 2};
    assert_ok(assay_store_begin(store, &error));
    assert_ok(assay_document_put(store, &collection, &document, &error));
    assert_ok(assay_store_commit(store, &error));
}

/* Ids of the documents let through, in the order they were put: "a c". */
static const char *let_through(const char *expression)
{
    static char ids[4096];
    assay_filter *filter;
    assay_selection allowed;
    assay_error missing;
    assert_ok(assay_filter_parse(expression, &filter, &error));
    assert_ok(assay_store_filter(store, &collection, filter, &allowed, &missing, &error));
    assay_filter_free(filter);
    assay_arena *arena = assay_arena_new(0);
    ids[0] = '\0';
    for (uint64_t i = 0; i < allowed.passages.limit; i++) {
        assay_passage_view view;
        if (!assay_bits_has(&allowed.passages, i))
            continue;
        assert_ok(assay_passage_get(store, i, arena, &view, &error));
        if (view.offset > 0) /* the second of its document: both are, or none */
            continue;
        assert_true(assay_bits_has(&allowed.passages, i + 1));
        size_t length = strlen(ids);
        snprintf(ids + length, sizeof ids - length, "%s%s", length > 0 ? " " : "", view.id);
    }
    assay_arena_free(arena);
    assay_bits_free(&allowed.passages);
    return ids;
}

static void put_five(void)
{
    put("a", "{\"year\":2019,\"lang\":\"en\",\"tag\":[\"draft\",\"x\"],\"open\":true}");
    put("b", "{\"year\":2020.5,\"lang\":\"de\",\"author\":{\"name\":\"B. O'Hara\"},\"tag\":[]}");
    put("c", "{\"year\":\"2021\",\"lang\":\"\",\"published\":\"2020-05-31T23:30:00Z\"}");
    put("d", "{\"metadata\":{\"year\":1850,\"published\":\"2020-06-01T01:00:00+02:00\"},"
             "\"open\":false,\"größe\":3,\"two words\":null}");
    put("e", NULL);
}

static void test_semantics(void **state)
{
    (void)state;
    put_five();
    static const char *const cases[][2] = {
        {"year >= 2020", "b c"},
        {"year > 2019 and year < 2021", "b"},
        {"year = 2019 OR year == 2020.5", "a b"},
        {"year in (2019, 1850, \"x\")", "a d"},
        {"year not in (2019, 1850)", "b c e"},
        {"year = \"2021\"", "c"},       /* text, as it is written */
        {"year = 2021.0", "c"},         /* and the number that it is */
        {"year >= \"2\"", "c"},         /* kinds do not mix */
        {"year <= -1e300", ""},
        {"year != 2019", "b c d e"},    /* holds where it is missing */
        {"not (year = 2019)", "b c d e"},
        {"lang = ''", "c"},
        {"lang >= \"\"", "a b c"},
        {"lang < \"en\"", "b c"},
        {"lang > \"de\"", "a"},
        {"tag = \"x\" and tag = \"draft\"", "a"},
        {"exists(tag)", "a"},           /* an empty list has no value */
        {"not exists(year)", "e"},
        {"open = true", "a"},
        {"open != true", "b c d e"},
        {"author.name = 'B. O\\'Hara'", "b"},
        {"`größe` = 3 or größe > 100", "d"},
        {"exists(`two words`)", ""},    /* null is none */
        {"published <= 2020-05", "c d"},  /* 01:00 in Rome is the 31st of May in UTC */
        {"published = 2020-05-31", "c d"},
        {"published > 2020-05-31", ""},
        {"published < 2020-05-31T23:30Z", "d"},
        {"published >= 2020-05-31T23:30:00", "c"},
        {"published = 2020-05-31T23:00:00.000Z", "d"},
        {"published in (2020-05-31T23:30Z, 1999-01-01)", "c"},
        {"published = \"2020-05-31T23:30:00Z\"", "c"},
        {"year = 2019 or year = 1850 and lang = \"en\"", "a"}, /* and binds more closely */
        {"(year = 2019 or year = 1850) and not lang = \"en\"", "d"},
        {"not not exists(open)", "a d"},
        {"nothing = 1", ""},
        {"nothing != 1", "a b c d e"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(let_through(cases[i][0]), cases[i][1]) != 0)
            fail_msg("%s: got '%s', expected '%s'", cases[i][0], let_through(cases[i][0]),
                     cases[i][1]);
    /* Replaced and deleted documents take their values with them. */
    bool found;
    put("a", "{\"year\":2030}");
    assert_string_equal(let_through("year > 2000"), "b c a");
    assert_string_equal(let_through("lang = \"en\""), "");
    assert_ok(assay_store_begin(store, &error));
    assert_ok(assay_document_delete(store, &collection, "b", &found, &error));
    assert_ok(assay_store_commit(store, &error));
    assert_string_equal(let_through("year > 2000"), "c a");
    assert_string_equal(let_through("year != 3"), "c d e a");
    uint64_t problems;
    assert_ok(assay_store_check(store, NULL, NULL, &problems, &error));
}

static void test_semantics_as_json(void **state)
{
    (void)state;
    put_five();
    static const char *const cases[][2] = {
        {"{\"year\": {\"$gte\": 2020}}", "b c"},
        {" \n{\"year\": {\"$gt\": 2019, \"$lt\": 2021}}", "b"},
        {"{\"$or\": [{\"year\": 2019}, {\"year\": {\"$eq\": 2020.5}}]}", "a b"},
        {"{\"year\": {\"$in\": [2019, 1850, \"x\"]}}", "a d"},
        {"{\"year\": {\"$nin\": [2019, 1850]}}", "b c e"},
        {"{\"year\": \"2021\"}", "c"},
        {"{\"year\": {\"$ne\": 2019}}", "b c d e"},
        {"{\"$not\": {\"year\": 2019}}", "b c d e"},
        {"{\"lang\": \"\"}", "c"},
        {"{\"lang\": {\"$lt\": \"en\"}}", "b c"},
        {"{\"tag\": {\"$exists\": true}}", "a"},
        {"{\"year\": {\"$exists\": false}}", "e"},
        {"{\"open\": true}", "a"},
        {"{\"author.name\": \"B. O'Hara\"}", "b"},
        {"{\"größe\": 3}", "d"},
        {"{\"published\": {\"$lte\": {\"$date\": \"2020-05\"}}}", "c d"},
        {"{\"published\": {\"$date\": \"2020-05-31\"}}", "c d"},
        {"{\"published\": {\"$lt\": {\"$date\": \"2020-05-31T23:30Z\"}}}", "d"},
        {"{\"published\": {\"$in\": [{\"$date\": \"2020-05-31T23:30Z\"}]}}", "c"},
        {"{\"year\": 1850, \"open\": false}", "d"},
        {"{\"$and\": [{\"year\": {\"$gt\": 1}}, {\"open\": true}]}", "a"},
        {"{\"open\": true, \"$not\": {\"$or\": [{\"tag\": \"draft\"}]}}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(let_through(cases[i][0]), cases[i][1]) != 0)
            fail_msg("%s: got '%s', expected '%s'", cases[i][0], let_through(cases[i][0]),
                     cases[i][1]);
    assay_filter *filter;
    assert_ok(assay_filter_parse("{}", &filter, &error));
    assert_null(filter);
}

static void test_json_refused(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"{\"year\": {\"$gte\": [1]}}", "filter, year.$gte",
         "expected a value; for one of several {\"$in\": [...]}"},
        {"{\"year\": null}", "filter, year",
         "expected a value; for a missing one {\"$exists\": false}"},
        {"{\"year\": {}}", "filter, year",
         "expected a value, or an operator such as {\"$gte\": 2020}"},
        {"{\"year\": {\"gte\": 1}}", "filter, year.gte",
         "expected $eq, $ne, $lt, $lte, $gt, $gte, $in, $nin or $exists"},
        {"{\"$or\": []}", "filter, $or", "expected a list of objects"},
        {"{\"$or\": [{\"a\": 1}, {}]}", "filter, $or[1]",
         "expected an object with a field's name, $and, $or or $not"},
        {"{\"$or\": [{\"a\": 1}, {\"b\": {\"$in\": [1, {}]}}]}", "filter, $or[1].b.$in[1]",
         "expected a date as {\"$date\": \"2020-05-01\"} or "
         "{\"$date\": \"2020-05-01T10:30:00Z\"}"},
        {"{\"$nor\": [{\"a\": 1}]}", "filter, $nor",
         "expected $and, $or, $not or a field's name of 1 to 256 bytes"},
        {"{\"\": 1}", "filter", "expected $and, $or, $not or a field's name of 1 to 256 bytes"},
        {"{\"a\": {\"$exists\": 1}}", "filter, a.$exists", "expected true or false"},
        {"{\"a\": {\"$gt\": true}}", "filter, a.$gt",
         "expected a number, a text or a date; true and false compare with $eq and $ne only"},
        {"{\"a\": {\"$date\": \"2021-02-29\"}}", "filter, a",
         "expected a date as {\"$date\": \"2020-05-01\"} or "
         "{\"$date\": \"2020-05-01T10:30:00Z\"}"},
        {"{\"a\": {\"$in\": 1}}", "filter, a.$in", "expected a list of values"},
    };
    assay_filter *filter;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(assay_filter_parse(cases[i][0], &filter, &error), ASSAY_E_FORMAT);
        if (strcmp(error.where, cases[i][1]) != 0 || strcmp(error.message, cases[i][2]) != 0)
            fail_msg("%s: got %s: %s", cases[i][0], error.where, error.message);
    }
    static const char *const broken[] = {"{", "{\"a\": 1} x", "{\"a\": 1, \"a\": 2}",
                                         "{\"a\": \"x\\u0000\"}", "{\"a\": 99999999999999999999}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_int_equal(assay_filter_parse(broken[i], &filter, &error), ASSAY_E_FORMAT);
        assert_non_null(strstr(error.where, "filter"));
    }
    for (int depth = ASSAY_FILTER_DEPTH; depth <= ASSAY_FILTER_DEPTH + 1; depth++) {
        char deep[1024] = "", end[128] = "";
        for (int i = 0; i < depth; i++) {
            strcat(deep, "{\"$not\":");
            strcat(end, "}");
        }
        strcat(strcat(deep, "{\"a\":1}"), end);
        assay_status status = assay_filter_parse(deep, &filter, &error);
        assert_int_equal(status, depth > ASSAY_FILTER_DEPTH ? ASSAY_E_FORMAT : ASSAY_OK);
        if (status == ASSAY_OK)
            assay_filter_free(filter);
    }
}

static void test_missing_field(void **state)
{
    (void)state;
    put("a", "{\"year\":2019,\"lang\":\"en\"}");
    assay_filter *filter;
    assay_selection allowed;
    assay_error missing;
    assert_ok(assay_filter_parse("year > 1 or yaer = 3", &filter, &error));
    assert_ok(assay_store_filter(store, &collection, filter, &allowed, &missing, &error));
    assert_int_equal(allowed.count, 2);
    assert_int_equal(missing.code, ASSAY_E_NOT_FOUND);
    assert_string_equal(missing.message, "no document has a field 'yaer'; there are: lang, year");
    assay_bits_free(&allowed.passages);
    assay_filter_free(filter);
}

/* What is left of BM25's list is in its order, with the scores that it had. */
static void test_bm25(void **state)
{
    (void)state;
    char id[16], metadata[32];
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "d%d", i);
        snprintf(metadata, sizeof metadata, "{\"n\":%d}", i);
        assay_stored_passage passage = {.length = (size_t)(5 + i % 7 * 5)};
        assay_stored_document document = {
            .id = id, .text = {"word word word word word word word word ", passage.length},
            .metadata = metadata, .passages = &passage, .passage_count = 1};
        assert_ok(assay_store_begin(store, &error));
        assert_ok(assay_document_put(store, &collection, &document, &error));
        assert_ok(assay_store_commit(store, &error));
    }
    assay_filter *filter;
    assay_selection allowed;
    assay_error missing;
    assay_candidate all[100], some[100];
    size_t count, few;
    assert_ok(assay_filter_parse("n >= 10 and n < 25", &filter, &error));
    assert_ok(assay_store_filter(store, &collection, filter, &allowed, &missing, &error));
    assert_ok(assay_store_bm25(store, &collection, (assay_text){"word", 4}, 0.9, 0.4, NULL, 100,
                               all, &count, &error));
    assert_ok(assay_store_bm25(store, &collection, (assay_text){"word", 4}, 0.9, 0.4, &allowed,
                               100, some, &few, &error));
    assert_int_equal(count, 60);
    assert_int_equal(few, 15);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (assay_bits_has(&allowed.passages, all[i].passage)) {
            assert_int_equal(all[i].passage, some[kept].passage);
            assert_true(all[i].score == some[kept].score);
            kept++;
        }
    assert_int_equal(kept, few);
    assay_bits_free(&allowed.passages);
    assay_filter_free(filter);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"", "1", "expected a field's name, and the filter ends"},
        {"year >=", "8", "expected a value: \"text\", a number, a date, true or false, and the "
                         "filter ends"},
        {"year >= 2020 lang = 1", "14", "expected and, or, or the end, found lang"},
        {"größe = en", "9", "expected a value (text stands in quotes), found en"},
        {"a = null", "5", "expected a value (for a missing one: not exists(field)), found null"},
        {"a = \"x", "5", "the quote that begins here has no end"},
        {"a = \"x\\", "5", "the quote that begins here has no end"},
        {"a = \"\\n\"", "6", "expected \\\", \\' or \\\\ after a backslash"},
        {"(a = 1", "7", "expected and, or, or \")\", and the filter ends"},
        {"a in (1, )", "10", "expected a value: \"text\", a number, a date, true or false, found )"},
        {"a in ()", "7", "expected a value: \"text\", a number, a date, true or false, found )"},
        {"a in 1", "6", "expected \"(\" and the values, found 1"},
        {"a not = 1", "7", "expected in after not, found ="},
        {"a ~ 1", "3", "expected =, !=, <, <=, >, >= or in after the field's name, found ~"},
        {"a < true", "5", "true and false compare with = and != only"},
        {"a = 2020-13", "5", "expected a number, or a date such as 2020-05-01 or "
                             "2020-05-01T10:30:00Z"},
        {"a = 2021-02-29", "5", "expected a number, or a date such as 2020-05-01 or "
                                "2020-05-01T10:30:00Z"},
        {"a = 5x", "5", "expected a number, or a date such as 2020-05-01 or 2020-05-01T10:30:00Z"},
        {"and = 1", "1", "expected a field's name (one that is a word of the language stands in "
                         "backquotes), found and"},
        {"exists(a", "9", "expected \")\", and the filter ends"},
        {"``=1", "1", "expected a field's name of 1 to 256 bytes in the backquotes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assay_filter *filter;
        char where[64];
        snprintf(where, sizeof where, "filter, character %s", cases[i][1]);
        assert_int_equal(assay_filter_parse(cases[i][0], &filter, &error), ASSAY_E_FORMAT);
        if (strcmp(error.where, where) != 0 || strcmp(error.message, cases[i][2]) != 0)
            fail_msg("%s: got %s: %s", cases[i][0], error.where, error.message);
    }
    char deep[512] = "";
    for (int i = 0; i < ASSAY_FILTER_DEPTH + 1; i++)
        strncat(deep, i % 2 ? "not " : "(", sizeof deep - strlen(deep) - 1);
    assay_filter *filter;
    assert_int_equal(assay_filter_parse(deep, &filter, &error), ASSAY_E_FORMAT);
    assert_non_null(strstr(error.message, "in one another"));
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t begin, length;
    } good[] = {
        {"1970-01-01", 0, 86400000},
        {"1970-01-01T00:00:01.5Z", 1500, 1},
        {"2000-02", INT64_C(949363200000), INT64_C(29) * 86400000},
        {"1969-12-31T23:59:59Z", -1000, 1000},
        {"2026-11-25T18:38:26+05:30", INT64_C(1795612106000), 1000},
        {"2026-11-25 18:38-0100", INT64_C(1795635480000), 60000},
        {"0000-01-01", INT64_C(-62167219200000), 86400000},
        {"9999-12-31", INT64_C(253402214400000), 86400000},
    };
    static const char *const bad[] = {"", "2020", "2020-1", "2020-00", "2020-01-32", "2020-01-01T",
                                      "2020-01-01T10", "2020-01-01T24:00", "2020-01-01T10:00:61",
                                      "2020-01-01T10:00:00.", "2020-01-01T10:00+2", "x020-01",
                                      "2020-01-01T10:00Zx", "1900-02-29", "2020-01T10:00"};
    int64_t begin, end;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(assay_date_read(good[i].text, strlen(good[i].text), &begin, &end));
        assert_int_equal(begin, good[i].begin);
        assert_int_equal(end - begin, good[i].length);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (assay_date_read(bad[i], strlen(bad[i]), &begin, &end))
            fail_msg("'%s' was read as a date", bad[i]);
}

/* ---- Random expressions ------------------------------------------------------------ */

enum { DOCUMENTS = 40, FIELDS = 3, VALUES = 6, EXPRESSIONS = 400 };

static uint64_t seed = 7;
static uint32_t pick(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* values[d][f] bit v: document d has the value v in field f; 0: it has none. */
static uint32_t values[DOCUMENTS][FIELDS];

typedef struct truth {
    bool of[DOCUMENTS];
} truth;

static void add(char *text, const char *more)
{
    strncat(text, more, 8191 - strlen(text));
}

/* The expression in JSON, written along. */
static char json[16384];

static void add_json(const char *more)
{
    strncat(json, more, sizeof json - 1 - strlen(json));
}

static truth compare(char *text)
{
    static const char *const signs[] = {"=", "!=", "<", "<=", ">", ">="};
    static const char *const names[] = {"eq", "ne", "lt", "lte", "gt", "gte"};
    uint32_t f = pick(FIELDS), v = pick(VALUES), sign = pick(6);
    char one[64];
    snprintf(one, sizeof one, f == 1 ? "f%u %s \"%u\"" : "f%u %s %u", f, signs[sign], v);
    add(text, one);
    snprintf(one, sizeof one, f == 1 ? "{\"f%u\":{\"$%s\":\"%u\"}}" : "{\"f%u\":{\"$%s\":%u}}", f,
             names[sign], v);
    add_json(one);
    truth out;
    uint32_t below = (1u << v) - 1, at = 1u << v, above = ~(below | at);
    uint32_t masks[] = {at, at, below, below | at, above, above | at};
    for (int d = 0; d < DOCUMENTS; d++)
        out.of[d] = ((values[d][f] & masks[sign]) != 0) != (sign == 1);
    return out;
}

static truth choose(char *text)
{
    uint32_t f = pick(FIELDS), wanted = 1 + pick((1u << VALUES) - 1);
    bool negated = pick(2);
    char one[64];
    snprintf(one, sizeof one, "f%u %sin (", f, negated ? "not " : "");
    add(text, one);
    snprintf(one, sizeof one, "{\"f%u\":{\"$%s\":[", f, negated ? "nin" : "in");
    add_json(one);
    for (uint32_t v = 0, first = 1; v < VALUES; v++)
        if (wanted >> v & 1) {
            snprintf(one, sizeof one, f == 1 ? "%s\"%u\"" : "%s%u", first ? "" : ", ", v);
            add(text, one);
            add_json(one);
            first = 0;
        }
    add(text, ")");
    add_json("]}}");
    truth out;
    for (int d = 0; d < DOCUMENTS; d++)
        out.of[d] = ((values[d][f] & wanted) != 0) != negated;
    return out;
}

static truth expression(char *text, int depth);

static truth connect(char *text, int depth)
{
    bool both = pick(2);
    add(text, "(");
    add_json(both ? "{\"$and\":[" : "{\"$or\":[");
    truth left = expression(text, depth - 1);
    add(text, both ? " and " : " OR ");
    add_json(",");
    truth right = expression(text, depth - 1);
    add(text, ")");
    add_json("]}");
    for (int d = 0; d < DOCUMENTS; d++)
        left.of[d] = both ? left.of[d] && right.of[d] : left.of[d] || right.of[d];
    return left;
}

static truth expression(char *text, int depth)
{
    uint32_t kind = depth == 0 ? pick(3) : pick(6);
    truth out;
    if (kind >= 4)
        return connect(text, depth);
    if (kind == 0)
        return choose(text);
    if (kind == 1) {
        uint32_t f = pick(FIELDS);
        char one[32];
        snprintf(one, sizeof one, "exists(f%u)", f);
        add(text, one);
        snprintf(one, sizeof one, "{\"f%u\":{\"$exists\":true}}", f);
        add_json(one);
        for (int d = 0; d < DOCUMENTS; d++)
            out.of[d] = values[d][f] != 0;
        return out;
    }
    if (kind == 2)
        return compare(text);
    add(text, "not ");
    add_json("{\"$not\":");
    out = expression(text, depth - 1);
    add_json("}");
    for (int d = 0; d < DOCUMENTS; d++)
        out.of[d] = !out.of[d];
    return out;
}

static void put_random(int d)
{
    char metadata[8192] = "{", id[16], one[32];
    for (uint32_t f = 0; f < FIELDS; f++) {
        values[d][f] = pick(3) == 0 ? 0 : 1u << pick(VALUES);
        if (f == 2)
            values[d][f] |= 1u << pick(VALUES);
        snprintf(one, sizeof one, "%s\"f%u\":[null", f > 0 ? "," : "", f);
        add(metadata, one);
        for (uint32_t v = 0; v < VALUES; v++)
            if (values[d][f] >> v & 1) {
                snprintf(one, sizeof one, f == 1 ? ",\"%u\"" : ",%u", v);
                add(metadata, one);
            }
        add(metadata, "]");
    }
    add(metadata, "}");
    snprintf(id, sizeof id, "%d", d);
    put(id, metadata);
}

static void test_random(void **state)
{
    (void)state;
    for (int d = 0; d < DOCUMENTS; d++)
        put_random(d);
    for (int i = 0; i < EXPRESSIONS; i++) {
        char text[8192] = "", expected[8192] = "", id[16];
        json[0] = '\0';
        truth holds = expression(text, 1 + i % 5);
        for (int d = 0; d < DOCUMENTS; d++)
            if (holds.of[d]) {
                snprintf(id, sizeof id, "%s%d", expected[0] ? " " : "", d);
                add(expected, id);
            }
        if (strcmp(let_through(text), expected) != 0)
            fail_msg("%s: got '%s', expected '%s'", text, let_through(text), expected);
        if (strcmp(let_through(json), expected) != 0)
            fail_msg("%s: got '%s', expected '%s'", json, let_through(json), expected);
        /* Cut anywhere it is a filter or has a place that is wrong in it. */
        text[pick((uint32_t)strlen(text))] = '\0';
        assay_filter *filter;
        if (assay_filter_parse(text, &filter, &error) == ASSAY_OK)
            assay_filter_free(filter);
        else
            assert_int_equal(error.code, ASSAY_E_FORMAT);
    }
}

/* The scan over some slots gives what is left of the scan over all. */
static void test_flat(void **state)
{
    (void)state;
    enum { N = 3000, D = 24 };
    char path[128];
    float vector[D];
    assay_flat_writer *writer;
    assay_flat *flat;
    snprintf(path, sizeof path, "%s/flat", home);
    assert_ok(assay_flat_create(path, &(assay_flat_stamp){1, 1, D}, &writer, &error));
    for (uint64_t i = 0; i < N; i++) {
        for (int j = 0; j < D; j++)
            vector[j] = (float)pick(1000) / 500 - 1;
        assert_ok(assay_flat_append(writer, 10 + 3 * i, vector, &error));
    }
    assert_ok(assay_flat_commit(writer, &error));
    assert_ok(assay_flat_open(path, &flat, &error));
    assay_flat_scratch *scratch = assay_flat_scratch_new(N, 2);
    assay_candidate *all = calloc(N, sizeof *all), *some = calloc(N, sizeof *some);
    assert_int_equal(assay_flat_search(flat, vector, NULL, scratch, all), N);
    for (uint32_t rarity = 1; rarity < 100; rarity *= 3) {
        assay_bits passages, slots;
        uint64_t count, kept = 0;
        assert_ok(assay_bits_new(&passages, 10 + 3 * N, &error));
        for (uint64_t i = 0; i < passages.limit; i++)
            if (pick(rarity) == 0)
                assay_bits_add(&passages, i);
        assert_ok(assay_flat_slots(flat, &passages, &slots, &count, &error));
        assert_int_equal(assay_flat_search(flat, vector, &slots, scratch, some), count);
        for (size_t i = 0; i < N; i++)
            if (assay_bits_has(&passages, all[i].passage)) {
                assert_int_equal(all[i].passage, some[kept].passage);
                assert_true(all[i].score == some[kept].score);
                kept++;
            }
        assert_int_equal(kept, count);
        assay_bits_free(&passages);
        assay_bits_free(&slots);
    }
    free(all);
    free(some);
    assay_flat_scratch_free(scratch);
    assay_flat_close(flat);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_semantics, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_semantics_as_json, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_missing_field, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_bm25, open_store, close_store),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_json_refused),
        cmocka_unit_test(test_dates),
        cmocka_unit_test_setup_teardown(test_random, open_store, close_store),
        cmocka_unit_test_setup_teardown(test_flat, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
