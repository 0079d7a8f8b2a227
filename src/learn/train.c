/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train.c: fine-tuning a model on training data, from opening it to the folder that is
 * left.
 *
 * A step is a function of the weights, the seed and its number: what it is shown
 * (plan.h), which dropout masks are drawn and how far it goes. So a run that was
 * interrupted goes on from its last checkpoint as if nothing had happened. A limit in
 * minutes is the exception: how many steps fit is reckoned once, from the first ones,
 * and written down with them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/memory.h"
#include "learn/trainer.h"
#include "pipeline/words.h"

enum {
    TIMED = 10,            /* steps whose time tells how many fit */
    TIMED_WARMUP = 50,     /* of which the rate is as if so many were to come */
    ALSO_QUERIES = 300,    /* of other data to measure by, at most */
    CHECKPOINT_SECONDS = 120,
};

/* -------------------------------------------------------------------- options */

static void fill(assay_setting *setting, double value)
{
    if (!setting->set)
        *setting = (assay_setting){true, value};
}

static void fill_options(assay_train_options *o)
{
    bool cross = o->kind == ASSAY_MODEL_CROSS_ENCODER, bi = o->kind == ASSAY_MODEL_BI_ENCODER;
    bool teacher = assay_loss_has_teacher(o->loss);
    fill(&o->binary, cross && o->loss == ASSAY_LOSS_LISTWISE ? 0.2 : 0);
    fill(&o->margin, 1);
    fill(&o->temperature, bi ? 0.05 : 1);
    fill(&o->labels, teacher ? 0.2 : 0);
    fill(&o->share, 0.1);
    fill(&o->epochs, 3);
    fill(&o->warmup, 0.06);
    fill(&o->decay, 0.01);
    fill(&o->clip, 1);
    fill(&o->dropout, -1);
    fill(&o->layer_rate, 1);
    fill(&o->patience, 5);
    o->development_queries = o->development_queries > 0 ? o->development_queries : 100;
    o->negatives = o->negatives > 0 ? o->negatives : 7;
    o->batch = o->batch > 0 ? o->batch : cross ? 8 : 32;
    o->max_tokens = o->max_tokens > 0 ? o->max_tokens : 256;
    o->part_tokens = o->part_tokens > 0 ? o->part_tokens : 4096;
    o->evaluations = o->evaluations > 0 ? o->evaluations : 10;
}

static assay_status check_range(const char *name, const assay_setting *setting, double low,
                                double high, assay_error *error)
{
    if (setting->value >= low && setting->value <= high)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, name, "%g, expected %g to %g", setting->value, low,
                      high);
}

