/* SPDX-License-Identifier: Apache-2.0 */
/* test_feedback.c: searches and events recorded and summed up, against numbers worked out by
 * hand and against users who were made up; what is kept of a question; files that are
 * foreign, newer, or not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <sqlite3.h>
#include <unistd.h>

#include <assay.h>

#include "assert_ok.h"

static char home[64], file[96];
static assay_feedback *feedback;

static int make_home(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/assay-feedback-XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    snprintf(file, sizeof file, "%s/feedback.sqlite", home);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    char command[192];
    assay_feedback_close(feedback);
    feedback = NULL;
    snprintf(command, sizeof command, "rm -rf %s", home);
    return system(command);
}

static void assert_fails(assay_status got, assay_status expected, const char *message)
{
    if (got != expected || strstr(error.message, message) == NULL)
        fail_msg("expected %s with '%s', got %s: %s: %s", assay_status_name(expected), message,
                 assay_status_name(got), error.where, error.message);
}

static void assert_near(double got, double expected, double within)
{
    if (!(fabs(got - expected) <= within))
        fail_msg("expected %g, got %g", expected, got);
}

static void open_it(const assay_feedback_options *options)
{
    assert_ok(assay_feedback_open(home, options, &feedback, &error));
}

/* A search of ranks: names[i] is at place i + 1, and was at before[i]. */
static void search_as(const char *id, const char *session, const char *query, int64_t at,
                      const char *const *names, const uint32_t *before, size_t count)
{
    assay_answered_hit hits[16];
    bool kept;
    for (size_t i = 0; i < count; i++)
        hits[i] = (assay_answered_hit){names[i], before[i], true, false};
    const assay_answered answered = {
        .search = id, .collection = "c", .session = session, .query = {query, strlen(query)},
        .hits = hits, .count = count, .shown = count, .scored = (uint32_t)count,
        .rerank_seconds = 0.01, .at = at,
    };
    assert_ok(assay_feedback_search(feedback, &answered, &kept, &error));
    assert_true(kept);
}

static void tell(const char *search, assay_event_kind kind, const char *document, double seconds)
{
    bool known;
    size_t failed;
    const assay_event event = {.kind = kind, .search = search, .document = document,
                               .seconds = seconds};
    assert_ok(assay_feedback_events(feedback, &event, 1, &known, &failed, &error));
    assert_true(known);
}

static assay_feedback_report sum(const assay_report_options *options)
{
    assay_feedback_report report;
    assert_ok(assay_feedback_sum(feedback, options, &report, &error));
    return report;
}

static const char *const abc[] = {"a", "b", "c"};

/* ---- By hand ----------------------------------------------------------------------- */

