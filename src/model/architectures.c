/* SPDX-License-Identifier: Apache-2.0 */
/*
 * architectures.c: see architectures.h.
 *
 * BERT: Devlin et al. 2019. RoBERTa: Liu et al. 2019. XLM-RoBERTa: Conneau et
 * al. 2020. The trunks are alike down to the names of their tensors. RoBERTa has
 * no pooler that classification went through, but a head of the same two layers,
 * and one token type, which it never tells texts apart by.
 */
#include "model/architectures.h"

#include <string.h>

static const assay_architecture architectures[] = {
    {"bert", "Bert", "bert.", "pooler.dense", true, "classifier", false, true},
    {"roberta", "Roberta", "roberta.", "classifier.dense", false, "classifier.out_proj", true,
     false},
    {"xlm-roberta", "XLMRoberta", "roberta.", "classifier.dense", false, "classifier.out_proj",
     true, false},
};

const assay_architecture *assay_architecture_find(const char *type)
{
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strcmp(type, architectures[i].type) == 0)
            return &architectures[i];
    return NULL;
}

bool assay_architecture_kind(const assay_architecture *architecture, const char *class_name,
                             assay_model_kind *kind)
{
    size_t length = strlen(architecture->classes);
    if (strncmp(class_name, architecture->classes, length) != 0)
        return false;
    const char *task = class_name + length;
    bool cross = strcmp(task, "ForSequenceClassification") == 0;
    *kind = cross ? ASSAY_MODEL_CROSS_ENCODER : ASSAY_MODEL_BI_ENCODER;
    return cross || strcmp(task, "Model") == 0 || strcmp(task, "ForMaskedLM") == 0;
}