static assay_status check_options(const assay_train_options *o, assay_error *error)
{
    const struct {
        const char *name;
        const assay_setting *setting;
        double low, high;
    } ranges[] = {
        {"binary", &o->binary, 0, 1000},        {"margin", &o->margin, 0, 1e6},
        {"temperature", &o->temperature, 1e-4, 1e4}, {"labels", &o->labels, 0, 1000},
        {"share", &o->share, 0, 0.9},           {"epochs", &o->epochs, 0.001, 1e6},
        {"rate", &o->rate, 0, 10},              {"warmup", &o->warmup, 0, 1},
        {"decay", &o->decay, 0, 100},           {"clip", &o->clip, 0, 1e9},
        {"dropout", &o->dropout, -1, 0.9},      {"layer_rate", &o->layer_rate, 0.01, 1},
        {"patience", &o->patience, 0, 1e6},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        ASSAY_TRY(check_range(ranges[i].name, ranges[i].setting, ranges[i].low, ranges[i].high,
                              error));
    if ((unsigned)o->kind > ASSAY_MODEL_LATE)
        return assay_fail(error, ASSAY_E_ARGUMENT, "kind", "%d is not known", (int)o->kind);
    if ((unsigned)o->loss >= ASSAY_LOSS_KINDS)
        return assay_fail(error, ASSAY_E_ARGUMENT, "loss", "%d is not known", (int)o->loss);
    if (o->kind != ASSAY_MODEL_CROSS_ENCODER && o->loss != ASSAY_LOSS_LISTWISE &&
        !assay_loss_has_teacher(o->loss))
        return assay_fail(error, ASSAY_E_ARGUMENT, "loss",
                          "%s is for a cross-encoder; others learn by listwise, within the batch, "
                          "or from a teacher by margin-mse or distil", assay_loss_name(o->loss));
    if (o->dimensions > 0 && o->kind != ASSAY_MODEL_LATE)
        return assay_fail(error, ASSAY_E_ARGUMENT, "dimensions",
                          "%u: only late interaction's can be chosen", o->dimensions);
    if (o->split > 0 && o->kind != ASSAY_MODEL_CROSS_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, "split",
                          "%u: only a cross-encoder has two texts to keep apart", o->split);
    if (o->also_count > ASSAY_TRAIN_ALSO)
        return assay_fail(error, ASSAY_E_ARGUMENT, "also", "%zu, expected at most %d",
                          o->also_count, ASSAY_TRAIN_ALSO);
    if (o->negatives > 1000 || o->batch > 65536)
        return assay_fail(error, ASSAY_E_ARGUMENT, o->batch > 65536 ? "batch" : "negatives",
                          "expected at most %d", o->batch > 65536 ? 65536 : 1000);
    return ASSAY_OK;
}

/* ----------------------------------------------------------------------- telling */

static bool known(double value)
{
    return !isnan(value);
}

/* Seconds that what is to come takes, by what was; NAN: nothing was yet. */
static double seconds_left(const assay_trainer *t, double speed)
{
    const assay_train_state *s = &t->state;
    if (!s->planned || s->step == 0 || !(speed > 0))
        return NAN;
    double tokens = (double)s->tokens / (double)s->step * (double)(s->steps - s->step);
    double evaluations = s->every > 0 ? (double)((s->steps - s->step) / s->every) : 0;
    return tokens / speed + evaluations * (known(s->evaluation) ? s->evaluation : 0);
}

assay_status assay_trainer_tell(assay_trainer *t, assay_train_stage stage, bool evaluated,
                                assay_error *error)
{
    const assay_train_state *s = &t->state;
    double ran = assay_seconds() - t->first_step;
    double speed = t->first_step > 0 && ran > 0 ? (double)(s->tokens - t->first_tokens) / ran : 0;
    assay_train_progress progress = {
        .stage = stage,
        .step = s->step,
        .steps = s->steps,
        .epoch = t->plan.count > 0
                     ? (double)s->step * t->o.batch / (double)t->plan.count
                     : 0,
        .loss = s->loss,
        .metric = s->last,
        .best = s->best,
        .rate = t->o.rate.value *
                assay_schedule_share(t->o.schedule, s->step, s->warmup, s->steps),
        .tokens_per_second = speed,
        .seconds_left = seconds_left(t, speed),
        .evaluated = evaluated,
    };
    if (t->progress != NULL && !t->progress(&progress, t->user))
        return assay_fail(error, ASSAY_E_INTERRUPTED, t->target,
                          "interrupted; what was learned is kept, and the same call goes on from "
                          "there");
    return ASSAY_OK;
}

/* Progress of reading the data. */
static bool tell_reading(const assay_progress *progress, void *user)
{
    assay_trainer *t = user;
    const assay_train_progress told = {.stage = ASSAY_TRAIN_READING,
                                       .step = progress->done,
                                       .steps = progress->total,
                                       .loss = NAN,
                                       .metric = NAN,
                                       .best = NAN,
                                       .seconds_left = NAN,
                                       .problem = progress->problem};
    return t->progress == NULL || t->progress(&told, t->user);
}

/* --------------------------------------------------------------------- the data */

static assay_status read_examples(assay_trainer *t, const char *path, const char *split,
                                  assay_examples *out, assay_error *error)
{
    const assay_examples_options options = {
        .split = split,
        .style = t->o.kind == ASSAY_MODEL_BI_ENCODER ? ASSAY_CONTEXT_WORDS
                                                     : ASSAY_CONTEXT_SENTENCES,
        .progress = tell_reading,
        .user = t,
    };
    return assay_examples_read(path, &options, out, error);
}

/* The development set: one of its own, or some of the data. */
static assay_status open_development(assay_trainer *t, assay_error *error)
{
    char path[4096];
    const char *own = t->o.development;
    if (own == NULL && assay_is_folder(t->data) &&
        assay_path_join(path, sizeof path, t->data, "qrels/dev.tsv", NULL) == ASSAY_OK &&
        assay_is_file(path))
        own = t->data;
    if (own != NULL)
        return read_examples(t, own, "dev", &t->development, error);
    t->held = calloc(t->examples.count + 1, sizeof *t->held);
    if (t->held == NULL)
        return assay_fail_memory(error, t->examples.count);
    return assay_examples_split(&t->examples, t->o.share.value, t->o.development_queries,
                                t->o.seed, t->held, error);
}

/* Judgments of a BEIR folder that are not for learning, or a file. */
static assay_status open_also(assay_trainer *t, size_t i, assay_error *error)
{
    char path[4096];
    const char *data = t->o.also[i];
    bool develops = !assay_is_folder(data) ||
                    (assay_path_join(path, sizeof path, data, "qrels/dev.tsv", NULL) == ASSAY_OK &&
                     assay_is_file(path));
    ASSAY_TRY(read_examples(t, data, develops ? "dev" : "test", &t->also[i], error));
    ASSAY_TRY(assay_plan_new(&t->also_plans[i], &t->also[i], NULL, false, 0, t->o.seed, error));
    if (t->also_plans[i].count > ALSO_QUERIES)
        t->also_plans[i].count = ALSO_QUERIES;
    return ASSAY_OK;
}

static assay_status check_data(const assay_trainer *t, assay_error *error)
{
    const assay_examples *examples = &t->examples;
    if (assay_loss_has_teacher(t->o.loss) && !examples->taught)
        return assay_fail(error, ASSAY_E_FORMAT, t->data,
                          "loss %s needs a teacher's score of every passage; `assay mine "
                          "--teacher first` writes some", assay_loss_name(t->o.loss));
    if (examples->counts.negatives == 0 &&
        assay_string_map_count(examples->passages) <= examples->counts.positives / examples->count)
        return assay_fail(error, ASSAY_E_FORMAT, t->data,
                          "every passage is relevant to every query: there is nothing to tell "
                          "apart; `assay mine` finds passages that are not");
    return ASSAY_OK;
}

static assay_status open_plans(assay_trainer *t, assay_error *error)
{
    bool own = t->held == NULL;
    const assay_examples *measured = own ? &t->development : &t->examples;
    ASSAY_TRY(assay_plan_new(&t->plan, &t->examples, t->held, false, t->o.negatives, t->o.seed,
                             error));
    ASSAY_TRY(assay_plan_new(&t->measured, measured, t->held, true, 0, t->o.seed, error));
    if (t->measured.count > t->o.development_queries)
        t->measured.count = t->o.development_queries;
    t->plan.graded = t->o.loss == ASSAY_LOSS_GRADED;
    t->plan.fill = !assay_loss_has_teacher(t->o.loss);
    t->lists = calloc(t->o.batch, sizeof *t->lists);
    if (t->lists == NULL)
        return assay_fail_memory(error, t->o.batch * sizeof *t->lists);
    for (uint32_t l = 0; l < t->o.batch; l++)
        ASSAY_TRY(assay_list_new(&t->lists[l], t->o.negatives + 1, error));
    size_t count = t->measured.count;
    t->ndcg_last = calloc(4 * count, sizeof *t->ndcg_last);
    if (t->ndcg_last == NULL)
        return assay_fail_memory(error, 4 * count * sizeof *t->ndcg_last);
    t->ndcg_before = t->ndcg_last + count;
    t->ndcg_best = t->ndcg_before + count;
    t->ndcg_saved = t->ndcg_best + count;
    t->report->training_queries = t->plan.count;
    t->report->development_queries = t->measured.count;
    t->report->data = t->examples.counts;
    t->report->development = own ? t->development.counts
                                 : (assay_example_counts){.queries = t->measured.count};
    return assay_list_new(&t->all, ASSAY_DEVELOPMENT_LIST, error);
}

static void measure_queries(assay_trainer *t)
{
    for (size_t i = 0; i < t->plan.count; i++) {
        const char *query = t->examples.list[t->plan.members[i]].query;
        size_t words = assay_words_count((assay_text){query, strlen(query)});
        t->query_words = words > t->query_words ? words : t->query_words;
    }
}

static assay_status open_data(assay_trainer *t, assay_error *error)
{
    ASSAY_TRY(read_examples(t, t->data, "train", &t->examples, error));
    ASSAY_TRY(check_data(t, error));
    ASSAY_TRY(open_development(t, error));
    ASSAY_TRY(open_plans(t, error));
    for (size_t i = 0; i < t->o.also_count; i++)
        ASSAY_TRY(open_also(t, i, error));
    measure_queries(t);
    return ASSAY_OK;
}

/* -------------------------------------------------------------------- the model */

/* Of late interaction, all token vectors of a batch, and which of them met. */
static size_t late_bytes(const assay_trainer *t)
{
    size_t queries = (size_t)t->o.batch * t->sequences.query_tokens;
    size_t passages = (size_t)t->o.batch * (t->o.negatives + 1);
    size_t vectors = queries + passages * t->sequences.max_tokens;
    if (t->o.kind != ASSAY_MODEL_LATE)
        return 0;
    return 2 * vectors * assay_trainable_dimensions(t->model) * sizeof(float) +
           passages * queries * sizeof(uint32_t);
}

/* Whether the base is what it is to become, and can be compared with that. */
static assay_status find_kind(assay_trainer *t, assay_error *error)
{
    assay_model_config config;
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    assay_status status = assay_model_config_read(t->base, hasher, &config, error);
    assay_hasher_finish(hasher);
    t->same_kind = status == ASSAY_OK && config.kind == t->o.kind;
    return status;
}

static assay_status check_memory(assay_trainer *t, assay_error *error)
{
    size_t longest = t->sequences.max_tokens;
    if (t->sequences.query_tokens > longest)
        longest = t->sequences.query_tokens;
    size_t least = t->o.kind == ASSAY_MODEL_CROSS_ENCODER
                       ? longest * ((size_t)t->o.negatives + 1)
                       : longest;
    size_t tokens = t->o.part_tokens > least ? t->o.part_tokens : least;
    size_t sequences = (size_t)t->o.batch * (t->o.negatives + 2);
    if (sequences > tokens / 4)
        sequences = tokens / 4;
    t->report->memory =
        assay_trainable_memory(t->model, tokens, sequences, longest) + late_bytes(t);
    uint64_t left = assay_memory_available();
    if (t->report->memory <= left)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_MEMORY, "memory",
                      "training needs %.2f GB, %.2f GB are free; fewer part_tokens or max_tokens, "
                      "or recompute, need less",
                      (double)t->report->memory / 1e9, (double)left / 1e9);
}

