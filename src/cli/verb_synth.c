/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_synth.c: `assay synth`, queries made up for the passages of a collection, where
 * nobody has judged any.
 */
#include <string.h>

#include "cli/llm_options.h"
#include "cli/progress.h"

enum { FROM_LLM, FROM_SENTENCES };

typedef struct synth_settings {
    assay_common common;
    const char *out, *kinds, *examples, *url, *model;
    uint32_t from, passages, each, retriever, parallel, seed, threads;
    assay_setting within, price_input, price_output;
} synth_settings;

/* ---------------------------------------------------------------------- results */

static int print_json(const synth_settings *s, const char *collection,
                      const assay_synth_report *r)
{
    assay_answer answer = assay_answer_new();
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"queries", r->queries},     {"passages", r->passages}, {"resumed", r->resumed},
        {"unusable", r->unusable},   {"written", r->written},   {"malformed", r->malformed},
        {"pointing", r->pointing},   {"copied", r->copied},     {"duplicates", r->duplicates},
        {"lost", r->lost},
    };
    assay_answer_set(&answer, answer.root, "output", assay_json_name(s->out));
    assay_answer_set(&answer, answer.root, "collection", assay_json_name(collection));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assay_answer_set(&answer, answer.root, counts[i].name, assay_json_count(counts[i].value));
    assay_llm_json(&answer, answer.root, &r->llm);
    assay_answer_set(&answer, answer.root, "seconds", json_real(r->seconds));
    return assay_answer_print(&answer);
}

static void print_report(const synth_settings *s, const assay_synth_report *r)
{
    char text[4][32];
    printf("%s: %s queries for %s passages", s->out, assay_print_count(text[0], r->queries),
           assay_print_count(text[1], r->passages));
    if (r->resumed)
        printf(" (%s of them from before)", assay_print_count(text[2], r->resumed));
    assay_llm_print(&r->llm);
    printf("\n  left out     %s did not find their document, %s are doubled, %s copied, %s point "
           "at the passage, ",
           assay_print_count(text[0], r->lost), assay_print_count(text[1], r->duplicates),
           assay_print_count(text[2], r->copied), assay_print_count(text[3], r->pointing));
    printf("%s malformed\n  passed over  %s passages that are too short, or have no fit sentence\n",
           assay_print_count(text[0], r->malformed), assay_print_count(text[1], r->unusable));
}

/* ---------------------------------------------------------------------- options */

/* "question,claim" as bits; 0: not understood. */
static uint32_t read_kinds(const char *names)
{
    uint32_t kinds = 0;
    for (const char *at = names; *at != '\0';) {
        size_t length = strcspn(at, ",");
        uint32_t kind = 0;
        while (kind < ASSAY_QUERY_SENTENCE &&
               (strlen(assay_query_kind_name(kind)) != length ||
                strncmp(assay_query_kind_name(kind), at, length) != 0))
            kind++;
        if (kind == ASSAY_QUERY_SENTENCE)
            return 0;
        kinds |= 1u << kind;
        at += length + (at[length] == ',');
    }
    return kinds;
}

static int check(const synth_settings *s, uint32_t *kinds)
{
    const assay_verb *verb = &assay_verb_synth;
    if (!s->out)
        return assay_usage(verb, "--out is missing: the folder to write");
    if (s->from == FROM_SENTENCES && (s->kinds || s->examples || s->url || s->model))
        return assay_usage(verb, "--from sentences asks no language model: --kinds, --examples "
                                 "and --llm-... do not go with it");
    if (s->from == FROM_SENTENCES) {
        *kinds = 1u << ASSAY_QUERY_SENTENCE;
        return ASSAY_EXIT_OK;
    }
    *kinds = s->kinds ? read_kinds(s->kinds) : 1u << ASSAY_QUERY_QUESTION;
    return *kinds ? ASSAY_EXIT_OK
                  : assay_usage(verb, "--kinds %s: expected question, claim or keywords, or some "
                                      "of them with commas between", s->kinds);
}

static int run(const void *given, char **arguments, size_t count)
{
    const synth_settings *s = given;
    const char *collection = count == 1 ? arguments[0] : "default";
    assay_error error;
    assay_store *store;
    assay_synth_report report;
    const assay_llm_options llm = {
        .url = s->url,
        .model = s->model,
        .parallel = s->parallel,
        .price_input = s->price_input,
        .price_output = s->price_output,
    };
    assay_synth_options options = {
        .llm = &llm,
        .examples = s->examples,
        .passages = s->passages,
        .each = s->each,
        .within = s->within,
        .retriever = (assay_retriever)s->retriever,
        .seed = s->seed,
        .threads = s->threads,
    };
    int code = check(s, &options.kinds);
    if (code != ASSAY_EXIT_OK)
        return code;
    assay_interrupt_arm();
    if (assay_store_open(NULL, NULL, &store, &error) != ASSAY_OK)
        return assay_report(&error);
    assay_bar bar = assay_bar_new(NULL, "passages");
    assay_status status = assay_synth(store, collection, s->out, &options, assay_bar_update, &bar,
                                      &report, &error);
    assay_bar_clear(&bar);
    assay_store_close(store);
    if (status != ASSAY_OK)
        return assay_report(&error);
    if (s->common.json)
        code = print_json(s, collection, &report);
    else
        print_report(s, &report);
    return code == ASSAY_EXIT_OK && report.llm.failed > 0 ? ASSAY_EXIT_PARTLY : code;
}

