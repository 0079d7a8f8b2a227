/* SPDX-License-Identifier: Apache-2.0 */
/* llm_options.c: see llm_options.h. */
#include "cli/llm_options.h"

void assay_llm_overlay(const assay_llm_settings *given, assay_llm_options *options,
                       const char **model)
{
    if (given->url)
        options->url = given->url;
    if (given->model)
        *model = given->model;
    if (given->mode)
        options->mode = (assay_llm_mode)given->mode;
}

void assay_llm_add(assay_llm_usage *sum, const assay_llm_usage *one)
{
    sum->requests += one->requests;
    sum->cached += one->cached;
    sum->retries += one->retries;
    sum->input_tokens += one->input_tokens;
    sum->output_tokens += one->output_tokens;
    sum->cost += one->cost;
    sum->ok += one->ok;
    sum->repaired += one->repaired;
    sum->failed += one->failed;
    sum->cut += one->cut;
}

static bool asked(const assay_llm_usage *usage)
{
    return usage->requests + usage->cached + usage->failed > 0;
}

void assay_llm_json(assay_answer *answer, json_t *object, const assay_llm_usage *usage)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"requests", usage->requests}, {"cached", usage->cached},
        {"retries", usage->retries},   {"input_tokens", usage->input_tokens},
        {"output_tokens", usage->output_tokens}, {"ok", usage->ok},
        {"repaired", usage->repaired}, {"failed", usage->failed},
        {"cut", usage->cut},
    };
    if (!asked(usage))
        return;
    json_t *one = assay_answer_object(answer, object, "llm");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assay_answer_set(answer, one, counts[i].name, assay_json_count(counts[i].value));
    assay_answer_set(answer, one, "cost", assay_json_number(usage->cost));
}

void assay_llm_print(const assay_llm_usage *usage)
{
    char text[3][32];
    if (!asked(usage))
        return;
    printf(", answers of the model: %s", assay_print_count(text[0], usage->ok + usage->repaired));
    if (usage->cached)
        printf(", %s from the cache", assay_print_count(text[0], usage->cached));
    if (usage->repaired)
        printf(", %s repaired", assay_print_count(text[0], usage->repaired));
    if (usage->failed)
        printf(", %s that failed", assay_print_count(text[0], usage->failed));
    printf(", %s + %s tokens", assay_print_count(text[1], usage->input_tokens),
           assay_print_count(text[2], usage->output_tokens));
    if (usage->cost > 0)
        printf(", cost %.4g", usage->cost);
}