/* What has learned its task already forgets it at the rate that new weights need: claims of
 * scifact were learned by the default cross-encoder at 1e-5, and lost again at 3e-5. */
static void fill_rate(assay_trainer *t)
{
    const assay_train_options *o = &t->o;
    bool goes_on = o->kind == ASSAY_MODEL_CROSS_ENCODER && t->same_kind && o->split == 0 &&
                   o->lora_rank == 0;
    fill(&t->o.rate, goes_on ? 1e-5 : 5e-5);
}

static assay_status open_model(assay_trainer *t, assay_error *error)
{
    const assay_train_options *o = &t->o;
    const assay_trainable_options options = {
        .kind = o->kind,
        .threads = o->threads,
        .dropout = (float)o->dropout.value,
        .attention_dropout = (float)o->dropout.value,
        .seed = o->seed,
        .freeze_embeddings = !o->train_embeddings,
        .recompute = o->recompute,
        .precision = o->precision,
        .lora_rank = o->lora_rank,
        .dimensions = o->dimensions,
        .split = o->split,
    };
    const assay_optimizer_options rates = {
        .decay = (float)o->decay.value,
        .layer_rate = (float)o->layer_rate.value,
        .clip = (float)o->clip.value,
    };
    ASSAY_TRY(find_kind(t, error));
    fill_rate(t);
    ASSAY_TRY(assay_trainable_open(t->base, &options, &t->model, &t->drawn, error));
    ASSAY_TRY(assay_sequences_open(&t->sequences, assay_trainable_tokenizer(t->model),
                                   assay_trainable_config(t->model), o->max_tokens, error));
    ASSAY_TRY(check_memory(t, error));
    size_t count;
    const assay_parameter *parameters = assay_trainable_parameters(t->model, &count);
    for (size_t i = 0; i < count; i++)
        t->report->parameters += parameters[i].rows * parameters[i].columns;
    return assay_optimizer_open(t->model, &rates, &t->optimizer, error);
}

