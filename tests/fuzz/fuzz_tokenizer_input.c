/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_tokenizer_input.c: any bytes as a text. Ids are in the vocabulary, offsets
 * in the text and in order, and a limit gives the beginning of what there is
 * without one. Run from the repository's root: it reads tests/golden.
 */
#include <stdlib.h>
#include <string.h>

#include <assay.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int true_thing)
{
    if (!true_thing)
        abort();
}

static const assay_tokenizer *tokenizer_of(unsigned which)
{
    static const char *const paths[] = {"tests/golden/tokenizer/cut",
                                        "tests/golden/tokenizer/small",
                                        "tests/golden/tokenizer/vocab",
                                        "tests/golden/unigram/xlmr",
                                        "tests/golden/unigram/words",
                                        "tests/golden/unigram/whole",
                                        "tests/golden/unigram/steps"};
    enum { COUNT = sizeof paths / sizeof *paths };
    static assay_tokenizer *opened[COUNT];
    which %= COUNT;
    if (opened[which] == NULL)
        require(assay_tokenizer_open(paths[which], &opened[which], NULL) == ASSAY_OK);
    return opened[which];
}

static void check(const assay_tokenizer *tokenizer, const assay_encoding *encoding,
                  size_t length)
{
    for (size_t i = 0; i < encoding->count; i++) {
        require(assay_token_text(tokenizer, encoding->ids[i]) != NULL);
        require(encoding->begins[i] < encoding->ends[i] && encoding->ends[i] <= length);
        require(i == 0 || encoding->begins[i] >= encoding->begins[i - 1]);
        require(i == 0 || encoding->ends[i] >= encoding->ends[i - 1]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const assay_tokenizer *tokenizer = tokenizer_of(data[0]);
    assay_text text = {(const char *)data + 2, size - 2};
    assay_encoding all, some;
    require(assay_tokenize(tokenizer, text, NULL, NULL, &all, NULL) == ASSAY_OK);
    check(tokenizer, &all, text.length);
    assay_tokenize_options options = {.max_tokens = data[1] + 1u};
    require(assay_tokenize(tokenizer, text, NULL, &options, &some, NULL) == ASSAY_OK);
    require(some.count == (all.count < options.max_tokens ? all.count : options.max_tokens));
    require(some.truncated == (some.count < all.count));
    require(memcmp(some.ids, all.ids, some.count * sizeof *all.ids) == 0);
    require(memcmp(some.ends, all.ends, some.count * sizeof *all.ends) == 0);
    assay_encoding_free(&all);
    assay_encoding_free(&some);
    return 0;
}