#define FIELD(name) offsetof(synth_settings, name)
static const assay_option options[] = {
    {"out", ASSAY_OPTION_TEXT, FIELD(out), "FOLDER", "where queries and judgments go", 0, 0},
    {"from", ASSAY_OPTION_CHOICE, FIELD(from), "llm|sentences",
     "who makes the queries: a language model behind a chat API, or nobody: they are sentences "
     "of the passages (default: llm)", 0, 0},
    {"kinds", ASSAY_OPTION_TEXT, FIELD(kinds), "LIST",
     "of question, claim, keywords; passages take turns where there are several (default: "
     "question)", 0, 0},
    {"examples", ASSAY_OPTION_TEXT, FIELD(examples), "FILE",
     "some passages with queries as you want them, shown to the model before each question; a "
     "small one needs them: JSON lines of \"passage\" and \"question\", \"claim\" or \"keywords\"",
     0, 0},
    {"passages", ASSAY_OPTION_COUNT, FIELD(passages), "N",
     "how many passages, drawn at random (default: 1000)", 1, 10000000},
    {"each", ASSAY_OPTION_COUNT, FIELD(each), "N",
     "queries of each (default: 2, of sentences 1)", 1, 100},
    {"within", ASSAY_OPTION_NUMBER, FIELD(within), "N",
     "keep a query that finds its document among the first N; 0: any (default: 10)", 0, 10000},
    {"retriever", ASSAY_OPTION_CHOICE, FIELD(retriever), "auto|bm25|dense|hybrid",
     "what looks for it (default: auto, hybrid where there are vectors)", 0, 0},
    {"llm-url", ASSAY_OPTION_TEXT, FIELD(url), "URL",
     "an OpenAI-compatible chat API, up to and with /v1 (default: $ASSAY_LLM_URL); its key is in "
     "$ASSAY_LLM_KEY", 0, 0},
    {"llm-model", ASSAY_OPTION_TEXT, FIELD(model), "NAME",
     "the model as the API calls it (default: $ASSAY_LLM_MODEL)", 0, 0},
    {"parallel", ASSAY_OPTION_COUNT, FIELD(parallel), "N", "requests at a time (default: 4)", 1,
     256},
    {"price-input", ASSAY_OPTION_NUMBER, FIELD(price_input), "X",
     "of a million tokens, in any currency, for the account (default: 0)", 0, 1e9},
    {"price-output", ASSAY_OPTION_NUMBER, FIELD(price_output), "X", "likewise (default: 0)", 0,
     1e9},
    {"seed", ASSAY_OPTION_COUNT, FIELD(seed), "N", "of what is drawn (default: 0)", 0,
     UINT32_MAX},
    {"threads", ASSAY_OPTION_COUNT, FIELD(threads), "N",
     "threads (default: as many as the machine allows)", 1, 1024},
};

static const assay_example examples[] = {
    {"assay synth handbook --out made --llm-url http://127.0.0.1:8080/v1 --llm-model qwen3",
     "Two questions for each of 1000 passages of the collection handbook"},
    {"assay synth handbook --out made --from sentences --passages 5000",
     "Without a language model"},
    {"assay train cross --data made --model cross --out models/handbook",
     "And what they are for"},
    {NULL, NULL},
};

const assay_verb assay_verb_synth = {
    .name = "synth",
    .arguments = "[COLLECTION]",
    .summary = "make up queries for passages, where nobody has judged any",
    .description =
        "Draws passages of COLLECTION (default: default) and has a language model write queries "
        "that they answer, or takes sentences out of them. Kept are those that find their "
        "document again, say something without the passage, and are not there yet. FOLDER gets "
        "queries.jsonl, qrels/train.tsv, and synth.json, which names the collection: what "
        "`assay mine`, `assay train` and `assay eval --split train` read.\n\nA sentence stands "
        "word for word in its passage; `mine` and `train` cut it out there.\n\nInterrupted, the "
        "same command goes on from there, and what was answered is not paid for twice. Where "
        "requests failed the exit code is 3.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(synth_settings),
    .arguments_min = 0,
    .arguments_max = 1,
    .run = run,
};