/* ---------------------------------------------------------------------- the plan */

static uint64_t at_least_one(double value)
{
    return value >= 1 ? (uint64_t)value : 1;
}

static void set_steps(assay_trainer *t, uint64_t steps, uint64_t evaluations)
{
    t->state.steps = steps;
    t->state.warmup = (uint64_t)(t->o.warmup.value * (double)steps + 0.5);
    t->state.every = (steps + evaluations - 1) / evaluations;
}

static void plan_steps(assay_trainer *t)
{
    uint64_t steps = t->o.steps;
    if (steps == 0)
        steps = at_least_one(ceil(t->o.epochs.value * (double)t->plan.count / t->o.batch));
    set_steps(t, steps, t->o.evaluations);
    t->state.planned = t->o.minutes <= 0 || steps <= TIMED;
    if (!t->state.planned)
        t->state.warmup = TIMED_WARMUP;
}

/* After the first steps: how many fit into the time. Evaluations get a quarter of it at
 * most. */
static void plan_time(assay_trainer *t, double seconds_a_step)
{
    double spent = t->seconds + assay_seconds() - t->begun;
    double left = t->o.minutes * 60 - spent;
    double evaluation = fmax(t->state.evaluation, 1e-3);
    double evaluations = fmin(t->o.evaluations, floor(0.25 * left / evaluation));
    evaluations = fmax(evaluations, 1);
    double more = floor((left - evaluations * evaluation) / fmax(seconds_a_step, 1e-6));
    uint64_t steps = TIMED + at_least_one(more);
    set_steps(t, steps < t->state.steps ? steps : t->state.steps, (uint64_t)evaluations);
    if (t->state.warmup < TIMED)
        t->state.warmup = TIMED;
    t->state.planned = true;
}

