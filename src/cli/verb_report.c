/* SPDX-License-Identifier: Apache-2.0 */
/* verb_report.c: `assay report`, what reranking changed and what users clicked; and clicks
 * as judgments. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli/output.h"
#include "server/serve.h"

typedef struct report_settings {
    assay_common common;
    const char *collection, *pipeline, *html, *qrels, *queries;
    uint32_t days, top;
} report_settings;

/* ---- For people ------------------------------------------------------------------------ */

static void print_name(const char *name)
{
    printf("  %-28s", name);
}

static void print_interval(const char *name, const assay_interval *interval, int digits)
{
    print_name(name);
    if (interval->count == 0) {
        printf("-\n");
        return;
    }
    printf("%.*f", digits, interval->mean);
    if (isfinite(interval->low))
        printf("  (%.*f to %.*f)", digits, interval->low, digits, interval->high);
    putchar('\n');
}

static void print_share(const char *name, double share)
{
    print_name(name);
    if (isfinite(share))
        printf("%.1f%%\n", share * 100);
    else
        printf("-\n");
}

static void print_heading(const char *text)
{
    printf("\n%s%s%s\n", assay_style_code(ASSAY_STYLE_STRONG), text,
           assay_style_code(ASSAY_STYLE_PLAIN));
}

static void print_clicks(const assay_feedback_report *r)
{
    print_heading("What users clicked");
    if (r->clicked == 0) {
        puts(r->clicks > 0 ? "  All clicks were on interleaved answers, which have no order before."
                           : "  No clicks were told yet: POST /v1/events.");
        return;
    }
    print_interval("places moved up", &r->lift, 2);
    print_interval("the same, by propensity", &r->lift_weighted, 2);
    print_interval("click MRR before reranking", &r->mrr_before, 3);
    print_interval("click MRR after", &r->mrr_after, 3);
    print_interval("gain", &r->mrr_gain, 3);
    print_name("p-value of that");
    printf("%.3g\n", r->mrr_p_value);
    printf("  Clicks are made on the order that was shown, which favours it; a comparison of two\n"
           "  pipelines (assay serve --compare) does not.\n");
}

static void print_order(const assay_feedback_report *r)
{
    char name[64];
    print_heading("What reranking changed");
    print_share("another first hit", r->first_changed);
    snprintf(name, sizeof name, "another order of the top %u", r->top);
    print_share(name, r->top_changed);
    print_interval("rank correlation (tau)", &r->correlation, 2);
    print_share("passages cut for it", r->truncated);
    print_share("searches without it", r->degraded);
    print_name("milliseconds a search");
    printf("%.1f mean, %.1f median, %.1f at 95%%; retrieval %.1f\n", r->rerank_ms,
           r->rerank_ms_median, r->rerank_ms_95, r->first_ms);
}

static void print_users(const assay_feedback_report *r)
{
    print_heading("Whether users were content");
    print_share("asked again in other words", r->reformulated);
    if (r->dwells > 0) {
        print_share("stayed 30 s and more", r->satisfied);
        print_name("median stay");
        printf("%.0f s\n", r->dwell_median);
    }
    if (r->up + r->down > 0) {
        print_name("said right, wrong");
        printf("%llu, %llu\n", (unsigned long long)r->up, (unsigned long long)r->down);
    }
}

/* A bar of at most `width` blocks for part of most. */
static void print_bar(uint64_t part, uint64_t most, unsigned width)
{
    uint64_t blocks = most > 0 ? (part * width + most - 1) / most : 0;
    for (uint64_t i = 0; i < blocks; i++)
        fputs("█", stdout);
    putchar('\n');
}

static void print_moves(const assay_feedback_report *r)
{
    uint64_t most = 0;
    int middle = ASSAY_FEEDBACK_MOVES / 2;
    for (size_t i = 0; i < ASSAY_FEEDBACK_MOVES; i++)
        most = r->moves[i] > most ? r->moves[i] : most;
    if (most == 0)
        return;
    print_heading("Clicks by places that reranking moved the document up");
    for (int i = ASSAY_FEEDBACK_MOVES - 1; i >= 0; i--) {
        if (r->moves[i] == 0)
            continue;
        bool end = i == 0 || i == ASSAY_FEEDBACK_MOVES - 1;
        printf("  %+4d%s %8llu  ", i - middle, end ? "…" : " ", (unsigned long long)r->moves[i]);
        print_bar(r->moves[i], most, 40);
    }
}

static void print_ranks(const assay_feedback_report *r)
{
    if (r->clicks == 0)
        return;
    print_heading(r->estimated ? "Ranks: shown, clicked, propensity (fitted)"
                               : "Ranks: shown, clicked, propensity (1/rank: too few documents "
                                 "were seen at several)");
    for (size_t i = 0; i < ASSAY_FEEDBACK_RANKS; i++) {
        if (r->shown_counts[i] == 0)
            continue;
        printf("  %4zu %8llu %8llu  %.2f\n", i + 1, (unsigned long long)r->shown_counts[i],
               (unsigned long long)r->click_counts[i], r->propensities[i]);
    }
}

