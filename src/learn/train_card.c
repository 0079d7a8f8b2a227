/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_card.c: the card of a trained model, README.md, in the form of model hubs: what
 * it was made from, how, and what it measured. Sizes and settings are those of the run.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "learn/trainer.h"
#include "model/model_config.h"

#define CARD_LIMIT ((size_t)1 << 20)

/* ----------------------------------------------------------------- config.json */

static assay_status set_words(json_t *root, size_t words, const char *path, assay_error *error)
{
    char *text = NULL;
    if (json_object_set_new(root, "assay_query_words", json_integer((json_int_t)words)) == 0)
        text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (text == NULL)
        return assay_fail_memory(error, 4096);
    assay_status status = assay_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}

assay_status assay_card_config(const assay_trainer *t, const char *folder, assay_error *error)
{
    char path[4096];
    json_t *root;
    uint32_t known = assay_trainable_config(t->model)->query_words;
    if (known == 0 || t->query_words <= known)
        return ASSAY_OK;
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "config.json", error));
    ASSAY_TRY(assay_json_read(path, ASSAY_CONFIG_LIMIT, &root, error));
    assay_status status = set_words(root, t->query_words, path, error);
    json_decref(root);
    return status;
}

/* -------------------------------------------------------------------- README.md */

/* The value of a field in the front matter of the base's card: "license: mit". */
static bool front_matter(const char *card, const char *field, char *out, size_t size)
{
    size_t length = strlen(field);
    if (strncmp(card, "---\n", 4) != 0)
        return false;
    for (const char *line = card + 4; strncmp(line, "---", 3) != 0;) {
        size_t end = strcspn(line, "\r\n");
        if (strncmp(line, field, length) == 0 && line[length] == ':') {
            const char *value = line + length + 1;
            value += strspn(value, " ");
            snprintf(out, size, "%.*s", (int)(line + end - value), value);
            return out[0] != '\0';
        }
        line += end + strspn(line + end, "\r\n");
        if (*line == '\0')
            break;
    }
    return false;
}

static void put_licence(const assay_trainer *t, assay_buffer *out)
{
    char path[4096], licence[64];
    assay_buffer card;
    assay_buffer_init(&card, CARD_LIMIT);
    if (assay_path_join(path, sizeof path, t->base, "README.md", NULL) == ASSAY_OK &&
        assay_file_read(path, &card, NULL) == ASSAY_OK && card.length > 0 &&
        front_matter(card.data, "license", licence, sizeof licence))
        assay_buffer_format(out, "license: %s\n", licence);
    assay_buffer_free(&card);
}

static void put_head(const assay_trainer *t, assay_buffer *out)
{
    static const struct {
        const char *task, *tags, *is;
    } kinds[] = {
        [ASSAY_MODEL_CROSS_ENCODER] = {"text-ranking", "- cross-encoder",
                                       "A cross-encoder: query and passage in, a logit out"},
        [ASSAY_MODEL_BI_ENCODER] = {"sentence-similarity", "- bi-encoder",
                                    "A bi-encoder: a text in, a vector out"},
        [ASSAY_MODEL_LATE] = {"sentence-similarity", "- ColBERT\n- PyLate",
                              "Late interaction (ColBERT): a text in, a vector of each token out, "
                              "compared by MaxSim"},
    };
    const char *base = assay_path_name(t->base);
    assay_buffer_format(out, "---\nbase_model: %s\n", base);
    put_licence(t, out);
    assay_buffer_format(out, "pipeline_tag: %s\ntags:\n%s\n- assay\n---\n\n# %s\n\n",
                        kinds[t->o.kind].task, kinds[t->o.kind].tags, assay_path_name(t->target));
    assay_buffer_format(out,
                        "%s, fine-tuned by `assay train` (assay %s) from `%s`, whose licence "
                        "goes for these weights, too.\n\n", kinds[t->o.kind].is, ASSAY_VERSION,
                        base);
}