/* ---------------------------------------------------------------------- the loop */

static assay_status evaluate(assay_trainer *t, assay_error *error)
{
    assay_train_state *s = &t->state;
    double began = assay_seconds();
    size_t bytes = t->measured.count * sizeof *t->ndcg_last;
    ASSAY_TRY(assay_develop(t, &t->measured, assay_trainer_scores, t, t->ndcg_last, error));
    double metric = assay_mean_of(t->ndcg_last, t->measured.count);
    s->evaluation = assay_seconds() - began;
    if (t->first_step > 0)
        t->first_step += s->evaluation; /* is no time of steps */
    s->last = metric;
    bool better = isnan(s->best) || metric > s->best;
    if (better) {
        ASSAY_TRY(assay_state_save_best(t, error));
        s->best = metric;
        s->best_step = s->step;
        memcpy(t->ndcg_best, t->ndcg_last, bytes);
    }
    s->stale = better ? 0 : s->stale + 1;
    s->evaluated = s->step;
    if (s->step == 0) {
        s->before = metric;
        memcpy(t->ndcg_before, t->ndcg_last, bytes);
    }
    ASSAY_TRY(assay_log_metric(t, error));
    return assay_trainer_tell(t, ASSAY_TRAIN_STEPPING, true, error);
}

static assay_status step_failed(const assay_trainer *t, assay_status status, assay_error *error)
{
    if (status != ASSAY_E_CORRUPT || error == NULL)
        return status;
    const assay_list *list = &t->lists[0];
    return assay_fail(error, ASSAY_E_CORRUPT, "training",
                      "step %llu, whose batch begins with query \"%.80s\": the gradients are no "
                      "numbers; a lower rate may help; the checkpoint before it is kept",
                      (unsigned long long)t->state.step + 1,
                      t->examples.list[list->example].query);
}

