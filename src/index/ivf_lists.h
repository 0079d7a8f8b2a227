/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ivf_lists.h: the parts of an IVF index, for ivf*.c.
 *
 * Slots are in the order of the lists: list l has starts[l] up to starts[l + 1].
 */
#ifndef ASSAY_IVF_LISTS_H
#define ASSAY_IVF_LISTS_H

#include "base/file.h"
#include "index/ivf.h"

enum {
    ASSAY_IVF_SLOTS = 1 << 30,  /* at most */
    ASSAY_IVF_DIMENSIONS = 1 << 16,
};

/* The sections of memory and of the file, in this order. */
typedef enum assay_ivf_section {
    IVF_CENTRES, /* float [lists][dimensions], of length 1 */
    IVF_STARTS,  /* uint32_t [lists + 1] */
    IVF_KEYS,    /* uint64_t [count] */
    IVF_CODES,
    IVF_SCALES,  /* float: of i8 [count], of b1 the centre of all */
    IVF_VECTORS, /* float [count][dimensions]; those of f32 codes are the codes */
    IVF_SECTIONS,
} assay_ivf_section;

struct assay_ivf {
    assay_ivf_options options;
    uint64_t collection, generation;
    uint32_t count;
    uint32_t trained, trained_longest; /* vectors, and those of the longest list, then */
    float trained_near, near;          /* mean of vectors' products with their centres,
                                          then and now */
    void *sections[IVF_SECTIONS];
    float *centres;
    uint32_t *starts;
    uint64_t *keys;
    assay_codes codes;
    float *vectors;
    assay_codes routes; /* the centres as bytes, by which lists are chosen; own memory */
    assay_mapping mapping; /* where it is of a file */
    bool mapped;
    uint64_t checksums[IVF_SECTIONS];
    char path[512];
};

/* Bytes of a section of an index of so many vectors. */
uint64_t assay_ivf_section_bytes(const assay_ivf *ivf, assay_ivf_section section);
/* Sets the typed pointers by `sections`. */
void assay_ivf_arrange(assay_ivf *ivf);
assay_status assay_ivf_check_options(const assay_ivf_options *options, assay_error *error);
uint32_t assay_ivf_longest(const assay_ivf *ivf);
/* Makes `routes` of the centres. */
assay_status assay_ivf_make_routes(assay_ivf *ivf, assay_error *error);

/* ---- Training (ivf_train.c) */

/* How far a build is, in vectors that were compared with all centres. */
typedef struct assay_ivf_work {
    assay_ivf_progress progress; /* NULL: nobody asks */
    void *user;
    uint64_t done, total;
} assay_ivf_work;

/* Finds ivf->centres, of options.lists, by k-means on a sample of the vectors. Sets
 * work->total, to what is left when all vectors are assigned then. */
assay_status assay_ivf_train(assay_ivf *ivf, const float *vectors, size_t count,
                             uint32_t threads, assay_ivf_work *work, assay_error *error);

/* lists[i] becomes the number of the centre nearest to vectors[i][dimensions], i < count
 * (vectors[at[i]] where at is not NULL). */
assay_status assay_ivf_assign(const assay_ivf *ivf, const float *vectors, const uint32_t *at,
                              size_t count, uint32_t threads, uint32_t *lists,
                              assay_ivf_work *work, assay_error *error);

#endif