static void put_data(const assay_trainer *t, assay_buffer *out)
{
    const assay_example_counts *c = &t->report->data;
    assay_buffer_format(out,
                        "## Data\n\n`%s`: %llu queries to learn from, %llu to measure by%s. In "
                        "all %llu relevant passages, %llu others, %llu different texts.\n\n",
                        assay_path_name(t->data),
                        (unsigned long long)t->report->training_queries,
                        (unsigned long long)t->report->development_queries,
                        t->held != NULL ? ", held out with all that share a passage" : "",
                        (unsigned long long)c->positives, (unsigned long long)c->negatives,
                        (unsigned long long)c->passages);
}

static void put_row(assay_buffer *out, const char *name, double value)
{
    assay_buffer_format(out, "| %s | %.6g |\n", name, value);
}

static void put_recipe(const assay_trainer *t, assay_buffer *out)
{
    static const char *const schedules[] = {"linear to 0", "cosine to 0", "constant"};
    const assay_train_options *o = &t->o;
    assay_buffer_format(out,
                        "## Recipe\n\n| | |\n|---|---|\n| loss | %s |\n| schedule | %s, %llu of "
                        "%llu steps warm-up |\n",
                        assay_loss_name(o->loss), schedules[o->schedule],
                        (unsigned long long)t->state.warmup, (unsigned long long)t->state.steps);
    put_row(out, "weight of binary cross-entropy", o->binary.value);
    if (assay_loss_has_teacher(o->loss))
        put_row(out, "weight of the judgments", o->labels.value);
    if (assay_loss_has_teacher(o->loss) || o->kind != ASSAY_MODEL_CROSS_ENCODER)
        put_row(out, "temperature", o->temperature.value);
    if (o->kind == ASSAY_MODEL_LATE) {
        put_row(out, "dimensions of a token's vector", (double)assay_trainable_dimensions(t->model));
        put_row(out, "tokens of a query, at most", t->sequences.query_tokens);
    }
    if (assay_trainable_config(t->model)->split > 0)
        put_row(out, "layers in which query and passage are apart",
                assay_trainable_config(t->model)->split);
    put_row(out, "queries a step", o->batch);
    put_row(out, "negatives a query", o->negatives);
    put_row(out, "tokens of a sequence, at most", t->sequences.max_tokens);
    put_row(out, "highest rate (AdamW)", o->rate.value);
    put_row(out, "weight decay", o->decay.value);
    put_row(out, "clipping by norm", o->clip.value);
    if (o->layer_rate.value != 1)
        put_row(out, "rate of a layer, as a share of the one above", o->layer_rate.value);
    if (o->lora_rank > 0)
        put_row(out, "LoRA rank", o->lora_rank);
    if (o->precision == ASSAY_PRECISION_BF16)
        assay_buffer_format(out, "| products of layers | bf16 (%s) |\n", assay_cpu());
    assay_buffer_format(out, "| embeddings | %s |\n| seed | %llu |\n\n",
                        o->train_embeddings ? "trained" : "as in the base",
                        (unsigned long long)o->seed);
}

/* "p = 0.03" */
static void put_p(assay_buffer *out, const assay_train_measure *m)
{
    if (!isnan(m->p_value))
        assay_buffer_format(out, "p = %.2g", m->p_value);
}

static void put_also(const assay_trainer *t, assay_buffer *out)
{
    if (t->o.also_count > 0)
        assay_buffer_format(out, "\nOther collections, nDCG@10 likewise:\n\n"
                                 "| | queries | before | now | paired randomisation |\n"
                                 "|---|---|---|---|---|\n");
    for (size_t i = 0; i < t->o.also_count; i++) {
        const assay_train_measure *m = &t->report->also[i];
        assay_buffer_format(out, "| `%s` | %llu | ", assay_path_name(t->o.also[i]),
                            (unsigned long long)m->queries);
        if (!isnan(m->before))
            assay_buffer_format(out, "%.4f", m->before);
        assay_buffer_format(out, " | %.4f | ", m->after);
        put_p(out, m);
        assay_buffer_string(out, " |\n");
    }
}

