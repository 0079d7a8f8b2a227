/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_mine.c: `assay mine`, passages to learn from that look relevant and are not: of a
 * BEIR folder, which is brought up to date in its collection, or of a collection with
 * judgments of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/beir.h"
#include "cli/mining.h"
#include "cli/progress.h"

typedef struct mine_settings {
    assay_common common;
    const char *output, *collection, *model, *queries, *qrels, *teacher;
    uint32_t split, retriever, retrieve, skip, seed, threads;
    assay_setting negatives, random, share;
    bool cut_query;
} mine_settings;

static const char *const split_names[] = {"train", "dev", "test"};

static int print_json(const mine_settings *s, const assay_mine_report *r)
{
    assay_answer answer = assay_answer_new();
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"queries", r->queries + r->resumed},
        {"resumed", r->resumed},
        {"positives", r->positives},
        {"missed", r->missed},
        {"judged", r->judged},
        {"hard", r->hard},
        {"random", r->random},
        {"near_duplicates", r->near_duplicates},
        {"suspects", r->suspects},
        {"missing_documents", r->missing_documents},
        {"missing_queries", r->missing_queries},
        {"without_positive", r->without_positive},
        {"refused", r->refused},
        {"unscored", r->unscored},
        {"cut", r->cut},
    };
    assay_answer_set(&answer, answer.root, "output", assay_json_name(s->output));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assay_answer_set(&answer, answer.root, counts[i].name, assay_json_count(counts[i].value));
    assay_answer_set(&answer, answer.root, "seconds", json_real(r->seconds));
    return assay_answer_print(&answer);
}

static int mine(const mine_settings *s, assay_store *store, const assay_beir *beir)
{
    const assay_mine_options options = {
        .retriever = (assay_retriever)s->retriever,
        .retrieve = s->retrieve,
        .negatives = s->negatives,
        .random = s->random,
        .skip = s->skip,
        .share = s->share,
        .teacher = s->teacher,
        .cut_query = s->cut_query || beir->sentences,
        .seed = s->seed,
        .threads = s->threads,
    };
    assay_mine_report report;
    int code = assay_mining_run(store, beir->collection, &beir->queries, beir->qrels, s->output,
                                &options, &report);
    if (code != ASSAY_EXIT_OK)
        return code;
    if (s->common.json)
        code = print_json(s, &report);
    else
        assay_mining_print(stdout, s->output, &report);
    return code == ASSAY_EXIT_OK && assay_mining_partly(&report) ? ASSAY_EXIT_PARTLY : code;
}

static int mine_folder(const mine_settings *s, const char *folder, assay_store *store,
                       assay_beir *beir)
{
    int code = assay_beir_open(folder, s->collection, split_names[s->split], beir);
    if (code == ASSAY_EXIT_OK)
        code = assay_beir_queries(beir);
    if (code == ASSAY_EXIT_OK)
        code = assay_beir_index(beir, store, s->model, (assay_retriever)s->retriever, s->threads);
    return code == ASSAY_EXIT_OK ? mine(s, store, beir) : code;
}

static int mine_collection(const mine_settings *s, assay_store *store, assay_beir *beir)
{
    assay_error error;
    beir->collection = strdup(s->collection ? s->collection : "default");
    if (!beir->collection)
        return assay_report_memory();
    if (assay_qrels_read(s->qrels, &beir->qrels, &error) != ASSAY_OK ||
        assay_queries_read(s->queries, &beir->queries, &error) != ASSAY_OK)
        return assay_report(&error);
    return mine(s, store, beir);
}

/* Before the work, not after it. */
static int check_output(const char *output)
{
    const char *slash = strrchr(output, '/');
    char *folder = slash ? strndup(output, (size_t)(slash - output) + 1) : strdup(".");
    if (!folder)
        return assay_report_memory();
    int code = ASSAY_EXIT_OK;
    if (access(folder, W_OK) != 0) {
        assay_warn("%s: cannot write to %s: %s", output, folder, strerror(errno));
        code = ASSAY_EXIT_ERROR;
    }
    free(folder);
    return code;
}

static int check(const mine_settings *s, size_t count)
{
    const assay_verb *verb = &assay_verb_mine;
    if (!s->output)
        return assay_usage(verb, "--output is missing: the file to write");
    if (count == 1 && (s->queries || s->qrels))
        return assay_usage(verb, "a folder has queries and judgments of its own: give FOLDER, or "
                                 "--queries and --qrels");
    if (count == 0 && !(s->queries && s->qrels))
        return assay_usage(verb, "FOLDER is missing, or --queries and --qrels of a collection");
    return check_output(s->output);
}

static int run(const void *given, char **arguments, size_t count)
{
    const mine_settings *s = given;
    assay_error error;
    assay_store *store;
    assay_beir beir = {0};
    int code = check(s, count);
    if (code != ASSAY_EXIT_OK)
        return code;
    assay_interrupt_arm();
    if (assay_store_open(NULL, &(assay_store_options){.create = count == 1}, &store, &error) !=
        ASSAY_OK)
        return assay_report(&error);
    code = count == 1 ? mine_folder(s, arguments[0], store, &beir)
                      : mine_collection(s, store, &beir);
    assay_beir_close(&beir);
    assay_store_close(store);
    return code;
}

