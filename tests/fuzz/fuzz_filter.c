/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_filter.c: any text as a filter, in words or as JSON: refused with a place, or a program that
 * leaves one set and needs no more stack than there is. */
#include <stdlib.h>
#include <string.h>

#include "text/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_program(const assay_filter *filter)
{
    size_t count, depth = 0;
    const assay_filter_step *steps = assay_filter_steps(filter, &count);
    for (size_t i = 0; i < count; i++) {
        bool pushes = steps[i].op == ASSAY_FILTER_RANGE || steps[i].op == ASSAY_FILTER_EXISTS;
        size_t needs = pushes ? 0 : steps[i].op == ASSAY_FILTER_NOT ? 1 : 2;
        if (depth < needs || (pushes && (steps[i].field == NULL || steps[i].field[0] == '\0')))
            __builtin_trap();
        depth = depth - needs + 1;
        if (depth > ASSAY_FILTER_STACK)
            __builtin_trap();
    }
    if (depth != 1)
        __builtin_trap();
}

static assay_status ignore_value(void *user, const char *field, const assay_value *value,
                                 assay_error *error)
{
    (void)user;
    (void)error;
    if (field[0] == '\0' || strlen(field) > ASSAY_FIELD_LIMIT || value->kind == 0)
        __builtin_trap();
    return ASSAY_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assay_filter *filter;
    assay_error error;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (assay_filter_parse(text, &filter, &error) == ASSAY_OK) {
        if (filter != NULL)
            check_program(filter);
        assay_filter_free(filter);
    } else if (error.where[0] == '\0' || error.message[0] == '\0') {
        __builtin_trap();
    }
    (void)assay_metadata_each(text, ignore_value, NULL, NULL);
    free(text);
    return 0;
}
