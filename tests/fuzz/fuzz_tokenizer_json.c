/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tokenizer_json.c: any bytes as tokenizer.json. What opens must tokenize. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <assay.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *write_input(const uint8_t *data, size_t size)
{
    static char path[64];
    if (path[0] == '\0')
        snprintf(path, sizeof path, "/tmp/fuzz-tokenizer-%ld.json", (long)getpid());
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        abort();
    if (fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = write_input(data, size);
    assay_tokenizer *tokenizer = NULL;
    assay_error error;
    assay_status status = assay_tokenizer_open(path, &tokenizer, &error);
    unlink(path);
    if (status != ASSAY_OK) {
        if (error.code != status || error.message[0] == '\0')
            abort();
        return 0;
    }
    static const char text[] = "The un[MASK]affable caf\xc3\xa9 \xe4\xb8\xad 9! <x> [CLS]\xff"
                               "  a\xcc\x81 \xe2\x96\x81 b\r\n<mask> aaaabbb\xe2\x84\xa2";
    assay_text one = {text, sizeof text - 1};
    assay_encoding encoding;
    assay_tokenize_options options = {.max_tokens = 16,
                                      .truncation = ASSAY_TRUNCATE_LONGEST_FIRST};
    if (assay_tokenize(tokenizer, one, &one, &options, &encoding, &error) == ASSAY_OK) {
        for (size_t i = 0; i < encoding.count; i++)
            if (assay_token_text(tokenizer, encoding.ids[i]) == NULL)
                abort();
        assay_encoding_free(&encoding);
    }
    assay_tokenizer_close(tokenizer);
    return 0;
}
