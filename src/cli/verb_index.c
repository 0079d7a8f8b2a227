/* SPDX-License-Identifier: Apache-2.0 */
/* verb_index.c: `assay index`, documents into a collection. */
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/progress.h"

typedef struct index_settings {
    assay_common common;
    const char *collection, *model, *id_field, *title_field, *text_field;
    uint32_t passage_tokens, overlap, threads, index, codes, late_codes, late_pool;
    const char *late, *split, *tune, *tune_queries;
    bool prune, rebuild;
    uint32_t word_index;
} index_settings;

static void print_part(const char *name, uint64_t count)
{
    char digits[32];
    if (count > 0)
        printf(", %s %s", assay_print_count(digits, count), name);
}

/* "1,234 documents", "1 document". Returns text. */
static const char *counted(char text[64], uint64_t count, const char *noun)
{
    char digits[32];
    snprintf(text, 64, "%s %.20s%s", assay_print_count(digits, count), noun,
             count == 1 ? "" : "s");
    return text;
}

static void print_people(const char *collection, const assay_index_report *report)
{
    char text[64];
    printf("%s: %s read", collection, counted(text, report->seen, "document"));
    print_part("added", report->added);
    print_part("changed", report->changed);
    print_part("unchanged", report->unchanged);
    print_part("removed", report->removed);
    print_part("failed", report->failed);
    putchar('\n');
    uint64_t written = report->added + report->changed;
    if (written > 0 && report->seconds > 0)
        printf("Written: %s in %.1f s (%.0f documents/s)\n",
               counted(text, report->passages, "passage"), report->seconds,
               (double)written / report->seconds);
    if (report->tokenized > 0)
        printf("Token ids added for reranking: %s that had none\n",
               counted(text, report->tokenized, "passage"));
    if (report->late > 0)
        printf("Token vectors computed for reranking: %s\n",
               counted(text, report->late, "passage"));
    if (report->by_size && report->vector_index != ASSAY_VECTORS_FLAT)
        printf("Vectors are searched by %s, as there are %u or more (--index chooses)\n",
               assay_vector_index_name(report->vector_index), ASSAY_VECTORS_HNSW_FROM);
    if (report->truncated > 0)
        printf("Longer than the bi-encoder reads: %s; their ends are found by words only\n",
               counted(text, report->truncated, "passage"));
    if (report->empty > 0)
        printf("Without text, so never found: %s\n", counted(text, report->empty, "document"));
    if (report->skipped > 0)
        printf("Passed over: %s of kinds that assay does not read\n",
               counted(text, report->skipped, "file"));
}

static void print_tuned(const assay_vector_tuning *tuned)
{
    printf("Measured with %u queries: ", tuned->queries);
    if (tuned->kind == ASSAY_VECTORS_FLAT) {
        printf("a flat index finds all of the nearest, there is nothing to tune\n");
        return;
    }
    bool lists = tuned->nprobe > 0;
    printf("%.1f%% of the %u nearest are found at ", 100 * tuned->recall, tuned->k);
    if (lists)
        printf("nprobe %u", tuned->nprobe);
    if (tuned->ef > 0)
        printf("%sef %u", lists ? " and " : "", tuned->ef);
    printf(", which searches take from now on\n");
    if (tuned->recall < tuned->wanted)
        assay_warn("no %s reaches a recall of %g", lists ? "nprobe" : "ef", tuned->wanted);
}

