/* SPDX-License-Identifier: Apache-2.0 */
/* presets.h: pipelines that come with assay. */
#ifndef ASSAY_PRESETS_H
#define ASSAY_PRESETS_H

#include <assay.h>

typedef struct assay_preset {
    const char *name, *description;
    const char *json; /* as a pipeline file */
} assay_preset;

/* NULL: there is none of that name. */
const assay_preset *assay_preset_find(const char *name);

#endif
