/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_train.c: `assay train`, a model fitted to a domain.
 *
 * Of a BEIR folder negatives are mined first, as `assay mine` does, into OUT.train.jsonl
 * (and OUT.dev.jsonl, where the folder has dev judgments), which stay there. An
 * interrupted training mines the same lines again.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/beir.h"
#include "cli/mining.h"
#include "cli/progress.h"

typedef struct train_settings {
    assay_common common;
    const char *data, *model, *out, *development, *int8;
    assay_option_list also;
    uint32_t loss, precision, schedule, negatives, batch, dimensions, split, max_tokens,
        part_tokens, steps, evaluations, checkpoint_steps, development_queries, lora, seed, threads;
    assay_setting binary, margin, temperature, labels, share, epochs, minutes, rate, warmup, decay,
        clip, dropout, layer_rate, patience;
    bool distil, train_embeddings, recompute, force, restart, random_negatives;
} train_settings;

enum { ALSO_PASSAGES = 50 }; /* of a query of other collections */

static const char *const end_names[] = {
    [ASSAY_TRAIN_STEPS] = "steps", [ASSAY_TRAIN_TIME] = "time",
    [ASSAY_TRAIN_PATIENCE] = "patience"};

/* -------------------------------------------------------------------- progress */

typedef struct line {
    unsigned columns; /* of the terminal; 0: none */
    bool drawn;
    uint64_t problems;
} line;

static void wipe(line *l)
{
    if (l->drawn)
        fputs("\r\033[K", stderr);
    l->drawn = false;
}

static void format_metric(char text[64], const assay_train_progress *p)
{
    text[0] = '\0';
    if (!isnan(p->metric))
        snprintf(text, 64, ", nDCG@10 %.4f (best %.4f)", p->metric, p->best);
}

static void format_left(char text[32], double seconds)
{
    text[0] = '\0';
    if (!(seconds >= 0 && seconds < 360000))
        return;
    unsigned whole = (unsigned)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(text, 32, ", %u:%02u:%02u left", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, 32, ", %u:%02u left", whole / 60, whole % 60);
}

static void format_line(char *text, size_t size, const assay_train_progress *p)
{
    char metric[64], left[32], speed[32], done[32];
    if (p->stage == ASSAY_TRAIN_READING) {
        snprintf(text, size, "Reading %s bytes", assay_print_count(done, p->step));
        return;
    }
    format_metric(metric, p);
    format_left(left, p->seconds_left);
    int length = snprintf(text, size, "%s %llu/%llu, epoch %.2f",
                          p->stage == ASSAY_TRAIN_EVALUATING ? "Evaluating at step" : "Step",
                          (unsigned long long)p->step, (unsigned long long)p->steps, p->epoch);
    if (!isnan(p->loss) && length > 0)
        length += snprintf(text + length, size - (size_t)length, ", loss %.4f", p->loss);
    if (length > 0)
        snprintf(text + length, size - (size_t)length, "%s, %s tokens/s%s", metric,
                 assay_print_count(speed, (uint64_t)p->tokens_per_second), left);
}

static bool show(const assay_train_progress *p, void *user)
{
    line *l = user;
    char text[512];
    if (p->problem) {
        wipe(l);
        l->problems++;
        assay_report(p->problem);
    }
    if (l->columns) {
        format_line(text, sizeof text, p);
        fprintf(stderr, "\r%.*s\033[K%s", (int)l->columns - 1, text, p->evaluated ? "\n" : "");
        fflush(stderr);
        l->drawn = !p->evaluated;
    }
    return !assay_interrupted();
}

/* ----------------------------------------------------------------------- mining */

/* What is learned from and measured by: as given, or mined; to be freed. */
typedef struct sources {
    char *data, *development; /* NULL: none was mined */
    char *also[ASSAY_TRAIN_ALSO]; /* likewise */
    bool partly;              /* judgments of what is not there */
} sources;

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool has_split(const char *folder, const char *split)
{
    char *path = NULL;
    bool found = asprintf(&path, "%s/qrels/%s.tsv", folder, split) >= 0 && access(path, F_OK) == 0;
    free(path);
    return found;
}

