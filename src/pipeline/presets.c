/* SPDX-License-Identifier: Apache-2.0 */
/* presets.c: see presets.h. */
#include "pipeline/presets.h"

#include <string.h>

static const assay_preset presets[] = {
    {"default", "what `assay search` does: 100 passages, the first 30 reranked by cross",
     "{\"retrieve\": 100, \"keep\": 30, \"stages\": [{\"kind\": \"cross\"}]}"},
    {"fast", "100 passages, all reranked by late interaction",
     "{\"retrieve\": 100, \"stages\": [{\"kind\": \"late\"}]}"},
    {"balanced", "100 passages by late interaction, the first 20 of them by cross",
     "{\"retrieve\": 100, \"stages\": [{\"kind\": \"late\", \"keep\": 20},"
     " {\"kind\": \"cross\", \"keep\": 5}]}"},
    {"thorough", "100 passages, all reranked by cross",
     "{\"retrieve\": 100, \"stages\": [{\"kind\": \"cross\"}]}"},
    {"precise", "100 passages by cross, the first 20 of them by llm ($ASSAY_LLM_URL)",
     "{\"retrieve\": 100, \"stages\": [{\"kind\": \"cross\", \"keep\": 20},"
     " {\"kind\": \"llm\", \"keep\": 5}]}"},
    {"classic", "100 passages by their vectors, 20 by the order of cross, 5 by that of llm"
     " ($ASSAY_LLM_URL)",
     "{\"retriever\": \"dense\", \"retrieve\": 100, \"stages\": ["
     "{\"kind\": \"cross\", \"keep\": 20, \"weight\": 1, \"weight_before\": 0},"
     " {\"kind\": \"llm\", \"keep\": 5}]}"},
};

enum { PRESETS = sizeof presets / sizeof *presets };

const assay_preset *assay_preset_find(const char *name)
{
    for (size_t i = 0; i < PRESETS; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

const char *assay_pipeline_preset(size_t i, const char **description)
{
    if (i >= PRESETS)
        return NULL;
    if (description != NULL)
        *description = presets[i].description;
    return presets[i].name;
}
