/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ivf.h: near neighbours by inner product in lists (inverted file, IVF; Jégou et al. 2011).
 *
 * k-means finds centres; every vector is in the list of the centre nearest to it. A
 * search compares the codes (codes.h) of the lists whose centres are nearest to the
 * query, and scores what it found exactly, by the vectors. Made many times sooner than
 * a graph and with nothing beside the codes in memory; slower to search at the same
 * recall. Vectors of length 1 make the inner product the cosine.
 *
 * An index does not change: with vectors gone and come it is another one. Saved to a
 * file and opened by mmap; the format stands at the top of ivf_file.c.
 *
 *   ivf_lists.h   the parts, for the files below
 *   ivf_train.c   k-means
 *   ivf.c         vectors into lists; drift
 *   ivf_search.c  searching
 *   ivf_file.c    the file
 */
#ifndef ASSAY_IVF_H
#define ASSAY_IVF_H

#include "base/status.h"
#include "index/candidates.h"
#include "index/codes.h"
#include "index/flat.h"

typedef struct assay_ivf assay_ivf;

enum { ASSAY_IVF_MOST_LISTS = 1 << 16 };

typedef struct assay_ivf_options {
    uint32_t dimensions;   /* 1..65536 */
    uint32_t lists;        /* 0: by the number of vectors */
    assay_code_kind codes; /* 0: i8; f32 keeps nothing beside the vectors */
    uint64_t seed;         /* of what k-means begins with */
} assay_ivf_options;

typedef struct assay_ivf_info {
    assay_ivf_options options; /* defaults filled in */
    uint64_t collection, generation;
    uint32_t count;            /* vectors */
    uint32_t longest;          /* list */
    uint32_t trained;          /* vectors when the centres were found */
    uint64_t list_bytes, code_bytes, vector_bytes; /* memory; of vectors only those that
                                  are scored exactly are touched, but with f32 */
} assay_ivf_info;

/* Told of `done` of `total`; false: stop. */
typedef bool (*assay_ivf_progress)(uint64_t done, uint64_t total, void *user);

/* Of vectors[count][dimensions] under keys[count], none of which is 0, in ascending
 * order. The same for the same input, whatever the number of threads (0: all).
 * ARGUMENT names a vector that is no vector (NaN, infinite). */
assay_status assay_ivf_build(const assay_ivf_options *options, const uint64_t *keys,
                             const float *vectors, size_t count, uint32_t threads,
                             assay_ivf_progress progress, void *user, assay_ivf **out,
                             assay_error *error);

/* `from` without gone[gone_count], ascending, and with more vectors, in the same lists. */
assay_status assay_ivf_change(const assay_ivf *from, const uint64_t *gone, size_t gone_count,
                              const uint64_t *keys, const float *vectors, size_t count,
                              uint32_t threads, assay_ivf **out, assay_error *error);

/* Whether the vectors have become others than the lists were made for: twice or half as
 * many, farther from their centres, or crowded in few lists. */
bool assay_ivf_drifted(const assay_ivf *ivf);

void assay_ivf_free(assay_ivf *ivf);
void assay_ivf_describe(const assay_ivf *ivf, assay_ivf_info *out);

/* The key in a slot below the count, and its vector. */
uint64_t assay_ivf_key(const assay_ivf *ivf, uint32_t slot);
const float *assay_ivf_vector(const assay_ivf *ivf, uint32_t slot);

/* The vectors as a flat index, for exact search; the slots are the same. The index must
 * outlive it. NULL when memory is short. */
assay_flat *assay_ivf_flat(const assay_ivf *ivf);

/* Working memory of searches, one per searching thread; good for this index.
 * most: the largest ef. NULL when memory is short. */
typedef struct assay_ivf_scratch assay_ivf_scratch;
assay_ivf_scratch *assay_ivf_scratch_new(const assay_ivf *ivf, uint32_t most);
void assay_ivf_scratch_free(assay_ivf_scratch *scratch);

typedef struct assay_ivf_find {
    uint32_t k;              /* wanted */
    uint32_t nprobe;         /* lists that are looked into; 0: by default */
    uint32_t ef;             /* candidates scored exactly; raised to k, cut at the scratch's
                                most; 0: as the codes need */
    const uint64_t *allowed; /* bit i: slot i may be found; NULL: all */
} assay_ivf_find;

/* Lists that a search looks into by default. */
uint32_t assay_ivf_nprobe(const assay_ivf *ivf);

/* The best for query[dimensions] in order, by exact scores, to out[k]; returns their
 * number: k, where so many may be found. With `allowed` as many times more lists are
 * looked into as it lets fewer through, and twice as many again while they hold less than
 * k. Allocates nothing. */
size_t assay_ivf_search(const assay_ivf *ivf, const float *query, const assay_ivf_find *find,
                        assay_ivf_scratch *scratch, assay_candidate *out);

/* Writes the file aside and renames it. The stamp says what it was made from. */
assay_status assay_ivf_save(const assay_ivf *ivf, const char *path, uint64_t collection,
                            uint64_t generation, assay_error *error);

/* Maps a file. Checks the header, sizes and where lists begin; a damaged rest gives wrong
 * results, never a wrong read (assay_ivf_verify finds it). NOT_FOUND, CORRUPT, VERSION. */
assay_status assay_ivf_open(const char *path, assay_ivf **out, assay_error *error);

/* Reads all of a mapped file against the checksums. */
assay_status assay_ivf_verify(const assay_ivf *ivf, assay_error *error);

#endif