static void test_by_hand(void **state)
{
    (void)state;
    open_it(NULL);
    search_as("s1", NULL, "q one", 0, abc, (const uint32_t[]){3, 1, 2}, 3);
    search_as("s2", NULL, "q two", 0, abc, (const uint32_t[]){1, 2, 3}, 3);
    search_as("s3", NULL, "q three", 0, abc, (const uint32_t[]){1, 3, 2}, 3);
    tell("s1", ASSAY_EVENT_CLICK, "a", 0);     /* 3 -> 1 */
    tell("s1", ASSAY_EVENT_DWELL, "a", 40);    /* the same click */
    tell("s3", ASSAY_EVENT_CLICK, "c", 0);     /* 2 -> 3 */
    tell("s3", ASSAY_EVENT_CLICK, "gone", 0);  /* never a candidate */
    tell("s2", ASSAY_EVENT_UP, "b", 0);
    tell("s2", ASSAY_EVENT_UP, "c", 0);        /* taken back: */
    tell("s2", ASSAY_EVENT_DOWN, "c", 0);
    tell("s2", ASSAY_EVENT_DOWN, "c", 0);      /* told again */
    assay_feedback_report r = sum(&(assay_report_options){.top = 2});
    assert_int_equal(r.searches, 3);
    assert_int_equal(r.clicked, 2);
    assert_int_equal(r.clicks, 2);
    assert_near(r.lift.mean, (2 - 1) / 2.0, 1e-12);
    /* Of two values the interval is the mean and 12.7 standard errors. */
    assert_near(r.lift.high - r.lift.mean, 12.706 * 1.5, 1e-9);
    /* Up 2 at rank 1, down 1 at rank 3, whose propensity is taken as 1/3; what each search
     * adds to the ratio of 1/4 down is 1.125 from it. */
    assert_near(r.lift_weighted.mean, (1 * 2 - 3 * 1) / 4.0, 1e-12);
    assert_near(r.lift_weighted.high - r.lift_weighted.mean, 12.706 * 1.125, 1e-9);
    assert_near(r.mrr_before.mean, (1 / 3.0 + 1 / 2.0) / 2, 1e-12);
    assert_near(r.mrr_after.mean, (1 + 1 / 3.0) / 2, 1e-12);
    assert_near(r.mrr_gain.mean, r.mrr_after.mean - r.mrr_before.mean, 1e-12);
    assert_near(r.top_changed, 2 / 3.0, 1e-12);
    assert_near(r.first_changed, 1 / 3.0, 1e-12);
    /* tau: of (3,1,2) -1/3, of the same order 1, of (1,3,2) 1/3. */
    assert_near(r.correlation.mean, (-1 / 3.0 + 1 + 1 / 3.0) / 3, 1e-12);
    assert_near(r.correlation.high, 1, 0); /* and not beyond */
    assert_true(r.correlation.low >= -1 && r.mrr_before.low >= 0);
    assert_near(r.rerank_ms, 10, 1e-9);
    assert_int_equal(r.unseen_clicks, 1);
    assert_string_equal(r.unseen[0].document, "gone");
    assert_int_equal(r.hurt_count, 1);
    assert_near(r.hurt[0].lift, -1, 1e-12);
    assert_int_equal(r.hurt[0].text.length, 0);
    assert_int_equal(r.moves[10 + 2], 1);
    assert_int_equal(r.moves[10 - 1], 1);
    assert_int_equal(r.up, 1);
    assert_int_equal(r.down, 1);
    assert_near(r.satisfied, 1, 0);
    assert_false(r.estimated);
    assert_near(r.propensities[1], 0.5, 0);
    assert_int_equal(r.day_count, 1);
    char *json;
    assert_ok(assay_feedback_report_json(&r, &json, &error));
    assert_non_null(strstr(json, "\"clicked\":2,"));
    assay_free(json);
    assay_feedback_report_free(&r);
}

static void test_filter_and_impressions(void **state)
{
    (void)state;
    open_it(NULL);
    search_as("s1", NULL, "q", 0, abc, (const uint32_t[]){1, 2, 3}, 3);
    search_as("old", NULL, "q", 86400000LL * 20000, abc, (const uint32_t[]){1, 2, 3}, 3);
    tell("s1", ASSAY_EVENT_IMPRESSION, "b", 0); /* c was not seen */
    assay_feedback_report r = sum(&(assay_report_options){.days = 1});
    assert_int_equal(r.searches, 1);
    assert_int_equal(r.shown_counts[1], 1);
    assert_int_equal(r.shown_counts[2], 0);
    assay_feedback_report_free(&r);
    r = sum(&(assay_report_options){.collection = "other"});
    assert_int_equal(r.searches, 0);
    assert_true(isnan(r.top_changed));
    assay_feedback_report_free(&r);
    r = sum(&(assay_report_options){.read = 1});
    assert_int_equal(r.searches, 2);
    assert_int_equal(r.read, 1);
    assay_feedback_report_free(&r);
}

static void test_reformulations(void **state)
{
    (void)state;
    const uint32_t same[] = {1, 2, 3};
    const int64_t now = 1000000000000;
    open_it(&(assay_feedback_options){.keep_days = 36500});
    search_as("1", "x", "holiday carry over", now, abc, same, 3);
    search_as("2", "x", "Carry holidays over", now + 30000, abc, same, 3);  /* reformulates 1 */
    search_as("3", "x", "over CARRY holidays", now + 40000, abc, same, 3);  /* the same words */
    search_as("4", "y", "carry over holiday days", now + 41000, abc, same, 3); /* another's */
    search_as("5", "x", "parental leave", now + 50000, abc, same, 3);      /* no word shared */
    search_as("6", "x", "parental benefit", now + 500000, abc, same, 3);   /* too late */
    search_as("7", NULL, "parental leave when", now + 500001, abc, same, 3);
    assay_feedback_report r = sum(NULL);
    assert_near(r.reformulated, 1 / 6.0, 1e-12);
    assay_feedback_report_free(&r);
    tell("6", ASSAY_EVENT_REFORMULATION, NULL, 0);
    r = sum(NULL);
    assert_near(r.reformulated, 2 / 6.0, 1e-12);
    assert_int_equal(r.sessions, 2);
    assay_feedback_report_free(&r);
}

/* ---- What is kept ----------------------------------------------------------------------- */

/* Whether a word is anywhere in the files. */
static bool on_disk(const char *word)
{
    char command[256];
    snprintf(command, sizeof command, "cat %s/* | grep -aqi '%s'", home, word);
    return system(command) == 0;
}

