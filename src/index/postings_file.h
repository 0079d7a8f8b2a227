/* SPDX-License-Identifier: Apache-2.0 */
/* postings_file.h: what the writer, the reader and the search of postings share. */
#ifndef ASSAY_POSTINGS_FILE_H
#define ASSAY_POSTINGS_FILE_H

#include "base/file.h"
#include "base/hash.h"
#include "index/postings.h"

enum {
    ASSAY_POSTINGS_BLOCK = 128,  /* postings packed together */
    ASSAY_POSTINGS_GROUP = 16,   /* terms between two places that the search can jump to */
    ASSAY_POSTINGS_RANKS = 3,    /* 10, 100, 1000: places of which a list tells the score */
    ASSAY_POSTINGS_PACKED = 2 + 2 * 4 * ASSAY_POSTINGS_BLOCK, /* most bytes of a block */
};

typedef struct assay_postings_header {
    char magic[8];
    uint32_t version;
    uint32_t reserved;
    uint64_t collection, generation;
    uint64_t passages, terms, tokens;
    double k1, b;
    uint64_t data, data_bytes;     /* offsets into the file and sizes of the parts */
    uint64_t names, names_bytes;
    uint64_t groups;
    assay_digest content;
    uint64_t checksum;
} assay_postings_header;

/* Of a list of at least one block, before its blocks. In units of 1 / 65535. */
typedef struct assay_postings_list {
    uint16_t best;                        /* of saturate() in the list, rounded up */
    uint16_t ranks[ASSAY_POSTINGS_RANKS]; /* what at least 10, 100, 1000 reach; down */
} assay_postings_list;

/* Of a block. */
typedef struct assay_postings_block {
    uint32_t last;      /* slot */
    uint32_t end;       /* of its bytes, from the begin of the first block's */
    uint16_t frequency; /* the largest; 65535: or more */
    uint16_t length;    /* the least, in tokens; 65535: or more */
    uint16_t best;      /* of saturate(), rounded up */
    uint16_t reserved;
} assay_postings_block;

struct assay_postings {
    assay_mapping mapping;
    char path[512];
    assay_postings_header header;
    const uint64_t *keys;    /* [passages] */
    const uint32_t *lengths; /* [passages] */
    const uint8_t *data, *names;
    const uint64_t *groups;  /* [2 * number of groups]: offsets into names and data */
    double k1, b;            /* that norms are of */
    float *norms;            /* [passages]: k1 * (1 - b + b * length / average) */
};

/* A term's list. */
typedef struct assay_postings_found {
    const uint8_t *data; /* NULL: no such term */
    uint64_t bytes;
    uint32_t count;      /* passages that have it */
} assay_postings_found;

assay_status assay_postings_find(const assay_postings *postings, assay_text term,
                                 assay_postings_found *out, assay_error *error);
assay_status assay_postings_damaged(const assay_postings *postings, assay_error *error);

/* BM25's term frequency part. Doubles, in this order of operations: bm25.c has
 * the same. */
static inline double assay_saturate(double frequency, double length, double average, double k1,
                                    double b)
{
    return frequency / (frequency + k1 * (1 - b + b * length / average));
}

static inline double assay_postings_average(const assay_postings_header *h)
{
    return h->passages > 0 && h->tokens > 0 ? (double)h->tokens / (double)h->passages : 1;
}

/* Packs a block: slots[i] - slots[i - 1] - 1 with slots[-1] = before, and
 * frequencies less 1. Returns the bytes written to out[ASSAY_POSTINGS_PACKED]. */
size_t assay_postings_pack(const uint32_t *slots, const uint32_t *frequencies, uint32_t before,
                           uint8_t *out);
/* And back, from in[size]; false when that is no block. */
bool assay_postings_unpack(const uint8_t *in, size_t size, uint32_t before, uint32_t *slots,
                           uint32_t *frequencies);

/* A number of at most five bytes, seven bits each, the low ones first. NULL when it
 * does not end before `end`. */
static inline const uint8_t *assay_varint_read(const uint8_t *at, const uint8_t *end,
                                               uint32_t *out)
{
    uint32_t value = 0;
    for (unsigned shift = 0; at < end && shift < 35; shift += 7) {
        uint8_t byte = *at++;
        value |= (uint32_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *out = value;
            return at;
        }
    }
    return NULL;
}

static inline uint8_t *assay_varint_write(uint8_t *at, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

#endif