static int print_json(const char *collection, const assay_index_report *report, bool interrupted,
                      const assay_vector_tuning *tuned)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"seen", report->seen},           {"added", report->added},
        {"changed", report->changed},     {"unchanged", report->unchanged},
        {"removed", report->removed},     {"failed", report->failed},
        {"empty", report->empty},         {"skipped", report->skipped},
        {"passages", report->passages},   {"truncated", report->truncated},
        {"tokenized", report->tokenized}, {"late", report->late},
        {"bytes", report->bytes},
    };
    assay_answer answer = assay_answer_new();
    assay_answer_set(&answer, answer.root, "collection", assay_json_name(collection));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assay_answer_set(&answer, answer.root, counts[i].name, assay_json_count(counts[i].value));
    assay_answer_set(&answer, answer.root, "seconds", assay_json_number(report->seconds));
    if (report->vector_index != ASSAY_VECTORS_AUTO)
        assay_answer_set(&answer, answer.root, "vector_index",
                         json_string(assay_vector_index_name(report->vector_index)));
    assay_answer_set(&answer, answer.root, "interrupted", json_boolean(interrupted));
    if (tuned->kind != ASSAY_VECTORS_AUTO)
        assay_answer_tuning(&answer, answer.root, tuned);
    return assay_answer_print(&answer);
}

static assay_status index_paths(const index_settings *settings, assay_store *store, char **paths,
                                size_t count, assay_bar *bar, assay_index_report *report,
                                assay_error *error)
{
    const assay_index_options options = {
        .model = settings->model,
        .passage_tokens = settings->passage_tokens,
        .overlap_tokens = settings->overlap,
        .id_field = settings->id_field,
        .title_field = settings->title_field,
        .text_field = settings->text_field,
        .late = settings->late,
        .split = settings->split,
        .late_codes = (assay_late_codes)settings->late_codes,
        .late_pool = settings->late_pool,
        .prune = settings->prune,
        .rebuild = settings->rebuild,
        .word_index = (assay_word_index)settings->word_index,
        .choose_vectors = settings->index > 0,
        .vectors = settings->index > 0 ? (assay_vector_index)(settings->index - 1)
                                       : ASSAY_VECTORS_AUTO,
        .codes = (assay_vector_codes)settings->codes,
        .threads = settings->threads,
    };
    if (count == 0) /* for tuning alone */
        return ASSAY_OK;
    return assay_index(store, settings->collection, (const char *const *)paths, count, &options,
                       assay_bar_update, bar, report, error);
}

/* "recall=0.95", of the 100 nearest; "recall@10=0.95". */
static bool read_tune(const char *word, assay_tune_options *out)
{
    char *end;
    if (strncmp(word, "recall", 6) != 0)
        return false;
    word += 6;
    if (*word == '@') {
        unsigned long k = strtoul(word + 1, &end, 10);
        if (word[1] < '1' || word[1] > '9' || k > 10000)
            return false;
        out->k = (uint32_t)k;
        word = end;
    }
    if (*word != '=' || word[1] < '0' || word[1] > '9')
        return false;
    out->recall = strtod(word + 1, &end);
    return *end == '\0' && out->recall > 0 && out->recall <= 1;
}

static assay_status tune(const index_settings *settings, assay_store *store, assay_bar *bar,
                         assay_vector_tuning *tuned, assay_error *error)
{
    assay_queries queries = {0};
    assay_tune_options options = {.threads = settings->threads};
    if (!settings->tune || !read_tune(settings->tune, &options))
        return ASSAY_OK;
    if (settings->tune_queries) {
        assay_status status = assay_queries_read(settings->tune_queries, &queries, error);
        if (status != ASSAY_OK)
            return status;
        options.queries = queries.texts;
        options.query_count = queries.count;
    }
    assay_status status = assay_vector_index_tune(store, settings->collection, &options,
                                                  assay_bar_update, bar, tuned, error);
    assay_queries_free(&queries);
    return status;
}