/* OUT.<split>.jsonl */
static char *beside(const char *out, const char *split)
{
    size_t length = strlen(out);
    while (length > 1 && out[length - 1] == '/')
        length--;
    char *path = NULL;
    return asprintf(&path, "%.*s.%s.jsonl", (int)length, out, split) < 0 ? NULL : path;
}

static int mine(const train_settings *s, assay_store *store, const assay_beir *beir,
                const char *path, const assay_mine_options *options, bool *partly)
{
    assay_mine_options own = *options;
    own.cut_query = beir->sentences;
    assay_mine_report report;
    int code = assay_beir_index(beir, store, NULL, ASSAY_RETRIEVER_AUTO, s->threads);
    if (code == ASSAY_EXIT_OK)
        code = assay_mining_run(store, beir->collection, &beir->queries, beir->qrels, path,
                                &own, &report);
    if (code != ASSAY_EXIT_OK)
        return code;
    if (!s->common.json)
        assay_mining_print(stdout, path, &report);
    *partly = *partly || assay_mining_partly(&report);
    return ASSAY_EXIT_OK;
}

static int mine_split(const train_settings *s, const char *folder, const char *split,
                      const char *name, const assay_mine_options *options, char **path,
                      bool *partly)
{
    assay_error error;
    assay_store *store;
    assay_beir beir = {0};
    *path = beside(s->out, name);
    if (!*path)
        return assay_report_memory();
    if (assay_store_open(NULL, &(assay_store_options){.create = true}, &store, &error) != ASSAY_OK)
        return assay_report(&error);
    int code = assay_beir_open(folder, NULL, split, &beir);
    if (code == ASSAY_EXIT_OK)
        code = assay_beir_queries(&beir);
    if (code == ASSAY_EXIT_OK)
        code = mine(s, store, &beir, *path, options, partly);
    assay_beir_close(&beir);
    assay_store_close(store);
    return code;
}

static int mine_folder(const train_settings *s, sources *out)
{
    const assay_mine_options options = {.teacher = s->distil ? "first" : NULL,
                                        .seed = s->seed,
                                        .threads = s->threads};
    if (!is_folder(s->data) || s->random_negatives)
        return ASSAY_EXIT_OK;
    int code = mine_split(s, s->data, "train", "train", &options, &out->data, &out->partly);
    if (code == ASSAY_EXIT_OK && !s->development && has_split(s->data, "dev"))
        code = mine_split(s, s->data, "dev", "dev", &options, &out->development, &out->partly);
    return code;
}

/* "also2-nq": which it is, and the name of its folder. */
static char *name_of_also(const char *folder, size_t i)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        length--;
    size_t begin = length;
    while (begin > 0 && folder[begin - 1] != '/')
        begin--;
    char *name = NULL;
    return asprintf(&name, "also%zu-%.*s", i + 1, (int)(length - begin), folder + begin) < 0
               ? NULL
               : name;
}

/* Of other collections the best that was retrieved is what is to be ranked: nothing is
 * taken for relevant, nothing drawn. */
static int mine_also(const train_settings *s, sources *out)
{
    const assay_mine_options options = {.negatives = {true, ALSO_PASSAGES},
                                        .random = {true, 0},
                                        .retrieve = ALSO_PASSAGES,
                                        .share = {true, 10},
                                        .seed = s->seed,
                                        .threads = s->threads};
    int code = ASSAY_EXIT_OK;
    for (size_t i = 0; i < s->also.count && code == ASSAY_EXIT_OK; i++) {
        const char *folder = s->also.items[i];
        char *name = is_folder(folder) && !s->random_negatives ? name_of_also(folder, i) : NULL;
        if (name)
            code = mine_split(s, folder, has_split(folder, "dev") ? "dev" : "test", name, &options,
                              &out->also[i], &out->partly);
        free(name);
    }
    return code;
}

/* ---------------------------------------------------------------------- results */

static void json_counts(assay_answer *answer, json_t *root, const assay_example_counts *c)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"queries", c->queries},
        {"positives", c->positives},
        {"negatives", c->negatives},
        {"passages", c->passages},
        {"bad_lines", c->bad_lines},
        {"missing_documents", c->missing_documents},
        {"missing_queries", c->missing_queries},
        {"without_positive", c->without_positive},
        {"without_negative", c->without_negative},
        {"empty", c->empty},
    };
    json_t *object = assay_answer_object(answer, root, "data");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assay_answer_set(answer, object, counts[i].name, assay_json_count(counts[i].value));
}