static void test_privacy(void **state)
{
    (void)state;
    const uint32_t same[] = {1, 2, 3};
    open_it(NULL);
    search_as("s1", "alice@example.org", "zirconium", 0, abc, same, 3);
    assay_feedback_close(feedback);
    feedback = NULL;
    assert_false(on_disk("zirconium"));
    assert_false(on_disk("alice"));
    open_it(&(assay_feedback_options){.keep_text = true});
    search_as("s2", "alice@example.org", "zirconium", 0, abc, same, 3);
    tell("s2", ASSAY_EVENT_CLICK, "c", 0);
    assay_feedback_report r = sum(NULL);
    assert_int_equal(r.searches, 2);
    assert_int_equal(r.sessions, 1); /* the same hash */
    assay_feedback_report_free(&r);
    assay_feedback_close(feedback);
    feedback = NULL;
    assert_true(on_disk("zirconium"));
    assert_false(on_disk("alice"));
}

static void test_old_ones_go(void **state)
{
    (void)state;
    const uint32_t same[] = {1, 2, 3};
    open_it(&(assay_feedback_options){.keep_days = 1});
    search_as("old", NULL, "q", 1000000000000, abc, same, 3);
    assay_feedback_close(feedback);
    open_it(&(assay_feedback_options){.keep_days = 1});
    search_as("new", NULL, "q", 0, abc, same, 3);
    assay_feedback_report r = sum(NULL);
    assert_int_equal(r.searches, 1);
    assay_feedback_report_free(&r);
}

/* ---- Made-up users ------------------------------------------------------------------------ */

static uint64_t state_of_chance;

static double chance(void)
{
    uint64_t z = state_of_chance += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Users look at rank k with the probability 1 / sqrt(k) and click document d, when they
 * do, with 0.1 + 0.15 d; two hundred questions, five documents in any order each time. */
static void test_click_model(void **state)
{
    (void)state;
    static const char *const documents[] = {"0", "1", "2", "3", "4"};
    open_it(NULL);
    state_of_chance = 1;
    for (int i = 0; i < 6000; i++) {
        const char *names[5];
        uint32_t before[] = {1, 2, 3, 4, 5};
        char id[16], query[32];
        for (size_t k = 0; k < 5; k++)
            names[k] = documents[k];
        for (size_t k = 4; k > 0; k--) {
            size_t j = (size_t)(chance() * (double)(k + 1));
            const char *name = names[k];
            names[k] = names[j];
            names[j] = name;
        }
        snprintf(id, sizeof id, "%d", i);
        snprintf(query, sizeof query, "question %d", i % 200);
        search_as(id, NULL, query, 0, names, before, 5);
        for (size_t k = 0; k < 5; k++)
            if (chance() < 1 / sqrt((double)(k + 1)) &&
                chance() < 0.1 + 0.15 * (names[k][0] - '0'))
                tell(id, ASSAY_EVENT_CLICK, names[k], 0);
    }
    assay_feedback_report r = sum(NULL);
    assert_true(r.estimated);
    assert_int_equal(r.telling, 1000);
    for (size_t k = 0; k < 5; k++)
        assert_near(r.propensities[k], 1 / sqrt((double)(k + 1)), 0.05);
    assay_feedback_report_free(&r);

    assay_judgments judgments;
    assert_ok(assay_feedback_judge(feedback, NULL, &judgments, &error));
    assert_true(judgments.estimated);
    assert_int_equal(judgments.count, 1000);
    double means[5] = {0};
    for (size_t i = 0; i < judgments.count; i++)
        means[judgments.items[i].document[0] - '0'] += judgments.items[i].attraction / 200;
    for (size_t d = 0; d < 5; d++) /* drawn a little to the mean, 0.4 */
        assert_near(means[d], 0.1 + 0.15 * (double)d, 0.05);
    assert_int_equal(strlen(judgments.items[0].query), 32);
    assert_true(strcmp(judgments.items[0].query, judgments.items[999].query) < 0);
    assay_judgments_free(&judgments);
}

/* ---- Interleaving --------------------------------------------------------------------------- */

static void test_interleave(void **state)
{
    (void)state;
    static const char *const a[] = {"a", "b", "c", "d"}, *const b[] = {"c", "x", "a", "y"};
    assay_pick picks[16], again[16];
    size_t count, count_again, second_first = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        assert_ok(assay_interleave(a, 4, b, 4, 16, seed, picks, &count, &error));
        assert_int_equal(count, 6); /* a b c d x y */
        for (size_t i = 0; i < count; i++) {
            const char *name = (picks[i].second ? b : a)[picks[i].place];
            for (size_t j = 0; j < i; j++)
                assert_string_not_equal(name, (picks[j].second ? b : a)[picks[j].place]);
        }
        for (size_t i = 0; i + 1 < 4; i += 2) /* one of each in a round */
            assert_int_not_equal(picks[i].second, picks[i + 1].second);
        assert_ok(assay_interleave(a, 4, b, 4, 3, seed, again, &count_again, &error));
        assert_int_equal(count_again, 3);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(picks[i].second, again[i].second);
        second_first += picks[0].second;
    }
    assert_in_range(second_first, 440, 560);
    assert_ok(assay_interleave(a, 4, b, 0, 16, 7, picks, &count, &error));
    assert_int_equal(count, 4);
    assert_ok(assay_interleave(a, 0, b, 0, 16, 7, picks, &count, &error));
    assert_int_equal(count, 0);
}

