/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h: collections, documents, passages, BM25 and vectors, in a database.
 *
 * The truth of a data directory is one file, <home>/assay.sqlite (WAL), which one
 * machine reads and writes; or a PostgreSQL database that many do (backend.h). What
 * is derived lies on this machine in both cases. This header is what the pipeline
 * uses; opening, checking and describing a store are public (assay.h). One thread
 * per store handle.
 */
#ifndef ASSAY_STORE_H
#define ASSAY_STORE_H

#include "base/arena.h"
#include "base/bits.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "index/postings.h"
#include "text/filter.h"
#include "text/token_ids.h"

/* What a collection is made with; fixed once it holds documents. */
typedef struct assay_collection_config {
    char model[1024];        /* as given; "" for BM25 only */
    char model_digest[33];   /* assay_model_info.digest; "" for BM25 only */
    uint32_t dimensions;     /* 0 for BM25 only */
    uint32_t passage_tokens; /* ASSAY_WHOLE_DOCUMENT: not cut */
    uint32_t overlap_tokens;
} assay_collection_config;

typedef struct assay_collection {
    int64_t key;
    char name[128];
    assay_collection_config config;
    uint64_t generation; /* grows with every committed change, and never comes twice */
} assay_collection;

/* The generation that a change makes of one: the time, so that no other history of the
 * collection, begun where an older copy of the database was put back, comes to the same.
 * Files derived from a collection are taken for its own by this alone. (Passages' keys do
 * come twice then: what catches a file up looks at more than keys.) */
uint64_t assay_generation_after(uint64_t generation);

/* Directory of the store, for files derived from it. */
const char *assay_store_home(const assay_store *store);

/* The same once more, for reading, by another thread. */
assay_status assay_store_open_again(const assay_store *store, assay_store **out,
                                    assay_error *error);

/* Reads a collection as it is now. NOT_FOUND names those that exist. */
assay_status assay_collection_open(assay_store *store, const char *name,
                                   assay_collection *out, assay_error *error);
/* Makes it. A name is 1..127 characters of letters, digits, '.', '_' and '-',
 * the first not a '.'. */
assay_status assay_collection_create(assay_store *store, const char *name,
                                     const assay_collection_config *config,
                                     assay_collection *out, assay_error *error);

/* Writing. Between begin and commit one process writes; others read what was
 * there before. BUSY after the store's busy_ms, FULL when the disk is. After a
 * failure inside, roll back. */
assay_status assay_store_begin(assay_store *store, assay_error *error);
assay_status assay_store_commit(assay_store *store, assay_error *error);
void assay_store_rollback(assay_store *store);

/* The database's part of assay_store_check: its own integrity, foreign keys,
 * passages within their texts, sizes of vectors, BM25 entries against passages
 * (a store that only reads skips FTS5's own check). CORRUPT when there was a
 * problem, with their number in *problems, which is written on OK and CORRUPT. */
assay_status assay_store_check_database(assay_store *store, assay_progress_fn progress,
                                        void *user, uint64_t *problems, assay_error *error);

/* What is stored of a document id: *found, and its content's digest. */
assay_status assay_document_digest(assay_store *store, const assay_collection *collection,
                                   const char *id, bool *found, assay_digest *digest,
                                   assay_error *error);

typedef struct assay_stored_passage {
    uint64_t offset, length; /* into the document's text */
    const char *heading;
    uint32_t tokens;
    bool truncated;          /* the embedding saw only its beginning */
    const float *vector;     /* [dimensions], or NULL */
    const int32_t *ids;      /* [id_count] tokens, or NULL: see assay_tokens_get */
    size_t id_count;
} assay_stored_passage;

typedef struct assay_stored_document {
    const char *id, *title, *source, *metadata; /* metadata may be NULL */
    assay_text text;
    assay_digest digest;
    const assay_stored_passage *passages;
    size_t passage_count;
    const assay_digest *tokenizer; /* what made the ids; NULL: there are none */
} assay_stored_document;

