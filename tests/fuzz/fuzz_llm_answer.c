/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_llm_answer.c: whatever a model says, an order is a permutation, and a query is one
 * line of something. The first byte is how many passages were asked about. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rank/llm_answer.h"

static void read_page(assay_text answer)
{
    bool yes;
    double confidence;
    assay_text reason;
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return;
    if (assay_llm_read_page(answer, arena, &yes, &confidence, &reason) != ASSAY_LLM_FAILED &&
        (confidence < 0 || confidence > 1 || memchr(reason.data, '\n', reason.length) != NULL))
        abort();
    assay_arena_free(arena);
}

static void read_queries(assay_text answer, size_t most)
{
    assay_text queries[64];
    size_t count;
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return;
    assay_llm_read_queries(answer, most, arena, queries, &count);
    if (count > most)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (queries[i].length == 0)
            abort();
        for (size_t j = 0; j < queries[i].length; j++)
            if ((unsigned char)queries[i].data[j] < ' ')
                abort();
    }
    assay_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t order[64];
    bool seen[64], yes;
    double grade;
    int choice;
    if (size == 0)
        return 0;
    size_t count = data[0] % 64 + 1;
    assay_text answer = {(const char *)data + 1, size - 1};
    assay_llm_read_order(answer, count, order, seen);
    bool found[64] = {false};
    for (size_t i = 0; i < count; i++) {
        if (order[i] >= count || found[order[i]])
            abort();
        found[order[i]] = true;
    }
    if (assay_llm_read_grade(answer, &grade) != ASSAY_LLM_FAILED && !(grade >= 0 && grade <= 10))
        abort();
    assay_llm_read_yes(answer, &yes);
    if (assay_llm_read_choice(answer, &choice) != ASSAY_LLM_FAILED && (choice < -1 || choice > 1))
        abort();
    read_queries(answer, count);
    read_page(answer);
    return 0;
}
