/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_question.c: any bytes as a document and as a BM25 question: never a
 * failure, and the question finds the document that has the same terms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char home[] = "/tmp/assay-fuzz-XXXXXX";
static assay_store *store;
static assay_collection collection;

static void must(bool good, const assay_error *error)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s\n", error->where, error->message);
    abort();
}

static void close_store(void)
{
    char file[64];
    assay_store_close(store);
    snprintf(file, sizeof file, "%s/assay.sqlite", home);
    unlink(file);
    rmdir(home);
}

static void open_store(assay_error *error)
{
    if (mkdtemp(home) == NULL)
        abort();
    must(assay_store_open(home, &(assay_store_options){.create = true}, &store, error) == ASSAY_OK,
         error);
    must(assay_collection_create(store, "c", &(assay_collection_config){0}, &collection, error) ==
             ASSAY_OK, error);
    atexit(close_store);
}

static size_t ask(assay_text question, size_t k, assay_error *error)
{
    assay_candidate found[4];
    size_t count = 0;
    must(assay_store_bm25(store, &collection, question, 0.9, 0.4, NULL, k, found, &count, error) ==
             ASSAY_OK, error);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assay_error error = {0};
    if (store == NULL)
        open_store(&error);
    assay_text text = {(const char *)data, size};
    assay_stored_passage passage = {.length = size};
    assay_stored_document document = {.id = "d", .title = "word", .text = text,
                                      .passages = &passage, .passage_count = 1};
    must(ask(text, 4, &error) == 0, &error);
    must(assay_store_begin(store, &error) == ASSAY_OK, &error);
    if (assay_document_put(store, &collection, &document, &error) == ASSAY_OK) {
        static const char *const known = "word";
        must(ask((assay_text){known, 4}, 4, &error) == 1, &error);
        must(ask(text, 4, &error) <= 1, &error);
        /* Replacing takes out of the index the very terms that went in. */
        must(assay_document_put(store, &collection, &document, &error) == ASSAY_OK, &error);
        document.text.length = passage.length = 0;
        document.title = "";
        must(assay_document_put(store, &collection, &document, &error) == ASSAY_OK, &error);
        must(ask(text, 4, &error) == 0, &error);
    }
    assay_store_rollback(store);
    return 0;
}