/* Adds the document, or replaces the one with its id, with passages, BM25 and
 * vectors. BM25 sees title, heading and passage text of each passage. */
assay_status assay_document_put(assay_store *store, assay_collection *collection,
                                const assay_stored_document *document, assay_error *error);

/* Deletes one document with all that hangs on it; *found tells. */
assay_status assay_document_delete(assay_store *store, assay_collection *collection,
                                   const char *id, bool *found, assay_error *error);

/* A scan of sources. Between begin and finish, documents seen are marked with
 * where they were seen (unchanged ones too); finish writes that down where it
 * has changed; prune then deletes those not marked whose source lies under
 * `path` (the source itself, or path + "/"...; ".": every relative one), and
 * counts them. Finish and prune need a transaction. The marks are a temporary
 * table of this connection. *again: the id was marked before. */
assay_status assay_scan_begin(assay_store *store, assay_error *error);
assay_status assay_scan_mark(assay_store *store, const assay_collection *collection,
                             const char *id, const char *source, bool *again,
                             assay_error *error);
assay_status assay_scan_finish(assay_store *store, const assay_collection *collection,
                               assay_error *error);
assay_status assay_scan_prune(assay_store *store, assay_collection *collection,
                              const char *path, uint64_t *removed, assay_error *error);

/* What a filter lets through of a collection as it was at one moment. */
typedef struct assay_selection {
    const assay_filter *filter; /* outlives this */
    assay_bits passages; /* by key; none where the database looks at the filter itself */
    uint64_t count;      /* of passages */
} assay_selection;

/* The passages of the documents that a filter lets through: *out is the caller's,
 * assay_bits_free(&out->passages). `missing` gets the first field of the filter that
 * no document of the collection has (code NOT_FOUND; else OK), with the names of
 * those that there are. */
assay_status assay_store_filter(assay_store *store, const assay_collection *collection,
                                const assay_filter *filter, assay_selection *out,
                                assay_error *missing, assay_error *error);
/* Makes selection->passages, where the database looks at the filter itself: for what is
 * found outside it. */
assay_status assay_store_filter_keys(assay_store *store, const assay_collection *collection,
                                     assay_selection *selection, assay_error *error);

#define ASSAY_DEFAULT_K1 0.9
#define ASSAY_DEFAULT_B 0.4

/* BM25 (Robertson & Zaragoza 2009, idf as in Lucene: ln(1 + (N-n+.5)/(n+.5)))
 * over the collection's passages, any of the question's terms. The question is
 * plain text, never a database's syntax. Of the passages in `allowed` (NULL: all; what
 * it leaves out still counts in idf and lengths) it writes at most k candidates, best
 * first, ties by key. A question without a term finds nothing. */
assay_status assay_store_bm25(assay_store *store, const assay_collection *collection,
                              assay_text question, double k1, double b,
                              const assay_selection *allowed, size_t k, assay_candidate *out,
                              size_t *count, assay_error *error);

/* The question's terms as assay_store_bm25 takes them, for assay_postings_search;
 * they lie in the arena. */
assay_status assay_store_terms(assay_store *store, assay_text question, assay_arena *arena,
                               const assay_term **out, size_t *count, assay_error *error);

/* Writes the collection's BM25 index as a file (index/postings.h) with the same
 * terms and counts, whose bounds are for this k1 and b; *collection becomes what it
 * was then. */
assay_status assay_store_write_postings(assay_store *store, assay_collection *collection,
                                        const char *path, double k1, double b,
                                        assay_progress_fn progress, void *user,
                                        assay_error *error);

/* The file of postings that belongs to a collection, <home>/index/<key>.words. */
assay_status assay_word_index_path(const assay_store *store, const assay_collection *collection,
                                   char *path, size_t size, assay_error *error);
