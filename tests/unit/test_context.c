/* SPDX-License-Identifier: Apache-2.0 */
/* test_context.c: what a model reads of a passage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text/context.h"

static void expect(assay_context_style style, const char *title, const char *heading,
                   const char *passage, const char *expected)
{
    assay_buffer out;
    assay_buffer_init(&out, 0);
    assay_passage_context(style, title, heading, (assay_text){passage, strlen(passage)}, &out);
    assert_string_equal(out.data, expected);
    assay_buffer_free(&out);
}

static void parts_are_joined_by_the_style(void **state)
{
    (void)state;
    expect(ASSAY_CONTEXT_WORDS, "Leave", "Shore", "Days lapse.", "Leave Shore Days lapse.");
    expect(ASSAY_CONTEXT_SENTENCES, "Leave", "Shore", "Days lapse.", "Leave. Shore. Days lapse.");
    expect(ASSAY_CONTEXT_SENTENCES, "Any left?", "", "Yes.", "Any left? Yes.");
    expect(ASSAY_CONTEXT_WORDS, "", "", "Days lapse.", "Days lapse.");
    expect(ASSAY_CONTEXT_WORDS, "Leave", "", "", "Leave ");
}

static void nothing_is_said_twice(void **state)
{
    (void)state;
    expect(ASSAY_CONTEXT_WORDS, "wing in a slipstream", "", "Wing in a slipstream . A study",
           "Wing in a slipstream . A study");
    expect(ASSAY_CONTEXT_WORDS, "Leave", "Leave > Shore", "Days", "Leave > Shore Days");
    expect(ASSAY_CONTEXT_WORDS, "Guide", "Fire", "Fire drills", "Guide Fire drills");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_joined_by_the_style),
        cmocka_unit_test(nothing_is_said_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
