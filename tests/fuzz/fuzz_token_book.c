/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_token_book.c: any bytes as a book of token codes, whose checksum is put right:
 * refused, or one that is written as it was read but for its centres' NaNs. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "index/token_codes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    assay_token_book *book;
    if (bytes == NULL)
        abort();
    memcpy(bytes, data, size);
    if (size >= 16) {
        memcpy(bytes, "assaybk", 8);
        uint64_t sum = assay_hash64(bytes, size - 8);
        memcpy(bytes + size - 8, &sum, sizeof sum);
    }
    if (assay_token_book_read(bytes, size, "book", &book, NULL) == ASSAY_OK) {
        bool coded = book->bits == 1 || book->bits == 2 || book->bits == 4;
        if (coded != assay_token_book_coded(book) || coded != (book->count > 0) ||
            book->dimensions == 0)
            abort();
        assay_token_book_free(book);
    }
    free(bytes);
    return 0;
}