bool assay_word_index_current(const assay_postings *postings, const assay_collection *collection);
/* Makes *postings (NULL, or what an earlier call gave) the file of the collection as
 * it is now; NULL, when it is missing or behind. CORRUPT, VERSION: it is there, and
 * of no use. */
assay_status assay_word_index_open(assay_store *store, const assay_collection *collection,
                                   assay_postings **postings, assay_error *error);
/* Writes it, where it is not whole and current and is wanted: AUTO, once there are
 * 20000 passages, or when there is one already. NO removes it. */
assay_status assay_word_index_update(assay_store *store, assay_collection *collection,
                                     assay_word_index wanted, double k1, double b,
                                     assay_progress_fn progress, void *user, assay_error *error);
/* Its size (0: there is none that can be read), and whether searches use it. */
void assay_word_index_describe(assay_store *store, const assay_collection *collection,
                               uint64_t *bytes, bool *current);

/* Whether the database itself finds the nearest vectors; else they are in files derived
 * from it, as the words may be (assay_word_index_open). */
bool assay_store_finds_vectors(const assay_store *store);

enum { ASSAY_STORE_EF = 1000 };

/* How the nearest vectors are looked for. */
typedef struct assay_store_find {
    size_t k;
    uint32_t ef;     /* of hnsw: kept on the way; at least k are, at most ASSAY_STORE_EF */
    uint32_t nprobe; /* of ivf: lists looked into; 0: by default */
    bool exact;
    const assay_selection *allowed; /* NULL: all */
} assay_store_find;

/* The nearest vectors, best first, where the database finds them, and how it did. */
assay_status assay_store_nearest(assay_store *store, const assay_collection *collection,
                                 const float *vector, const assay_store_find *options,
                                 assay_candidate *out, size_t *count, assay_vector_index *kind,
                                 assay_error *error);
/* Makes the database's own index what is chosen (NULL: what was chosen before, at first
 * AUTO); *kind tells what it is then, *by_size that it goes by the number of vectors. */
assay_status assay_store_vector_index_update(assay_store *store,
                                             const assay_collection *collection,
                                             const assay_vector_index *choice,
                                             assay_vector_index *kind, bool *by_size,
                                             assay_error *error);
assay_status assay_store_vector_index_describe(assay_store *store,
                                               const assay_collection *collection,
                                               assay_vector_index_info *out, assay_error *error);
/* What was measured of that index, in its caller's words: kept in the database until
 * another kind of index is chosen. Nothing is appended where there is none. */
assay_status assay_store_vector_note_get(assay_store *store, const assay_collection *collection,
                                         assay_buffer *out, assay_error *error);
assay_status assay_store_vector_note_set(assay_store *store, const assay_collection *collection,
                                         const char *note, assay_error *error);

/* Says which passages of the collection will be asked for next, one by one: a database
 * that is far away then answers all at once. */
assay_status assay_passages_expect(assay_store *store, const assay_collection *collection,
                                   const int64_t *passages, size_t count, assay_error *error);

typedef struct assay_passage_view {
    uint64_t passage;
    int64_t document; /* key */
    const char *id, *title, *source, *heading;
    uint64_t offset;
    assay_text text;
} assay_passage_view;

/* A passage with its document's names; strings are copied into the arena.
 * NOT_FOUND when it is gone. */
assay_status assay_passage_get(assay_store *store, uint64_t passage, assay_arena *arena,
                               assay_passage_view *out, assay_error *error);

/* Up to `most` passages of the collection, by key and behind `after`. */
assay_status assay_passage_keys(assay_store *store, const assay_collection *collection,
                                uint64_t after, uint64_t *passages, size_t most, size_t *count,
                                assay_error *error);

/* The token ids that were kept of a passage, as a cross-encoder reads it, by the
 * tokenizer of this digest; they lie in the arena. out->ids is NULL when there
 * are none, or they are damaged (assay_store_check tells): then the passage is
 * to be tokenised. */
assay_status assay_tokens_get(assay_store *store, uint64_t passage,
                              const assay_digest *tokenizer, assay_arena *arena,
                              assay_token_ids *out, assay_error *error);
