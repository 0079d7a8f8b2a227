/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h: what a kind of database does for a store.
 *
 * store.c calls these through the store's table; what they promise stands at the
 * functions of the same names in store.h and assay.h. What does not depend on the
 * database is checked before they are called (store.c), and what lies in files of
 * this machine (score cache, indexes derived from the store, the record of searches)
 * has nothing to do with them.
 */
#ifndef ASSAY_BACKEND_H
#define ASSAY_BACKEND_H

#include "store/store.h"

typedef struct assay_backend {
    void (*close)(assay_store *store);
    assay_status (*collection_open)(assay_store *store, const char *name,
                                    assay_collection *out, assay_error *error);
    assay_status (*collection_create)(assay_store *store, const char *name,
                                      const assay_collection_config *config,
                                      assay_collection *out, assay_error *error);
    assay_status (*collection_describe)(assay_store *store, const char *name,
                                        assay_collection_info *out, assay_error *error);
    assay_status (*collection_list)(assay_store *store, assay_collection_info **out,
                                    size_t *count, assay_error *error);
    assay_status (*collection_drop)(assay_store *store, const char *name, assay_error *error);
    assay_status (*begin)(assay_store *store, assay_error *error);
    assay_status (*commit)(assay_store *store, assay_error *error);
    void (*rollback)(assay_store *store);
    assay_status (*check)(assay_store *store, assay_progress_fn progress, void *user,
                          uint64_t *problems, assay_error *error);
    assay_status (*document_digest)(assay_store *store, const assay_collection *collection,
                                    const char *id, bool *found, assay_digest *digest,
                                    assay_error *error);
    assay_status (*document_put)(assay_store *store, assay_collection *collection,
                                 const assay_stored_document *document, assay_error *error);
    assay_status (*document_delete)(assay_store *store, assay_collection *collection,
                                    const char *id, bool *found, assay_error *error);
    assay_status (*document_text)(assay_store *store, const char *collection,
                                  const char *document, assay_text *title, assay_text *text,
                                  assay_error *error);
    assay_status (*document_list)(assay_store *store, const char *collection,
                                  const char *after, size_t most, assay_documents *out,
                                  assay_error *error);
    assay_status (*document_get)(assay_store *store, const char *collection, const char *id,
                                 assay_documents *out, assay_error *error);
    assay_status (*scan_finish)(assay_store *store, const assay_collection *collection,
                                assay_error *error);
    assay_status (*scan_prune)(assay_store *store, assay_collection *collection,
                               const char *path, uint64_t *removed, assay_error *error);
    assay_status (*filter)(assay_store *store, const assay_collection *collection,
                           const assay_filter *filter, assay_selection *out,
                           assay_error *missing, assay_error *error);
    assay_status (*filter_keys)(assay_store *store, const assay_collection *collection,
                                assay_selection *selection, assay_error *error);
    assay_status (*bm25)(assay_store *store, const assay_collection *collection,
                         assay_text question, double k1, double b,
                         const assay_selection *allowed, size_t k, assay_candidate *out,
                         size_t *count, assay_error *error);
    assay_status (*passage_get)(assay_store *store, uint64_t passage, assay_arena *arena,
                                assay_passage_view *out, assay_error *error);
    assay_status (*passage_keys)(assay_store *store, const assay_collection *collection,
                                 uint64_t after, uint64_t *passages, size_t most,
                                 size_t *count, assay_error *error);
    assay_status (*tokens_get)(assay_store *store, uint64_t passage,
                               const assay_digest *tokenizer, assay_arena *arena,
                               assay_token_ids *out, assay_error *error);
    assay_status (*tokens_put)(assay_store *store, uint64_t passage,
                               const assay_digest *tokenizer, const int32_t *ids, size_t count,
                               assay_error *error);
    assay_status (*tokens_missing)(assay_store *store, const assay_collection *collection,
                                   const assay_digest *tokenizer, uint64_t after,
                                   uint64_t *passages, size_t most, size_t *count,
                                   assay_error *error);
    assay_status (*late_get)(assay_store *store, const assay_collection *collection,
                             assay_late_model *out, assay_error *error);
    assay_status (*late_set)(assay_store *store, const assay_collection *collection,
                             const assay_late_model *model, const void *book,
                             size_t length,
                             assay_error *error);
    assay_status (*late_book)(assay_store *store, const assay_collection *collection,
                              assay_buffer *out, assay_error *error);
    assay_status (*token_vectors_expect)(assay_store *store, const assay_collection *collection,
                                         const int64_t *passages, size_t count,
                                         assay_error *error); /* or NULL */
    assay_status (*token_vectors_read)(assay_store *store, uint64_t passage,
                                       void (*fn)(void *user, const assay_token_rows *rows),
                                       void *user, assay_error *error);
    assay_status (*token_vectors_put)(assay_store *store, uint64_t passage,
                                      const assay_token_rows *rows, assay_error *error);
    assay_status (*token_vectors_missing)(assay_store *store,
                                          const assay_collection *collection, uint64_t after,
                                          uint64_t *passages, size_t most, size_t *count,
                                          assay_error *error);
    assay_status (*vectors)(assay_store *store, const assay_collection *collection,
                            assay_vector_fn fn, void *user, assay_error *error);
    assay_status (*vector_count)(assay_store *store, const assay_collection *collection,
                                 uint64_t *count, assay_error *error);
    /* NULL where searches go through files derived from the database. */
    assay_status (*passages_expect)(assay_store *store, const assay_collection *collection,
                                    const int64_t *passages, size_t count, assay_error *error);
    assay_status (*nearest)(assay_store *store, const assay_collection *collection,
                            const float *vector, const assay_store_find *options,
                            assay_candidate *out, size_t *count, assay_vector_index *kind,
                            assay_error *error);
    assay_status (*vector_index_update)(assay_store *store, const assay_collection *collection,
                                        const assay_vector_index *choice,
                                        assay_vector_index *kind, bool *by_size,
                                        assay_error *error);
    assay_status (*vector_index_describe)(assay_store *store,
                                          const assay_collection *collection,
                                          assay_vector_index_info *out, assay_error *error);
    assay_status (*vector_note_get)(assay_store *store, const assay_collection *collection,
                                    assay_buffer *out, assay_error *error);
    assay_status (*vector_note_set)(assay_store *store, const assay_collection *collection,
                                    const char *note, assay_error *error);
} assay_backend;

extern const assay_backend assay_sqlite;

#endif