static void json_measure(assay_answer *answer, json_t *object, const assay_train_measure *m)
{
    assay_answer_set(answer, object, "queries", assay_json_count(m->queries));
    assay_answer_set(answer, object, "before", assay_json_number(m->before));
    assay_answer_set(answer, object, "after", assay_json_number(m->after));
    assay_answer_set(answer, object, "p", assay_json_number(m->p_value));
}

static void json_after(const train_settings *s, assay_answer *answer, const assay_train_report *r)
{
    json_t *root = answer->root;
    if (s->also.count > 0)
        assay_answer_set(answer, root, "also", json_array());
    for (size_t i = 0; i < s->also.count; i++) {
        json_t *one = json_object();
        json_array_append_new(json_object_get(root, "also"), one);
        assay_answer_set(answer, one, "path", assay_json_name(s->also.items[i]));
        json_measure(answer, one, &r->also[i]);
    }
    json_t *probability = assay_answer_object(answer, root, "probability");
    assay_answer_set(answer, probability, "slope", assay_json_number(r->probability_slope));
    assay_answer_set(answer, probability, "offset", assay_json_number(r->probability_offset));
    assay_answer_set(answer, probability, "log_loss_before", assay_json_number(r->log_loss_before));
    assay_answer_set(answer, probability, "log_loss", assay_json_number(r->log_loss));
    if (!s->int8)
        return;
    json_t *int8 = assay_answer_object(answer, root, "int8");
    assay_answer_set(answer, int8, "path", assay_json_name(s->int8));
    assay_answer_set(answer, int8, "bytes_before", assay_json_count(r->bytes));
    assay_answer_set(answer, int8, "bytes", assay_json_count(r->int8_bytes));
    json_measure(answer, int8, &r->int8);
}

static int print_json(const train_settings *s, const assay_train_report *r)
{
    assay_answer answer = assay_answer_new();
    json_t *root = answer.root;
    assay_answer_set(&answer, root, "path", assay_json_name(s->out));
    json_counts(&answer, root, &r->data);
    assay_answer_set(&answer, root, "training_queries", assay_json_count(r->training_queries));
    assay_answer_set(&answer, root, "development_queries",
                     assay_json_count(r->development_queries));
    assay_answer_set(&answer, root, "parameters", assay_json_count(r->parameters));
    assay_answer_set(&answer, root, "memory", assay_json_count(r->memory));
    assay_answer_set(&answer, root, "resumed", assay_json_count(r->resumed));
    assay_answer_set(&answer, root, "steps", assay_json_count(r->steps));
    assay_answer_set(&answer, root, "best_step", assay_json_count(r->best_step));
    assay_answer_set(&answer, root, "end", assay_json_name(end_names[r->end]));
    assay_answer_set(&answer, root, "loss", assay_json_number(r->loss));
    json_t *metric = assay_answer_object(&answer, root, "nDCG@10");
    assay_answer_set(&answer, metric, "before", assay_json_number(r->before));
    assay_answer_set(&answer, metric, "best", assay_json_number(r->best));
    assay_answer_set(&answer, metric, "last", assay_json_number(r->last));
    assay_answer_set(&answer, metric, "p", assay_json_number(r->gain.p_value));
    json_after(s, &answer, r);
    assay_answer_set(&answer, root, "tokens", assay_json_count(r->tokens));
    assay_answer_set(&answer, root, "seconds", json_real(r->seconds));
    return assay_answer_print(&answer);
}

static void print_measure(const char *name, const assay_train_measure *m)
{
    printf("  %s (%llu queries): ", name, (unsigned long long)m->queries);
    if (!isnan(m->before))
        printf("%.4f before, ", m->before);
    printf("%.4f now", m->after);
    printf(isnan(m->p_value) ? "\n" : ", p %.2g\n", m->p_value);
}