/* Of an interleaved one, "a" is always the old one's. */
static void trial_search(const char *id, const char *session, assay_trial trial, bool second)
{
    bool swapped = trial == ASSAY_TRIAL_INTERLEAVED && second;
    const assay_answered_hit hits[] = {{"a", 1, true, swapped}, {"b", 1, true, !swapped}};
    const assay_answered answered = {
        .search = id, .collection = "c", .pipeline = second ? "new" : "old",
        .rival = second ? "old" : "new", .trial = trial, .session = session,
        .query = {"q", 1}, .hits = hits, .count = 2, .shown = 2,
    };
    assert_ok(assay_feedback_search(feedback, &answered, NULL, &error));
}

static void test_trials(void **state)
{
    (void)state;
    open_it(NULL);
    for (int i = 0; i < 24; i++) { /* 18 won by the second, 4 by the first, 1 tie, 1 nothing */
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        trial_search(id, NULL, ASSAY_TRIAL_INTERLEAVED, i % 3 == 1); /* --compare new,old */
        if (i < 18 || i == 22)
            tell(id, ASSAY_EVENT_CLICK, "b", 0);
        if (i >= 18 && i < 23)
            tell(id, ASSAY_EVENT_CLICK, "a", 0);
    }
    assay_feedback_report r = sum(NULL);
    assert_int_equal(r.trial_count, 1);
    const assay_feedback_trial *t = &r.trials[0];
    assert_string_equal(t->first, "old");
    assert_int_equal(t->wins_first, 4);
    assert_int_equal(t->wins_second, 18);
    assert_int_equal(t->ties, 1);
    assert_near(t->p_value, 0.004344, 1e-6); /* scipy.stats.binomtest(4, 22).pvalue */
    assert_int_equal(t->better, 2);
    assert_int_equal(r.clicked, 0); /* no one order before */
    assay_feedback_report_free(&r);

    for (int i = 0; i < 120; i++) { /* sessions of two searches; the second's click first */
        char id[24], session[24];
        bool second = i / 2 % 2;
        snprintf(id, sizeof id, "s%d", i);
        snprintf(session, sizeof session, "session %d", i / 2);
        trial_search(id, session, ASSAY_TRIAL_SPLIT, second);
        if (second ? i % 8 != 3 : i % 8 == 0)
            tell(id, ASSAY_EVENT_CLICK, "a", 0);
    }
    r = sum(NULL);
    assert_int_equal(r.trial_count, 2);
    t = &r.trials[r.trials[0].trial == ASSAY_TRIAL_SPLIT ? 0 : 1];
    assert_int_equal(t->searches, 60);
    double old = strcmp(t->first, "old") == 0 ? t->mrr_first.mean : t->mrr_second.mean;
    assert_near(old, 0.25, 1e-12);
    assert_near(t->mrr_first.mean + t->mrr_second.mean, 1, 1e-12);
    assert_true(t->p_value < 1e-6);
    assert_string_equal(t->better == 1 ? t->first : t->second, "new");
    assay_feedback_report_free(&r);
}

/* ---- Bad input -------------------------------------------------------------------------------- */

static assay_status event(const assay_event *one)
{
    bool known;
    size_t failed;
    return assay_feedback_events(feedback, one, 1, &known, &failed, &error);
}