static const assay_option options[] = {
    {"output", ASSAY_OPTION_TEXT, offsetof(mine_settings, output), "FILE",
     "where to write the training data", 0, 0},
    {"split", ASSAY_OPTION_CHOICE, offsetof(mine_settings, split), "train|dev|test",
     "judgments of FOLDER (default: train)", 0, 0},
    {"collection", ASSAY_OPTION_TEXT, offsetof(mine_settings, collection), "NAME",
     "collection of FOLDER (default: the folder's name), or the one that --qrels judges "
     "(default: default)", 0, 0},
    {"queries", ASSAY_OPTION_TEXT, offsetof(mine_settings, queries), "FILE",
     "of a collection: JSONL or TSV", 0, 0},
    {"qrels", ASSAY_OPTION_TEXT, offsetof(mine_settings, qrels), "FILE",
     "of a collection: judgments of its documents", 0, 0},
    {"model", ASSAY_OPTION_TEXT, offsetof(mine_settings, model), "NAME",
     "bi-encoder to index FOLDER with, 'none' for BM25 only (default: dense)", 0, 0},
    {"retriever", ASSAY_OPTION_CHOICE, offsetof(mine_settings, retriever),
     "auto|bm25|dense|hybrid",
     "what looks for negatives (default: auto, hybrid where there are vectors)", 0, 0},
    {"retrieve", ASSAY_OPTION_COUNT, offsetof(mine_settings, retrieve), "N",
     "how deep it looks (default: 100)", 1, 10000},
    {"negatives", ASSAY_OPTION_NUMBER, offsetof(mine_settings, negatives), "N",
     "retrieved passages for each query (default: 20)", 0, 10000},
    {"random", ASSAY_OPTION_NUMBER, offsetof(mine_settings, random), "N",
     "passages of the whole collection for each query (default: 5)", 0, 10000},
    {"skip", ASSAY_OPTION_COUNT, offsetof(mine_settings, skip), "N",
     "never take the first N that were retrieved (default: 0)", 0, 10000},
    {"share", ASSAY_OPTION_NUMBER, offsetof(mine_settings, share), "X",
     "leave out what scores above this share of the best relevant passage (default: 0.95)", 0.01,
     10},
    {"teacher", ASSAY_OPTION_TEXT, offsetof(mine_settings, teacher), "NAME",
     "write the scores of 'first', the retriever, or of a reranker, to be learned from (default: "
     "none)", 0, 0},
    {"cut-query", ASSAY_OPTION_FLAG, offsetof(mine_settings, cut_query), NULL,
     "cut the query out of relevant passages in which it stands word for word (default: where "
     "FOLDER is of `assay synth --from sentences`)", 0, 0},
    {"seed", ASSAY_OPTION_COUNT, offsetof(mine_settings, seed), "N",
     "of what is drawn (default: 0)", 0, UINT32_MAX},
    {"threads", ASSAY_OPTION_COUNT, offsetof(mine_settings, threads), "N",
     "threads (default: as many as the machine allows)", 1, 1024},
};

static const assay_example examples[] = {
    {"assay mine scifact/ --output scifact-train.jsonl",
     "Negatives for the judgments of scifact/qrels/train.tsv"},
    {"assay mine --collection handbook --queries q.jsonl --qrels judged.tsv --output train.jsonl",
     "Of a collection that is there"},
    {"assay mine scifact/ --teacher first --output distil.jsonl --json | jq .suspects",
     "With the retriever's scores; and how many passages were taken for relevant"},
    {NULL, NULL},
};

const assay_verb assay_verb_mine = {
    .name = "mine",
    .arguments = "[FOLDER]",
    .summary = "find passages to learn from that look relevant and are not",
    .description =
        "For each judged query of the BEIR folder FOLDER, or of a collection, searches and writes "
        "a line of JSON with the passages that are relevant to it, with retrieved ones that are "
        "not (hard negatives), and some drawn at random: what `assay train` learns from. Half of "
        "the hard ones rank highest, the others are drawn from below.\n\nWhat nobody judged may "
        "be relevant all the same. Left out is what is nearly the text of a relevant passage "
        "(more than half of its runs of four words), and what scores above --share of the best "
        "relevant one, by cosine, or by BM25 in a collection without vectors.\n\nInterrupted, the "
        "same command goes on from there; two at once with one output are refused. Judgments of "
        "documents or queries that are not there, and passages that the teacher gives no score, "
        "are told and passed over; the exit code is then 3.\n\nA FOLDER without "
        "corpus.jsonl, as `assay synth` writes, is of the collection that is named.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(mine_settings),
    .arguments_min = 0,
    .arguments_max = 1,
    .run = run,
};