static void print_after(const train_settings *s, const assay_train_report *r)
{
    for (size_t i = 0; i < s->also.count; i++)
        print_measure(s->also.items[i], &r->also[i]);
    if (!isnan(r->probability_slope))
        printf("  what a score means is in %s/pipeline.json: slope %.3g, offset %.3g, log loss %.4f\n",
               s->out, r->probability_slope, r->probability_offset, r->log_loss);
    if (s->int8)
        printf("  %s: int8 weights, %.1f MB in place of %.1f, nDCG@10 %.4f in place of %.4f, "
               "p %.2g\n", s->int8, (double)r->int8_bytes / 1e6, (double)r->bytes / 1e6,
               r->int8.after, r->int8.before, r->int8.p_value);
}

static void print_report(const train_settings *s, const assay_train_report *r)
{
    char tokens[32];
    printf("%s\n", s->out);
    printf("  nDCG@10 of %llu development queries: %.4f before, %.4f now (step %llu of %llu), "
           "p %.2g\n", (unsigned long long)r->development_queries, r->before, r->best,
           (unsigned long long)r->best_step, (unsigned long long)r->steps, r->gain.p_value);
    printf("  loss %.4f after %s tokens in %.0f s of %llu queries\n", r->loss,
           assay_print_count(tokens, r->tokens), r->seconds,
           (unsigned long long)r->training_queries);
    if (r->end != ASSAY_TRAIN_STEPS)
        printf("  ended because %s\n", r->end == ASSAY_TRAIN_TIME
                                           ? "the minutes were over"
                                           : "evaluations brought nothing more (--patience)");
    print_after(s, r);
}

enum { SURE_PERCENT = 5 }; /* p below which a difference is told as one */

static void warn_of_loss(const train_settings *s, const assay_train_report *r)
{
    for (size_t i = 0; i < s->also.count; i++)
        if (r->also[i].after < r->also[i].before && r->also[i].p_value < SURE_PERCENT / 100.0)
            assay_warn("%s is ranked worse than before", s->also.items[i]);
    if (s->int8 && r->int8.after < r->int8.before && r->int8.p_value < SURE_PERCENT / 100.0)
        assay_warn("%s ranks worse than the weights in fp32", s->int8);
}

static void warn_of_data(const train_settings *s, const assay_train_report *r)
{
    const assay_example_counts *c = &r->data;
    uint64_t passed = c->bad_lines + c->missing_documents + c->missing_queries;
    if (passed > 0)
        assay_warn("%s: %llu bad lines, %llu judgments of missing documents and %llu missing "
                   "queries were passed over", s->data, (unsigned long long)c->bad_lines,
                   (unsigned long long)c->missing_documents,
                   (unsigned long long)c->missing_queries);
    if (c->without_negative > 0)
        assay_warn("%s: for %llu of %llu queries all negatives are drawn at random; `assay mine` "
                   "finds some to learn more from", s->data,
                   (unsigned long long)c->without_negative, (unsigned long long)c->queries);
    if (r->best_step == 0)
        assay_warn("no step ranked the development queries better: the weights are those of the "
                   "base");
}

/* ------------------------------------------------------------------------- verb */

static assay_train_options options_of(const train_settings *s, assay_model_kind kind)
{
    return (assay_train_options){
        .kind = kind,
        .loss = s->distil ? ASSAY_LOSS_DISTIL : (assay_loss_kind)s->loss,
        .binary = s->binary,
        .margin = s->margin,
        .temperature = s->temperature,
        .labels = s->labels,
        .development = s->development,
        .int8 = s->int8,
        .share = s->share,
        .development_queries = s->development_queries,
        .negatives = s->negatives,
        .batch = s->batch,
        .dimensions = s->dimensions,
        .split = s->split,
        .max_tokens = s->max_tokens,
        .part_tokens = s->part_tokens,
        .epochs = s->epochs,
        .steps = s->steps,
        .minutes = s->minutes.value,
        .rate = s->rate,
        .schedule = (assay_schedule)s->schedule,
        .warmup = s->warmup,
        .decay = s->decay,
        .clip = s->clip,
        .dropout = s->dropout,
        .layer_rate = s->layer_rate,
        .train_embeddings = s->train_embeddings,
        .lora_rank = s->lora,
        .recompute = s->recompute,
        .precision = s->precision == 1 ? ASSAY_PRECISION_BF16 : ASSAY_PRECISION_FP32,
        .evaluations = s->evaluations,
        .patience = s->patience,
        .checkpoint_steps = s->checkpoint_steps,
        .seed = s->seed,
        .threads = s->threads,
        .replace = s->force,
        .restart = s->restart,
    };
}