static void print_lists(const assay_feedback_report *r)
{
    if (r->unseen_clicks > 0) {
        print_heading("Clicked, but never retrieved for the question");
        printf("  %llu click%s; no reranker can bring what retrieval does not find.\n",
               (unsigned long long)r->unseen_clicks, r->unseen_clicks == 1 ? "" : "s");
    }
    for (size_t i = 0; i < r->unseen_count; i++) {
        printf("  %8llu  ", (unsigned long long)r->unseen[i].clicks);
        assay_print_text(stdout, r->unseen[i].document, strlen(r->unseen[i].document));
        putchar('\n');
    }
    if (r->hurt_count > 0)
        print_heading("Questions whose clicks reranking had moved down: places, clicks");
    for (size_t i = 0; i < r->hurt_count; i++) {
        const assay_feedback_query *q = &r->hurt[i];
        printf("  %8.1f %8llu  ", q->lift, (unsigned long long)q->clicks);
        assay_print_text(stdout, q->text.length > 0 ? q->text.data : q->id,
                         q->text.length > 0 ? q->text.length : strlen(q->id));
        putchar('\n');
    }
}

static void print_verdict(const assay_feedback_trial *t)
{
    if (t->better > 0)
        printf("  users prefer %s (p = %.2g)\n", t->better == 1 ? t->first : t->second,
               t->p_value);
    else if (isfinite(t->p_value))
        printf("  no difference shown (p = %.2g)\n", t->p_value);
    else
        printf("  nothing to judge by yet\n");
}

static void print_trials(const assay_feedback_report *r)
{
    for (size_t i = 0; i < r->trial_count; i++) {
        const assay_feedback_trial *t = &r->trials[i];
        char heading[256];
        snprintf(heading, sizeof heading, "%.100s against %.100s, %s", t->first, t->second,
                 t->trial == ASSAY_TRIAL_SPLIT ? "by sessions" : "interleaved");
        print_heading(heading);
        if (t->trial == ASSAY_TRIAL_SPLIT) {
            print_interval(t->first, &t->mrr_first, 3);
            print_interval(t->second, &t->mrr_second, 3);
        } else {
            printf("  %llu searches: %llu won by %s, %llu by %s, %llu ties\n",
                   (unsigned long long)t->searches, (unsigned long long)t->wins_first, t->first,
                   (unsigned long long)t->wins_second, t->second, (unsigned long long)t->ties);
        }
        print_verdict(t);
    }
}

static void print_people(const assay_feedback_report *r)
{
    char digits[32], more[32];
    printf("%s searches, %s with a click", assay_print_count(digits, r->searches),
           assay_print_count(more, r->clicked));
    if (r->read < r->searches)
        printf("; the last %s were looked into", assay_print_count(digits, r->read));
    printf(".\n");
    if (r->read == 0)
        return;
    print_order(r);
    print_clicks(r);
    print_users(r);
    print_moves(r);
    print_ranks(r);
    print_lists(r);
    print_trials(r);
}

/* ---- Files ------------------------------------------------------------------------------- */

static FILE *open_file(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (file == NULL)
        assay_warn("%s: %s", path, strerror(errno));
    return file;
}

static int close_file(FILE *file, const char *path, int code)
{
    bool failed = ferror(file) != 0;
    if (file != stdout && fclose(file) != 0)
        failed = true;
    if (!failed)
        return code;
    assay_warn("%s: cannot be written", path);
    return ASSAY_EXIT_ERROR;
}

static int write_qrels(const char *path, const assay_judgments *judgments)
{
    size_t left_out = 0;
    FILE *file = open_file(path);
    if (file == NULL)
        return ASSAY_EXIT_ERROR;
    for (size_t i = 0; i < judgments->count; i++) {
        const assay_judgment *j = &judgments->items[i];
        if (strpbrk(j->document, " \t\r\n\v\f") != NULL)
            left_out++;
        else
            fprintf(file, "%s 0 %s %u\n", j->query, j->document, j->grade);
    }
    if (left_out > 0)
        assay_warn("%zu judgments were left out: TREC's format has no way to write an id with a "
                   "space", left_out);
    return close_file(file, path, ASSAY_EXIT_OK);
}

/* A line for each question whose text was recorded; judgments are sorted by question. */
static int write_queries(const char *path, const assay_judgments *judgments)
{
    size_t without = 0;
    FILE *file = open_file(path);
    if (file == NULL)
        return ASSAY_EXIT_ERROR;
    for (size_t i = 0; i < judgments->count; i++) {
        const assay_judgment *j = &judgments->items[i];
        if (i > 0 && strcmp(j->query, judgments->items[i - 1].query) == 0)
            continue;
        json_t *line = json_pack("{s:s, s:o}", "_id", j->query, "text",
                                 assay_json_text(j->text.data, j->text.length));
        without += j->text.length == 0;
        if (j->text.length > 0 && line != NULL) {
            json_dumpf(line, file, JSON_COMPACT);
            fputc('\n', file);
        }
        json_decref(line);
    }
    if (without > 0)
        assay_warn("%zu questions have no text: it is recorded with 'assay serve --record-text'",
                   without);
    return close_file(file, path, ASSAY_EXIT_OK);
}

