/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_charsmap.c: any bytes as a charsmap, which then normalises a text of which
 * they are a part. What is read must be safe to ask, and places in order.
 */
#include <stdlib.h>
#include <string.h>

#include "text/spm_normalizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static char *to_base64(const uint8_t *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc(length / 3 * 4 + 8), *out = text;
    require(text != NULL);
    for (size_t i = 0; i < length; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16;
        bits |= i + 1 < length ? (uint32_t)bytes[i + 1] << 8 : 0;
        bits |= i + 2 < length ? bytes[i + 2] : 0;
        for (size_t k = 0; k < 4; k++)
            *out++ = length - i < k ? '=' : digits[bits >> (18 - 6 * k) & 63];
    }
    *out = '\0';
    return text;
}

static void normalize(assay_spm_normalizer *normalizer, const uint8_t *text, size_t length)
{
    assay_normal buffers[2] = {{0}};
    assay_spm_run run = {.text = text, .end = length, .normal = &buffers[0],
                         .spare = &buffers[1]};
    uint32_t begin = 0, end = 0;
    while (run.done < length) {
        require(assay_spm_segment(normalizer, &run, NULL) == ASSAY_OK);
        for (size_t i = 0; i < run.normal->count; i++) {
            uint32_t from = assay_normal_begin(run.normal, i);
            uint32_t to = assay_normal_end(run.normal, i + 1);
            require(from >= begin && to >= end && from < to && to <= length);
            begin = from;
            end = to;
        }
        require(assay_utf8_check(run.normal->bytes, run.normal->count) == run.normal->count);
    }
    assay_normal_free(&buffers[0]);
    assay_normal_free(&buffers[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static assay_char_table classes;
    static bool filled;
    if (!filled)
        assay_char_table_fill(&classes);
    filled = true;
    if (size < 8)
        return 0;
    size_t options = data[0], text = 1 + data[1]; /* bytes of text before the map */
    if (text > size - 2)
        text = size - 2;
    assay_spm_normalizer normalizer = {.count = options & 3};
    normalizer.steps[0] = (assay_spm_step){.kind = ASSAY_SPM_STRIP, .left = options & 4,
                                           .right = options & 8};
    normalizer.steps[1] = (assay_spm_step){.kind = ASSAY_SPM_RUNS, .content = "\xE2\x96\x81"};
    normalizer.steps[2] = (assay_spm_step){.kind = options & 16 ? ASSAY_SPM_PREPEND
                                                                : ASSAY_SPM_REPLACE,
                                           .pattern = "a", .content = "b c"};
    assay_error error = {0};
    const uint8_t *blob = data + 2 + text;
    char *base64 = to_base64(blob, size - 2 - text);
    if (assay_charsmap_read(&normalizer.map, base64, strlen(base64), "fuzz", &error) == ASSAY_OK) {
        require(assay_spm_normalizer_ready(&normalizer, &classes, NULL) == ASSAY_OK);
        normalizer.in_segments = normalizer.simple && (options & 32);
        normalize(&normalizer, data + 2, text);
        normalize(&normalizer, data, size);
    } else {
        require(error.message[0] != '\0' && error.code != ASSAY_OK);
    }
    free(base64);
    assay_spm_normalizer_free(&normalizer);
    return 0;
}
