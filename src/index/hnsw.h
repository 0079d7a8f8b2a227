/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hnsw.h: near neighbours by inner product in a graph (HNSW, Malkov & Yashunin 2018).
 *
 * A vector lies in a slot, as itself and as a code (codes.h). The graph joins
 * slots; a search walks it over the codes and scores what it found exactly, by the
 * vectors. Vectors of length 1 make the inner product the cosine.
 *
 * One thread at a time may insert and remove (both work on several threads inside);
 * any number may search meanwhile, and never wait. Saved to a file and opened by
 * mmap; the format stands at the top of hnsw_file.c.
 *
 *   hnsw_graph.h    the parts, for the files below
 *   hnsw.c          memory, levels, lists of neighbours
 *   hnsw_search.c   walking the graph; exhaustive where a filter lets few through
 *   hnsw_insert.c   growing the graph, a batch at a time
 *   hnsw_remove.c   taking vectors out and repairing what pointed to them
 *   hnsw_connect.c  seeing to it that every vector can be reached
 *   hnsw_file.c     the file
 */
#ifndef ASSAY_HNSW_H
#define ASSAY_HNSW_H

#include "base/status.h"
#include "index/candidates.h"
#include "index/codes.h"
#include "index/flat.h"

typedef struct assay_hnsw assay_hnsw;

typedef struct assay_hnsw_options {
    uint32_t dimensions;      /* 1..65536 */
    uint32_t m;               /* neighbours, twice as many on the ground; 0: 16 */
    uint32_t ef_construction; /* candidates for neighbours; 0: 200 */
    assay_code_kind codes;    /* 0: i8 */
    uint64_t seed;            /* of the order of insertion and the levels */
} assay_hnsw_options;

enum {
    ASSAY_HNSW_MOST_M = 128,
    ASSAY_HNSW_MOST_EF = 65536,
};

/* What is in it. */
typedef struct assay_hnsw_info {
    assay_hnsw_options options; /* defaults filled in */
    uint64_t collection, generation;
    uint32_t slots, live;       /* used so far; with a vector */
    uint32_t levels;            /* above the ground */
    uint64_t graph_bytes, code_bytes, vector_bytes; /* memory; vectors are only touched
                                   to score what was found */
} assay_hnsw_info;

/* An empty one with room for `capacity` vectors. ARGUMENT, LIMIT, MEMORY. */
assay_status assay_hnsw_new(const assay_hnsw_options *options, uint32_t capacity,
                            assay_hnsw **out, assay_error *error);
void assay_hnsw_free(assay_hnsw *hnsw);
void assay_hnsw_describe(const assay_hnsw *hnsw, assay_hnsw_info *out);

/* Told of `done` vectors; false: stop. */
typedef bool (*assay_hnsw_progress)(uint64_t done, uint64_t total, void *user);

/* Adds vectors[count][dimensions] under keys[count], none of which is 0 or there
 * already. The graph depends on the options and on what was done before, not on the
 * number of threads (0: all). ARGUMENT names a vector that is no vector (NaN,
 * infinite), LIMIT: no room. INTERRUPTED leaves a whole graph of those done. */
assay_status assay_hnsw_insert(assay_hnsw *hnsw, const uint64_t *keys, const float *vectors,
                               size_t count, uint32_t threads, assay_hnsw_progress progress,
                               void *user, assay_error *error);

/* Takes out the vectors with these keys, in ascending order; those that are not
 * there are passed over. Their slots are free again when the index is next loaded. */
assay_status assay_hnsw_remove(assay_hnsw *hnsw, const uint64_t *keys, size_t count,
                               uint32_t threads, assay_error *error);

/* The key in a slot, 0: none; and its vector. */
uint64_t assay_hnsw_key(const assay_hnsw *hnsw, uint32_t slot);
const float *assay_hnsw_vector(const assay_hnsw *hnsw, uint32_t slot);

/* The vectors as a flat index, for exact search; the slots are the same. The index must
 * outlive it and not change. NULL when memory is short. */
assay_flat *assay_hnsw_flat(const assay_hnsw *hnsw);

/* Working memory of searches, one per searching thread; good for this index.
 * most_ef: the largest ef. NULL when memory is short. */
typedef struct assay_hnsw_scratch assay_hnsw_scratch;
assay_hnsw_scratch *assay_hnsw_scratch_new(const assay_hnsw *hnsw, uint32_t most_ef);
void assay_hnsw_scratch_free(assay_hnsw_scratch *scratch);

typedef struct assay_hnsw_find {
    uint32_t k;              /* wanted */
    uint32_t ef;             /* candidates kept on the way: more find more; raised to k,
                                cut at the scratch's most */
    uint32_t rescore;        /* candidates scored exactly; 0: by default */
    const uint64_t *allowed; /* bit i: slot i may be found; NULL: all */
} assay_hnsw_find;

/* The best for query[dimensions] in order, by exact scores, to out[k]; returns their
 * number. With `allowed` the search widens by the share let through, and where
 * comparing with all of these costs less does that. Allocates nothing. */
size_t assay_hnsw_search(const assay_hnsw *hnsw, const float *query, const assay_hnsw_find *find,
                         assay_hnsw_scratch *scratch, assay_candidate *out);

/* Writes the file aside and renames it. The stamp says what it was made from. */
assay_status assay_hnsw_save(const assay_hnsw *hnsw, const char *path, uint64_t collection,
                             uint64_t generation, assay_error *error);

/* Maps a file for searching. Checks the header and sizes; a damaged rest gives wrong
 * results, never a wrong read (assay_hnsw_verify finds it). NOT_FOUND, CORRUPT,
 * VERSION. */
assay_status assay_hnsw_open(const char *path, assay_hnsw **out, assay_error *error);

/* Reads a file into memory, verified, with room for `more` vectors: to insert, remove
 * and save again, or for many searches. */
assay_status assay_hnsw_load(const char *path, uint32_t more, assay_hnsw **out,
                             assay_error *error);

/* Reads all of a mapped file against the checksums. */
assay_status assay_hnsw_verify(const assay_hnsw *hnsw, assay_error *error);

#endif