static assay_status take_step(assay_trainer *t, assay_error *error)
{
    assay_train_state *s = &t->state;
    double loss, norm;
    double rate =
        t->o.rate.value * assay_schedule_share(t->o.schedule, s->step, s->warmup, s->steps);
    ASSAY_TRY(t->o.kind == ASSAY_MODEL_CROSS_ENCODER ? assay_step_cross(t, &loss, error)
                                                     : assay_step_batch(t, &loss, error));
    assay_status status = assay_optimizer_step(t->optimizer, (float)rate, 1, &norm, error);
    if (status != ASSAY_OK)
        return step_failed(t, status, error);
    s->step++;
    s->tokens += t->sequences.id_count;
    s->loss = isnan(s->loss) ? loss : 0.95 * s->loss + 0.05 * loss;
    return assay_log_step(t, loss, rate, norm, error);
}

static assay_status keep(assay_trainer *t, assay_error *error)
{
    bool late = assay_seconds() - t->checked >= CHECKPOINT_SECONDS;
    if (t->o.checkpoint_steps > 0)
        late = t->state.step % t->o.checkpoint_steps == 0;
    return late ? assay_state_save(t, error) : ASSAY_OK;
}

/* Whether it is over, and why. */
static bool over(const assay_trainer *t, assay_train_end *end)
{
    const assay_train_state *s = &t->state;
    double spent = t->seconds + assay_seconds() - t->begun;
    *end = ASSAY_TRAIN_STEPS;
    if (s->step >= s->steps)
        return true;
    *end = ASSAY_TRAIN_PATIENCE;
    if (t->o.patience.value > 0 && (double)s->stale >= t->o.patience.value)
        return true;
    *end = ASSAY_TRAIN_TIME;
    return t->o.minutes > 0 && spent >= t->o.minutes * 60;
}

/* Whether the weights are to be evaluated, and were not yet. */
static bool due(const assay_train_state *s)
{
    return s->planned && s->evaluated != s->step &&
           (s->step % s->every == 0 || s->step == s->steps);
}

static assay_status loop(assay_trainer *t, assay_error *error)
{
    assay_train_state *s = &t->state;
    double began = assay_seconds();
    uint64_t first = s->step;
    t->first_step = began;
    t->first_tokens = s->tokens;
    for (;;) {
        if (due(s)) {
            ASSAY_TRY(evaluate(t, error));
            ASSAY_TRY(assay_state_save(t, error));
        }
        if (over(t, &t->report->end))
            break;
        ASSAY_TRY(take_step(t, error));
        if (!s->planned && s->step >= TIMED)
            plan_time(t, (assay_seconds() - began) / (double)(s->step - first));
        if (!due(s))
            ASSAY_TRY(keep(t, error));
        ASSAY_TRY(assay_trainer_tell(t, ASSAY_TRAIN_STEPPING, false, error));
    }
    if (s->evaluated == s->step)
        return ASSAY_OK;
    ASSAY_TRY(evaluate(t, error));
    return assay_state_save(t, error);
}

/* ---------------------------------------------------------------------- the whole */

static assay_status check_target(const assay_trainer *t, const char *target, assay_error *error)
{
    struct stat there;
    if (stat(target, &there) != 0)
        return ASSAY_OK;
    if (!S_ISDIR(there.st_mode))
        return assay_fail(error, ASSAY_E_ARGUMENT, target, "is not a folder");
    if (!t->o.replace)
        return assay_fail(error, ASSAY_E_ARGUMENT, target,
                          "is there already, and was not to be replaced (--force)");
    if (assay_folders_overlap(t->base, target))
        return assay_fail(error, ASSAY_E_ARGUMENT, target, "holds the base, or lies in it");
    return ASSAY_OK;
}

static assay_status check_targets(const assay_trainer *t, assay_error *error)
{
    ASSAY_TRY(check_target(t, t->target, error));
    if (t->o.int8 == NULL)
        return ASSAY_OK;
    if (assay_folders_overlap(t->o.int8, t->target))
        return assay_fail(error, ASSAY_E_ARGUMENT, t->o.int8,
                          "is the trained model's folder, or one of both lies in the other");
    return check_target(t, t->o.int8, error);
}