static void test_bad_events(void **state)
{
    (void)state;
    bool kept = true;
    open_it(NULL);
    search_as("s1", NULL, "q", 0, abc, (const uint32_t[]){1, 2, 3}, 3);
    assert_fails(event(&(assay_event){.kind = ASSAY_EVENT_CLICK, .document = "a"}),
                 ASSAY_E_ARGUMENT, "expected 1 to 128 bytes");
    assert_fails(event(&(assay_event){.kind = (assay_event_kind)17, .search = "s1"}),
                 ASSAY_E_ARGUMENT, "no event kind 17");
    assert_fails(event(&(assay_event){.kind = ASSAY_EVENT_CLICK, .search = "s1"}),
                 ASSAY_E_ARGUMENT, "a document, or its position");
    assert_fails(event(&(assay_event){.kind = ASSAY_EVENT_CLICK, .search = "s1", .position = 4}),
                 ASSAY_E_ARGUMENT, "no hit at 4");
    assert_fails(event(&(assay_event){.kind = ASSAY_EVENT_DWELL, .search = "s1",
                                      .document = "a", .seconds = NAN}),
                 ASSAY_E_ARGUMENT, "0 to 1000000");
    assert_ok(event(&(assay_event){.kind = ASSAY_EVENT_CLICK, .search = "s1", .position = 2}));
    /* Several are taken all, or none: whoever sends them again counts none twice. */
    bool known[3];
    size_t failed = 9;
    assay_event several[] = {{.kind = ASSAY_EVENT_CLICK, .search = "s1", .document = "c"},
                             {.kind = ASSAY_EVENT_CLICK, .search = "s2", .document = "a"},
                             {.kind = ASSAY_EVENT_UP, .search = "s1", .position = 4}};
    assert_fails(assay_feedback_events(feedback, several, 3, known, &failed, &error),
                 ASSAY_E_ARGUMENT, "no hit at 4");
    assert_int_equal(failed, 2);
    assert_ok(assay_feedback_events(feedback, several + 1, 1, known, &failed, &error));
    assert_false(known[0]);
    const assay_answered twice = {.search = "s1", .query = {"q", 1}};
    assert_ok(assay_feedback_search(feedback, &twice, &kept, &error));
    assert_false(kept);
    assay_feedback_report r = sum(NULL);
    assert_int_equal(r.searches, 1);
    assert_int_equal(r.click_counts[1], 1);
    assert_int_equal(r.clicks, 1);
    assay_feedback_report_free(&r);
    const assay_answered_hit from_nowhere = {.document = "a"};
    const assay_answered broken = {.search = "s3", .query = {"q", 1}, .hits = &from_nowhere,
                                   .count = 1};
    assert_fails(assay_feedback_search(feedback, &broken, &kept, &error), ASSAY_E_ARGUMENT,
                 "ranks begin at 1");
}

static void sql(const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_bad_files(void **state)
{
    (void)state;
    const assay_feedback_options reading = {.read_only = true};
    assert_fails(assay_feedback_open(home, &reading, &feedback, &error), ASSAY_E_NOT_FOUND,
                 "nothing was recorded");
    open_it(NULL);
    search_as("s1", NULL, "q", 0, abc, (const uint32_t[]){1, 2, 3}, 3);
    tell("s1", ASSAY_EVENT_CLICK, "a", 0);
    assay_feedback_close(feedback);
    feedback = NULL;
    assert_ok(assay_feedback_open(home, &reading, &feedback, &error));
    assay_feedback_report r = sum(NULL);
    assert_int_equal(r.clicked, 1);
    assay_feedback_report_free(&r);
    assert_fails(event(&(assay_event){.kind = ASSAY_EVENT_CLICK, .search = "s1", .position = 1}),
                 ASSAY_E_ARGUMENT, "opened for reading");
    assay_feedback_close(feedback);
    feedback = NULL;
    sql("UPDATE searches SET hits = '[[1]]'");
    assert_ok(assay_feedback_open(home, &reading, &feedback, &error));
    assert_fails(assay_feedback_sum(feedback, NULL, &r, &error), ASSAY_E_CORRUPT,
                 "not [document, rank]");
    assay_feedback_close(feedback);
    feedback = NULL;
    sql("PRAGMA user_version = 9");
    assert_fails(assay_feedback_open(home, NULL, &feedback, &error), ASSAY_E_VERSION,
                 "newer assay");
    sql("PRAGMA application_id = 9");
    assert_fails(assay_feedback_open(home, NULL, &feedback, &error), ASSAY_E_FORMAT,
                 "another program");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        TEST(test_by_hand),     TEST(test_filter_and_impressions),
        TEST(test_reformulations), TEST(test_privacy),
        TEST(test_old_ones_go), TEST(test_click_model),
        TEST(test_interleave),  TEST(test_trials),
        TEST(test_bad_events),  TEST(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