static void put_probability(const assay_trainer *t, assay_buffer *out)
{
    const assay_train_report *r = t->report;
    if (isnan(r->probability_slope))
        return;
    assay_buffer_format(out, "\nProbability: 1 / (1 + exp(-%.6g * score %+.6g)), fitted (Platt "
                             "1999) to the ten best passages of each development query, mean log "
                             "loss %.4f", r->probability_slope, -r->probability_offset,
                        r->log_loss);
    if (!isnan(r->log_loss_before))
        assay_buffer_format(out, ", %.4f without", r->log_loss_before);
    assay_buffer_string(out, ". `pipeline.json` has it (`assay search --pipeline`).\n");
}

static void put_figures(const assay_trainer *t, assay_buffer *out)
{
    static const char *const ends[] = {
        [ASSAY_TRAIN_STEPS] = "all steps were taken",
        [ASSAY_TRAIN_TIME] = "the time was over",
        [ASSAY_TRAIN_PATIENCE] = "nothing was gained any more",
    };
    const assay_train_state *s = &t->state;
    char now[21];
    assay_timestamp(now);
    assay_buffer_format(out,
                        "## Figures\n\nnDCG@10 of the development queries' passages, reranked: "
                        "%.4f before, %.4f with these weights (step %llu), ",
                        s->before, s->best, (unsigned long long)s->best_step);
    put_p(out, &t->report->gain);
    assay_buffer_string(out, " by a paired randomisation test. These queries chose the step, so "
                             "the figure is a little high; `assay eval` on others tells.\n\n");
    assay_buffer_format(out,
                        "%llu steps, %llu tokens, %.0f seconds, until %s (%s); loss at the end "
                        "%.4f. Every step is in `training.csv`.\n\n![loss and nDCG@10 by "
                        "step](training.svg)\n",
                        (unsigned long long)s->step, (unsigned long long)s->tokens, s->seconds, now,
                        ends[t->report->end], s->loss);
    put_also(t, out);
    put_probability(t, out);
}

static assay_status append_to(const char *folder, const assay_buffer *text, assay_error *error)
{
    char path[4096];
    assay_buffer card;
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "README.md", error));
    assay_buffer_init(&card, CARD_LIMIT);
    assay_status status = assay_file_read(path, &card, error);
    assay_buffer_append(&card, text->data, text->length);
    if (status == ASSAY_OK)
        status = assay_buffer_status(&card, path, error);
    if (status == ASSAY_OK)
        status = assay_file_write(path, card.data, card.length, error);
    assay_buffer_free(&card);
    return status;
}

assay_status assay_card_int8(const assay_trainer *t, assay_error *error)
{
    const assay_train_measure *m = &t->report->int8;
    assay_buffer text;
    if (t->o.int8 == NULL)
        return ASSAY_OK;
    assay_buffer_init(&text, CARD_LIMIT);
    assay_buffer_format(&text, "\nWith int8 weights (`%s`, %.1f MB in place of %.1f): nDCG@10 of the "
                               "development queries %.4f in place of %.4f, ",
                        assay_path_name(t->o.int8), (double)t->report->int8_bytes / 1e6,
                        (double)t->report->bytes / 1e6, m->after, m->before);
    put_p(&text, m);
    assay_buffer_string(&text, ".\n");
    assay_status status = append_to(t->target, &text, error);
    if (status == ASSAY_OK)
        status = append_to(t->o.int8, &text, error);
    assay_buffer_free(&text);
    return status;
}

assay_status assay_card_write(assay_trainer *t, const char *folder, assay_error *error)
{
    char path[4096];
    assay_buffer text;
    ASSAY_TRY(assay_path_join(path, sizeof path, folder, "README.md", error));
    assay_buffer_init(&text, CARD_LIMIT);
    put_head(t, &text);
    put_data(t, &text);
    put_recipe(t, &text);
    put_figures(t, &text);
    assay_status status = assay_buffer_status(&text, path, error);
    if (status == ASSAY_OK)
        status = assay_file_write(path, text.data, text.length, error);
    assay_buffer_free(&text);
    return status;
}