static assay_status find_folders(assay_trainer *t, const char *base, const char *target,
                                 assay_error *error)
{
    size_t length = strlen(target);
    while (length > 1 && target[length - 1] == '/')
        length--;
    if (length == 0 || length > sizeof t->part - 100)
        return assay_fail(error, ASSAY_E_ARGUMENT, target, "expected the path of a new folder");
    char *trimmed = strndup(target, length);
    if (trimmed == NULL)
        return assay_fail_memory(error, length);
    t->target = trimmed;
    snprintf(t->part, sizeof t->part, "%s.part", trimmed);
    ASSAY_TRY(assay_model_find(base, t->base, sizeof t->base, error));
    return check_targets(t, error);
}

static assay_status begin(assay_trainer *t, assay_error *error)
{
    bool found;
    t->state = (assay_train_state){.before = NAN,
                                   .best = NAN,
                                   .last = NAN,
                                   .evaluation = NAN,
                                   .loss = NAN};
    ASSAY_TRY(assay_state_digest(t, error));
    ASSAY_TRY(assay_state_resume(t, &found, error));
    t->seconds = t->state.seconds;
    t->report->resumed = found ? t->state.step : 0;
    ASSAY_TRY(assay_log_resume(t, found, error));
    if (found)
        return ASSAY_OK;
    plan_steps(t);
    ASSAY_TRY(evaluate(t, error));
    return assay_state_save(t, error);
}

static assay_status run(assay_trainer *t, const char *base, const char *target,
                        assay_error *error)
{
    ASSAY_TRY(find_folders(t, base, target, error));
    ASSAY_TRY(open_data(t, error));
    ASSAY_TRY(open_model(t, error));
    ASSAY_TRY(begin(t, error));
    assay_status status = loop(t, error);
    if (status == ASSAY_E_INTERRUPTED) /* what the last steps brought is worth keeping */
        (void)assay_state_save(t, NULL);
    ASSAY_TRY(status);
    return assay_state_finish(t, error);
}

static void report(assay_trainer *t)
{
    assay_train_report *r = t->report;
    const assay_train_state *s = &t->state;
    r->steps = s->step;
    r->best_step = s->best_step;
    r->loss = s->loss;
    r->before = s->before;
    r->best = s->best;
    r->last = s->last;
    r->tokens = s->tokens;
    r->seconds = t->seconds + assay_seconds() - t->begun;
}

static void close_all(assay_trainer *t)
{
    for (uint32_t l = 0; t->lists != NULL && l < t->o.batch; l++)
        assay_list_free(&t->lists[l]);
    free(t->lists);
    assay_list_free(&t->all);
    assay_plan_free(&t->plan);
    assay_plan_free(&t->measured);
    assay_optimizer_close(t->optimizer);
    assay_sequences_free(&t->sequences);
    assay_trainable_close(t->model);
    assay_examples_free(&t->examples);
    assay_examples_free(&t->development);
    for (size_t i = 0; i < ASSAY_TRAIN_ALSO; i++) {
        assay_plan_free(&t->also_plans[i]);
        assay_examples_free(&t->also[i]);
    }
    free(t->ndcg_last);
    free(t->held);
    assay_lock_release(&t->lock);
    free((char *)t->target);
    free(t);
}

assay_status assay_train(const char *data, const char *base, const char *target,
                         const assay_train_options *options, assay_train_fn progress, void *user,
                         assay_train_report *out, assay_error *error)
{
    assay_train_report own;
    assay_trainer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return assay_fail_memory(error, sizeof *t);
    if (options != NULL)
        t->o = *options;
    t->lock = -1;
    t->data = data;
    t->progress = progress;
    t->user = user;
    t->report = out != NULL ? out : &own;
    *t->report = (assay_train_report){.probability_slope = NAN, .probability_offset = NAN,
                                      .log_loss_before = NAN, .log_loss = NAN};
    t->begun = t->checked = assay_seconds();
    fill_options(&t->o);
    t->loss = (assay_loss){.kind = t->o.loss,
                           .binary = t->o.binary.value,
                           .margin = t->o.margin.value,
                           .temperature = t->o.kind == ASSAY_MODEL_CROSS_ENCODER
                                              ? t->o.temperature.value
                                              : 1, /* scores have it already */
                           .labels = t->o.labels.value};
    assay_status status = check_options(&t->o, error);
    if (status == ASSAY_OK)
        status = run(t, base, target, error);
    report(t);
    close_all(t);
    return status;
}