static int index_store(const index_settings *settings, assay_store *store, char **paths,
                       size_t count)
{
    assay_error error;
    assay_index_report report = {0};
    assay_vector_tuning tuned = {0};
    assay_bar bar = assay_bar_new(NULL, NULL);
    assay_interrupt_arm();
    assay_status status = index_paths(settings, store, paths, count, &bar, &report, &error);
    if (status == ASSAY_OK)
        status = tune(settings, store, &bar, &tuned, &error);
    assay_bar_clear(&bar);
    bool interrupted = status == ASSAY_E_INTERRUPTED;
    if (status != ASSAY_OK && !interrupted)
        return assay_report(&error);
    int code = ASSAY_EXIT_OK;
    if (settings->common.json)
        code = print_json(settings->collection, &report, interrupted, &tuned);
    else if (count > 0)
        print_people(settings->collection, &report);
    if (!settings->common.json && tuned.kind != ASSAY_VECTORS_AUTO)
        print_tuned(&tuned);
    if (code == ASSAY_EXIT_OK && report.failed > 0)
        code = ASSAY_EXIT_PARTLY;
    if (interrupted) {
        assay_warn("interrupted; what is finished is kept, and the same command goes on from "
                   "there");
        code = ASSAY_EXIT_INTERRUPTED;
    }
    return code;
}

static int run(const void *given, char **arguments, size_t count)
{
    assay_error error;
    assay_store *store;
    assay_tune_options unused;
    index_settings settings = *(const index_settings *)given;
    if (!settings.collection)
        settings.collection = "default";
    if (count == 0 && (!settings.tune || settings.index || settings.codes))
        return assay_usage(&assay_verb_index, "PATH... is missing");
    if (settings.tune && !read_tune(settings.tune, &unused))
        return assay_usage(&assay_verb_index, "--tune: '%s' is not recall=X or recall@K=X with X "
                           "from 0 to 1 and K from 1 to 10000", settings.tune);
    if (settings.tune_queries && !settings.tune)
        return assay_usage(&assay_verb_index, "--tune-queries is for --tune");
    if (assay_store_open(NULL, &(assay_store_options){.create = true}, &store, &error) != ASSAY_OK)
        return assay_report(&error);
    int code = index_store(&settings, store, arguments, count);
    assay_store_close(store);
    return code;
}