typedef struct kind {
    const char *name, *base; /* what it begins with by default */
    assay_model_kind kind;
} kind;

/* NULL: there is none of the name. */
static const kind *kind_called(const char *name)
{
    static const kind kinds[] = {{"cross", "cross", ASSAY_MODEL_CROSS_ENCODER},
                                 {"bi", "dense", ASSAY_MODEL_BI_ENCODER},
                                 {"late", "dense", ASSAY_MODEL_LATE}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static int check(const train_settings *s, const char *name)
{
    const assay_verb *verb = &assay_verb_train;
    if (!kind_called(name))
        return assay_usage(verb, "'%s' is not one of cross|bi|late", name);
    if (!s->data)
        return assay_usage(verb, "--data is missing: a BEIR folder or a file to learn from");
    if (!s->out)
        return assay_usage(verb, "--out is missing: the folder to write");
    if (s->also.count > ASSAY_TRAIN_ALSO)
        return assay_usage(verb, "--also is given %zu times, expected at most %d", s->also.count,
                           ASSAY_TRAIN_ALSO);
    if (s->distil && s->loss)
        return assay_usage(verb, "--distil is --loss distil: one of both");
    return ASSAY_EXIT_OK;
}

static int train(const train_settings *s, const kind *wanted, const sources *from)
{
    assay_error error;
    assay_train_report report;
    line l = {.columns = assay_terminal_columns(stderr)};
    assay_train_options options = options_of(s, wanted->kind);
    const char *model = s->model ? s->model : wanted->base;
    const char *also[ASSAY_TRAIN_ALSO];
    for (size_t i = 0; i < s->also.count; i++)
        also[i] = from->also[i] ? from->also[i] : s->also.items[i];
    options.also = also;
    options.also_count = s->also.count;
    if (from->development)
        options.development = from->development;
    assay_status status = assay_train(from->data ? from->data : s->data, model, s->out, &options,
                                      show, &l, &report, &error);
    wipe(&l);
    if (status != ASSAY_OK)
        return assay_report(&error);
    warn_of_data(s, &report);
    warn_of_loss(s, &report);
    int code = ASSAY_EXIT_OK;
    if (s->common.json)
        code = print_json(s, &report);
    else
        print_report(s, &report);
    return code == ASSAY_EXIT_OK && (l.problems > 0 || from->partly) ? ASSAY_EXIT_PARTLY : code;
}

static int run(const void *given, char **arguments, size_t count)
{
    (void)count;
    const train_settings *s = given;
    sources from = {0};
    int code = check(s, arguments[0]);
    if (code != ASSAY_EXIT_OK)
        return code;
    assay_interrupt_arm();
    code = mine_folder(s, &from);
    if (code == ASSAY_EXIT_OK)
        code = mine_also(s, &from);
    if (code == ASSAY_EXIT_OK)
        code = train(s, kind_called(arguments[0]), &from);
    free(from.data);
    free(from.development);
    for (size_t i = 0; i < ASSAY_TRAIN_ALSO; i++)
        free(from.also[i]);
    return code;
}

#define FIELD(field) offsetof(train_settings, field)

static const assay_option options[] = {
    {"data", ASSAY_OPTION_TEXT, FIELD(data), "PATH",
     "what to learn from: a file of `assay mine`, triples (JSONL, TSV), or a BEIR folder with "
     "qrels/train.tsv, which is mined first", 0, 0},
    {"random-negatives", ASSAY_OPTION_FLAG, FIELD(random_negatives), NULL,
     "do not mine a BEIR folder: draw from all its documents", 0, 0},
    {"model", ASSAY_OPTION_TEXT, FIELD(model), "NAME",
     "model to begin with (default: cross, or dense for bi and late)", 0, 0},
    {"out", ASSAY_OPTION_TEXT, FIELD(out), "FOLDER", "where the model goes", 0, 0},
    {"loss", ASSAY_OPTION_CHOICE, FIELD(loss),
     "listwise|binary|pairwise|margin|graded|margin-mse|distil",
     "what is wrong with scores (default: listwise)", 0, 0},
    {"distil", ASSAY_OPTION_FLAG, FIELD(distil), NULL,
     "learn the scores of the data's teacher: --loss distil", 0, 0},
    {"dev", ASSAY_OPTION_TEXT, FIELD(development), "PATH",
     "data of its own to measure by (default: the folder's qrels/dev.tsv, else some queries of "
     "the data)", 0, 0},
    {"also", ASSAY_OPTION_LIST, FIELD(also), "PATH",
     "a collection that should not be forgotten: a BEIR folder (its dev or test judgments, 50 "
     "retrieved passages a query) or data like --dev's, ranked before and after; may be repeated",
     0, 0},
    {"int8", ASSAY_OPTION_TEXT, FIELD(int8), "FOLDER",
     "write the model with int8 weights, too, and tell what that costs", 0, 0},
    {"dev-share", ASSAY_OPTION_NUMBER, FIELD(share), "X",
     "share of the data's queries that is held out (default: 0.1)", 0, 0.9},
    {"dev-queries", ASSAY_OPTION_COUNT, FIELD(development_queries), "N",
     "development queries, at most (default: 100)", 1, 1000000},
    {"minutes", ASSAY_OPTION_NUMBER, FIELD(minutes), "M",
     "end after so long; steps are made to fit (default: any)", 0.01, 100000},
    {"epochs", ASSAY_OPTION_NUMBER, FIELD(epochs), "X",
     "how often each query is shown (default: 3)", 0.001, 1000000},
    {"steps", ASSAY_OPTION_COUNT, FIELD(steps), "N", "steps (default: as --epochs says)", 1,
     UINT32_MAX},
    {"batch", ASSAY_OPTION_COUNT, FIELD(batch), "N",
     "queries a step (default: 8, for bi and late 32)", 1, 65536},
    {"negatives", ASSAY_OPTION_COUNT, FIELD(negatives), "N",
     "passages shown with a relevant one (default: 7)", 1, 1000},
    {"max-tokens", ASSAY_OPTION_COUNT, FIELD(max_tokens), "N",
     "of query and passage, for late of a passage; longer ones are cut (default: 256)", 16, 65536},
    {"dimensions", ASSAY_OPTION_COUNT, FIELD(dimensions), "N",
     "late: of a token's vector, where the model says none (default: 128)", 1, 4096},
    {"split", ASSAY_OPTION_COUNT, FIELD(split), "N",
     "cross: layers, the lower ones, in which query and passage do not see each other; what they "
     "make of passages can be kept (assay index --split) (default: as the model's)", 1, 255},
    {"part-tokens", ASSAY_OPTION_COUNT, FIELD(part_tokens), "N",
     "tokens that go through the model together: memory (default: 4096)", 16, 10000000},
    {"rate", ASSAY_OPTION_NUMBER, FIELD(rate), "X",
     "highest learning rate (default: 0.00005; 0.00001 for a cross-encoder that goes on from one, "
     "with all its weights and as it is split)", 0, 10},
    {"schedule", ASSAY_OPTION_CHOICE, FIELD(schedule), "linear|cosine|constant",
     "how the rate falls (default: linear)", 0, 0},
    {"warmup", ASSAY_OPTION_NUMBER, FIELD(warmup), "X",
     "share of the steps in which the rate rises (default: 0.06)", 0, 1},
    {"decay", ASSAY_OPTION_NUMBER, FIELD(decay), "X", "of weights (default: 0.01)", 0, 100},
    {"clip", ASSAY_OPTION_NUMBER, FIELD(clip), "X",
     "largest norm of the gradients, 0 for any (default: 1)", 0, 1e9},
    {"dropout", ASSAY_OPTION_NUMBER, FIELD(dropout), "X",
     "share of hidden states and attention that a step leaves out (default: as the model's "
     "config.json says)", 0, 0.9},
    {"layer-rate", ASSAY_OPTION_NUMBER, FIELD(layer_rate), "X",
     "rate of a layer as a share of the one above (default: 1)", 0.01, 1},
    {"train-embeddings", ASSAY_OPTION_FLAG, FIELD(train_embeddings), NULL,
     "move words, positions and types, too", 0, 0},
    {"lora", ASSAY_OPTION_COUNT, FIELD(lora), "RANK",
     "move so many directions of each layer only (default: all weights)", 1, 1024},
    {"recompute", ASSAY_OPTION_FLAG, FIELD(recompute), NULL,
     "a third more time, a sixth of the memory", 0, 0},
    {"precision", ASSAY_OPTION_CHOICE, FIELD(precision), "fp32|bf16",
     "of the layers' products; bf16 is faster where the processor has instructions for it "
     "(default: fp32)", 0, 0},
    {"binary", ASSAY_OPTION_NUMBER, FIELD(binary), "X",
     "weight of the binary loss, added (default: 0.2 for cross with listwise, else 0)", 0, 1000},
    {"margin", ASSAY_OPTION_NUMBER, FIELD(margin), "X", "of --loss margin (default: 1)", 0, 1e6},
    {"temperature", ASSAY_OPTION_NUMBER, FIELD(temperature), "X",
     "scores are divided by it (default: 1, for bi 0.05)", 1e-4, 1e4},
    {"labels", ASSAY_OPTION_NUMBER, FIELD(labels), "X",
     "weight of the judgments beside a teacher (default: 0.2)", 0, 1000},
    {"evaluations", ASSAY_OPTION_COUNT, FIELD(evaluations), "N",
     "on the development queries (default: 10)", 1, 100000},
    {"patience", ASSAY_OPTION_NUMBER, FIELD(patience), "N",
     "end after so many evaluations that bring nothing, 0 for never (default: 5)", 0, 1e6},
    {"checkpoint-steps", ASSAY_OPTION_COUNT, FIELD(checkpoint_steps), "N",
     "write down where it stands every N steps (default: every two minutes)", 1, UINT32_MAX},
    {"seed", ASSAY_OPTION_COUNT, FIELD(seed), "N", "of all that is drawn (default: 0)", 0,
     UINT32_MAX},
    {"threads", ASSAY_OPTION_COUNT, FIELD(threads), "N",
     "threads (default: as many as the machine allows)", 1, 1024},
    {"force", ASSAY_OPTION_FLAG, FIELD(force), NULL,
     "replace the model folder that is there already", 0, 0},
    {"restart", ASSAY_OPTION_FLAG, FIELD(restart), NULL,
     "throw away what an interrupted training left", 0, 0},
};

static const assay_example examples[] = {
    {"assay train cross --data scifact/ --out models/scifact --minutes 20",
     "The default cross-encoder, adapted to a collection with judgments"},
    {"assay train cross --data scifact/ --also nq/ --out models/scifact --int8 models/scifact-int8",
     "Whether something else is forgotten, and a small one, too"},
    {"assay train bi --data train.jsonl --model dense --out models/dense-scifact",
     "A bi-encoder"},
    {"assay train late --data scifact/ --out models/late-scifact",
     "Late interaction, made of a bi-encoder; then: assay search --rerank late:models/late-scifact"},
    {"assay train cross --data distil.jsonl --distil --out models/small --json | "
     "jq '.[\"nDCG@10\"]'",
     "From the scores of a teacher (assay mine --teacher)"},
    {NULL, NULL},
};

const assay_verb assay_verb_train = {
    .name = "train",
    .arguments = "cross|bi|late",
    .summary = "adapt a model to a domain",
    .description =
        "Fine-tunes a cross-encoder (cross), a bi-encoder (bi) or late interaction (late, from a "
        "bi-encoder or a ColBERT model) on queries with passages that "
        "are relevant to them or not, and writes the folder --out: weights in fp32, settings and "
        "tokenizer in Hugging Face layout, a card (README.md), and the log (training.csv, "
        "training.svg). Kept are the weights that "
        "rank the development queries best; whether they do so by luck is told by a paired "
        "randomisation test. What a score means as a probability is fitted to these queries and "
        "goes into OUT/pipeline.json (assay search --pipeline).\n\nOf a BEIR folder negatives are mined first, as `assay "
        "mine` does, into OUT.train.jsonl (and OUT.dev.jsonl, if it has qrels/dev.tsv).\n\nInterrupted or killed, the same command goes on "
        "from the last checkpoint, in OUT.part, and ends with the same weights, except with "
        "--minutes, which fits the steps to the machine. Lines of the data that are no good are "
        "told and passed over; the exit code is then 3.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(train_settings),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run,
};