/* Keeps them, in place of what there is. Needs a transaction. */
assay_status assay_tokens_put(assay_store *store, uint64_t passage,
                              const assay_digest *tokenizer, const int32_t *ids, size_t count,
                              assay_error *error);
/* Up to `most` passages of the collection, by key and behind `after`, that have
 * no token ids of this tokenizer. */
assay_status assay_tokens_missing(assay_store *store, const assay_collection *collection,
                                  const assay_digest *tokenizer, uint64_t after,
                                  uint64_t *passages, size_t most, size_t *count,
                                  assay_error *error);

/* The model whose token vectors a collection keeps, and a digest of all that these
 * depend on. model is "" when it keeps none. */
typedef struct assay_late_model {
    char model[1024];
    assay_digest digest;
    uint32_t pool; /* how many tokens became one vector (token_pool.h); at least 1 */
    uint32_t bits; /* a coordinate (token_codes.h); 0: they are bytes */
    uint32_t book; /* of codes: tells their book from others */
} assay_late_model;

assay_status assay_late_get(assay_store *store, const assay_collection *collection,
                            assay_late_model *out, assay_error *error);
/* Drops the token vectors that there are. book[length] is that of codes, NULL for bytes;
 * model->book is set by it. */
assay_status assay_late_set(assay_store *store, const assay_collection *collection,
                            assay_late_model *model, const void *book, size_t length,
                            assay_error *error);
/* Reads the book of a collection that has one. */
assay_status assay_late_book(assay_store *store, const assay_collection *collection,
                             assay_buffer *out, assay_error *error);

/* A passage's token vectors, as bytes, row i counting steps[i] each, as halves, or in codes
 * of a book (token_codes.h). Arrays lie in the row as they are, not aligned. */
typedef struct assay_token_rows {
    size_t count;       /* 0 when there are none */
    uint32_t tokens;    /* of the passage as it was encoded */
    bool truncated;     /* its end was cut off */
    bool damaged;       /* there are some, which are of no use */
    uint32_t bits;      /* of codes and halves; 0: bytes */
    uint32_t book;      /* of codes: which (assay_late_model.book) */
    size_t row_bytes;   /* of one of `rows`: dimensions of bytes */
    const void *steps;  /* [count] floats of bytes; of codes binary16; of halves NULL */
    const void *centres; /* [count] uint16_t of codes */
    const void *rows;   /* [count][row_bytes] */
} assay_token_rows;

/* As assay_passages_expect, for token vectors. They stay as they are until the next call,
 * or until the collection is opened again. */
assay_status assay_token_vectors_expect(assay_store *store, const assay_collection *collection,
                                        const int64_t *passages, size_t count,
                                        assay_error *error);
/* Calls `fn` once with what is kept of a passage, which is gone after that. */
assay_status assay_token_vectors_read(assay_store *store, uint64_t passage,
                                      void (*fn)(void *user, const assay_token_rows *rows),
                                      void *user, assay_error *error);
/* Keeps them, in place of what there is. Needs a transaction. */
assay_status assay_token_vectors_put(assay_store *store, uint64_t passage,
                                     const assay_token_rows *rows, assay_error *error);
/* As assay_tokens_missing. */
assay_status assay_token_vectors_missing(assay_store *store, const assay_collection *collection,
                                         uint64_t after, uint64_t *passages, size_t most,
                                         size_t *count, assay_error *error);

/* All vectors of a collection in passage order, for building an index:
 * fn returns false to stop. `vector` is valid during the call. */
typedef bool (*assay_vector_fn)(uint64_t passage, const float *vector, void *user);
assay_status assay_store_vectors(assay_store *store, const assay_collection *collection,
                                 assay_vector_fn fn, void *user, assay_error *error);
assay_status assay_store_vector_count(assay_store *store, const assay_collection *collection,
                                      uint64_t *count, assay_error *error);

#endif