static const assay_option options[] = {
    {"collection", ASSAY_OPTION_TEXT, offsetof(index_settings, collection), "NAME",
     "collection to put the documents in; made when missing (default: default)", 0, 0},
    {"model", ASSAY_OPTION_TEXT, offsetof(index_settings, model), "NAME",
     "bi-encoder for the vectors, 'none' for BM25 only (default: dense); fixed for a collection",
     0, 0},
    {"passage-tokens", ASSAY_OPTION_COUNT_OR_ALL, offsetof(index_settings, passage_tokens), "N",
     "most tokens of a passage, 'all' for whole documents (default: 160; all for BEIR folders)",
     8, 1000000},
    {"overlap", ASSAY_OPTION_COUNT, offsetof(index_settings, overlap), "N",
     "tokens that a passage repeats of the one before (default: 0)", 0, 1000000},
    {"id-field", ASSAY_OPTION_TEXT, offsetof(index_settings, id_field), "NAME",
     "of JSONL (default: _id, else id)", 0, 0},
    {"title-field", ASSAY_OPTION_TEXT, offsetof(index_settings, title_field), "NAME",
     "of JSONL (default: title)", 0, 0},
    {"text-field", ASSAY_OPTION_TEXT, offsetof(index_settings, text_field), "NAME",
     "of JSONL (default: text, else contents)", 0, 0},
    {"late", ASSAY_OPTION_TEXT, offsetof(index_settings, late), "NAME",
     "keep token vectors for late interaction, made by this ColBERT or bi-encoder ('late' is the "
     "default one); 'none' takes them away (default: as the collection does)", 0, 0},
    {"split", ASSAY_OPTION_TEXT, offsetof(index_settings, split), "NAME",
     "in place of these keep what the lower layers of this cross-encoder, which is split (assay "
     "train cross --split), make of passages, for --rerank cross-split:NAME", 0, 0},
    {"late-codes", ASSAY_OPTION_CHOICE, offsetof(index_settings, late_codes),
     "as-is|i8|b4|b2|b1|f16",
     "in what form they are kept: bytes, so many bits a coordinate of what the nearest of some "
     "centres leaves, or half-precision floats; another form than before computes them anew "
     "(default: as-is, at first i8)", 0, 0},
    {"late-pool", ASSAY_OPTION_COUNT, offsetof(index_settings, late_pool), "N",
     "keep one vector of N tokens that are alike, their mean: less to keep and to compare; another "
     "number than before computes them anew (default: as it was, at first 1)",
     1, ASSAY_LATE_POOL_MAX},
    {"prune", ASSAY_OPTION_FLAG, offsetof(index_settings, prune), NULL,
     "remove documents of these paths that are no longer there", 0, 0},
    {"word-index", ASSAY_OPTION_CHOICE, offsetof(index_settings, word_index), "auto|yes|no",
     "keep a file that answers BM25 faster (default: auto, from 20,000 passages on)", 0, 0},
    {"rebuild", ASSAY_OPTION_FLAG, offsetof(index_settings, rebuild), NULL,
     "index unchanged documents again", 0, 0},
    {"index", ASSAY_OPTION_CHOICE, offsetof(index_settings, index), "as-is|auto|flat|hnsw|ivf",
     "how vectors are searched: flat compares all, hnsw walks a graph, ivf looks into the nearest "
     "lists; auto is hnsw from 50,000 vectors on, else flat (default: as-is, what was chosen "
     "before, at first auto)", 0, 0},
    {"codes", ASSAY_OPTION_CHOICE, offsetof(index_settings, codes), "as-is|f32|f16|i8|b1",
     "what hnsw and ivf keep of a vector to compare, before they score what they found exactly: b1 is a bit "
     "a coordinate and wants more candidates (--tune) (default: as-is, at first i8)", 0, 0},
    {"tune", ASSAY_OPTION_TEXT, offsetof(index_settings, tune), "recall[@K]=X",
     "measure what share of the K nearest (default: 100) the vector index finds, and take the "
     "least effort (--ef, --nprobe) that finds X of them, from then on; PATH may be left out then", 0, 0},
    {"tune-queries", ASSAY_OPTION_TEXT, offsetof(index_settings, tune_queries), "FILE",
     "queries to measure with, as assay eval reads them (default: 200 titles, or beginnings, of "
     "the collection's own passages)", 0, 0},
    {"threads", ASSAY_OPTION_COUNT, offsetof(index_settings, threads), "N",
     "threads (default: as many as the machine allows)", 1, 1024},
};

static const assay_example examples[] = {
    {"assay index handbook/ --collection handbook", "All files below a folder"},
    {"assay index scifact/ --collection scifact",
     "A BEIR folder is recognised; its documents are taken whole"},
    {"assay index handbook/ --late late", "With token vectors: search --rerank late needs only the "
     "query's then"},
    {"assay index handbook/ --split models/split", "With the lower layers' part of a cross-encoder: "
     "search --rerank cross-split:models/split computes the upper ones alone"},
    {"assay index --collection handbook --tune recall=0.95",
     "How much of what is nearest the vector index finds, and the effort that this takes"},
    {"assay index - --model none < documents.jsonl", "JSONL from a pipe, for BM25 only"},
    {NULL, NULL},
};

const assay_verb assay_verb_index = {
    .name = "index",
    .arguments = "PATH...",
    .summary = "put documents into a collection",
    .description =
        "Reads files, folders, JSONL, BEIR folders, or JSONL from standard input (\"-\"), cuts "
        "documents into passages and stores them for BM25 and vector search. Documents that "
        "have not changed are passed over, so the same command resumes after an interruption "
        "and keeps a collection up to date. What cannot be read is told on standard error and "
        "does not stop the rest; the exit code is then 3.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(index_settings),
    .arguments_max = SIZE_MAX,
    .run = run,
};
