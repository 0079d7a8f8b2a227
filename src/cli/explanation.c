/* SPDX-License-Identifier: Apache-2.0 */
/* explanation.c: see explanation.h. Special tokens, which stand for no word, are left out of
 * what people read. */
#include "cli/explanation.h"

#include <stdlib.h>
#include <string.h>

static bool is_word(const assay_match *match)
{
    return match->query_end > match->query_begin;
}

static void print_matches(const assay_explanation *explanation, assay_text question,
                          assay_text passage, unsigned indent)
{
    const char *before = "";
    printf("%*s%s", (int)indent, "", assay_style_code(ASSAY_STYLE_DIM));
    for (size_t i = 0; i < explanation->count; i++) {
        const assay_match *match = &explanation->matches[i];
        if (!is_word(match))
            continue;
        printf("%s", before);
        assay_print_text(stdout, question.data + match->query_begin,
                         match->query_end - match->query_begin);
        printf(" -> ");
        if (match->end > match->begin)
            assay_print_text(stdout, passage.data + match->begin, match->end - match->begin);
        else
            assay_print_text(stdout, match->token, strlen(match->token));
        printf("%s %.2f", match->in_title ? " (title)" : "", (double)match->similarity);
        before = "; ";
    }
    printf("%s\n", assay_style_code(ASSAY_STYLE_PLAIN));
}

void assay_explain_print(const assay_explanation *explanation, assay_text question,
                         assay_text passage, unsigned indent)
{
    bool *lit = calloc(passage.length + 1, sizeof *lit);
    for (size_t i = 0; lit && i < explanation->count; i++) {
        const assay_match *match = &explanation->matches[i];
        for (size_t at = match->begin; is_word(match) && at < match->end; at++)
            lit[at] = true;
    }
    assay_print_lit(passage.data, passage.length, indent, lit);
    free(lit);
    print_matches(explanation, question, passage, indent);
}

void assay_explain_json(assay_answer *answer, json_t *hit, const assay_explanation *explanation,
                        assay_text question)
{
    json_t *out = assay_answer_object(answer, hit, "explanation");
    assay_answer_set(answer, out, "score", assay_json_number((double)explanation->score));
    json_t *matches = assay_answer_array(answer, out, "matches");
    for (size_t i = 0; i < explanation->count; i++) {
        const assay_match *match = &explanation->matches[i];
        json_t *one = assay_answer_object(answer, matches, NULL);
        assay_answer_set(answer, one, "query",
                         is_word(match)
                             ? assay_json_text(question.data + match->query_begin,
                                               match->query_end - match->query_begin)
                             : json_null());
        assay_answer_set(answer, one, "query_token", assay_json_name(match->query_token));
        assay_answer_set(answer, one, "query_begin", assay_json_count(match->query_begin));
        assay_answer_set(answer, one, "query_end", assay_json_count(match->query_end));
        assay_answer_set(answer, one, "token", assay_json_name(match->token));
        assay_answer_set(answer, one, "begin", assay_json_count(match->begin));
        assay_answer_set(answer, one, "end", assay_json_count(match->end));
        assay_answer_set(answer, one, "in_title", json_boolean(match->in_title));
        assay_answer_set(answer, one, "similarity",
                         assay_json_number((double)match->similarity));
    }
}