static int export_judgments(const report_settings *s, assay_feedback *feedback,
                            const assay_report_options *options)
{
    assay_error error;
    assay_judgments judgments;
    if (assay_feedback_judge(feedback, options, &judgments, &error) != ASSAY_OK)
        return assay_report(&error);
    int code = s->qrels != NULL ? write_qrels(s->qrels, &judgments) : ASSAY_EXIT_OK;
    if (code == ASSAY_EXIT_OK && s->queries != NULL)
        code = write_queries(s->queries, &judgments);
    assay_judgments_free(&judgments);
    return code;
}

static int write_html(const char *path, const char *json)
{
    FILE *file = open_file(path);
    if (file == NULL)
        return ASSAY_EXIT_ERROR;
    assay_serve_report_page(file, json);
    return close_file(file, path, ASSAY_EXIT_OK);
}

static int print_report(const report_settings *s, const assay_feedback_report *report)
{
    assay_error error;
    char *json = NULL;
    int code = ASSAY_EXIT_OK;
    if ((s->common.json || s->html != NULL) &&
        assay_feedback_report_json(report, &json, &error) != ASSAY_OK)
        return assay_report(&error);
    if (s->html != NULL)
        code = write_html(s->html, json);
    if (s->common.json)
        printf("%s\n", json);
    else if (s->html == NULL)
        print_people(report);
    assay_free(json);
    return code;
}

static int run(const void *given, char **arguments, size_t count)
{
    (void)arguments;
    (void)count;
    const report_settings *s = given;
    const assay_report_options options = {.collection = s->collection, .pipeline = s->pipeline,
                                          .days = s->days, .top = s->top};
    assay_error error;
    assay_feedback *feedback;
    assay_feedback_report report;
    if (assay_feedback_open(NULL, &(assay_feedback_options){.read_only = true}, &feedback,
                            &error) != ASSAY_OK)
        return assay_report(&error);
    int code = ASSAY_EXIT_OK;
    if (s->qrels != NULL || s->queries != NULL) {
        code = export_judgments(s, feedback, &options);
    } else if (assay_feedback_sum(feedback, &options, &report, &error) == ASSAY_OK) {
        code = print_report(s, &report);
        assay_feedback_report_free(&report);
    } else {
        code = assay_report(&error);
    }
    assay_feedback_close(feedback);
    return code;
}

#define FIELD(name) offsetof(report_settings, name)

static const assay_option options[] = {
    {"days", ASSAY_OPTION_COUNT, FIELD(days), "N",
     "only what was recorded in the last N days (default: all that is kept)", 1, 36500},
    {"collection", ASSAY_OPTION_TEXT, FIELD(collection), "NAME",
     "only searches of this collection (default: all)", 0, 0},
    {"pipeline", ASSAY_OPTION_TEXT, FIELD(pipeline), "NAME",
     "only searches by this pipeline (default: all)", 0, 0},
    {"top", ASSAY_OPTION_COUNT, FIELD(top), "N",
     "how many of the first hits are looked at for a change (default: 5)", 1, 1000},
    {"html", ASSAY_OPTION_TEXT, FIELD(html), "FILE",
     "write the report with its charts as one page that needs nothing else", 0, 0},
    {"qrels", ASSAY_OPTION_TEXT, FIELD(qrels), "FILE",
     "write judgments made of clicks instead, in TREC format, '-' for standard output", 0, 0},
    {"queries", ASSAY_OPTION_TEXT, FIELD(queries), "FILE",
     "and the questions that they are of, as queries.jsonl", 0, 0},
};

static const assay_example examples[] = {
    {"assay report", "What reranking moved, what users clicked, which pipeline they prefer"},
    {"assay report --days 7 --html week.html", "The last week, as a page with charts"},
    {"assay report --qrels qrels.txt --queries queries.jsonl",
     "Clicks as judgments, for `assay eval`"},
    {NULL, NULL},
};

const assay_verb assay_verb_report = {
    .name = "report",
    .arguments = "",
    .summary = "tell what reranking changed in production, and what users clicked",
    .description =
        "Sums up what `assay serve --record` has recorded: how reranking moved what users "
        "clicked, how often it changed the answer, what it cost, where it hurt, what was never "
        "retrieved, and which of two pipelines users prefer. Intervals are of 95% confidence. "
        "With --qrels, clicks become judgments by a position-based model of clicks.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(report_settings),
    .arguments_max = 0,
    .run = run,
};
