/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spm_normalizer.h: text as a SentencePiece model wants it, every byte with the
 * place in the original text that it came from.
 *
 * Equal to what the Hugging Face tokenizers library makes of Precompiled (a
 * charsmap, applied to grapheme clusters) followed by Strip, Replace and
 * Prepend, in its quirks too: a cluster of several characters and less than six
 * bytes is replaced as a whole by what its beginning maps to; and characters
 * that a charsmap drops before any was kept are not counted as dropped, so all
 * that follow get the places of characters further left.
 */
#ifndef ASSAY_SPM_NORMALIZER_H
#define ASSAY_SPM_NORMALIZER_H

#include "text/charsmap.h"
#include "text/graphemes.h"
#include "text/normal.h"
#include "text/unicode.h"

#define ASSAY_SPM_STEPS 8
#define ASSAY_SPM_STRING 64 /* bytes of a pattern or content, with a NUL */

typedef enum assay_spm_kind {
    ASSAY_SPM_STRIP,   /* white space at the text's ends */
    ASSAY_SPM_REPLACE, /* each `pattern`, by `content` */
    ASSAY_SPM_RUNS,    /* two spaces or more, by `content` */
    ASSAY_SPM_PREPEND, /* `content`, unless the text is empty */
} assay_spm_kind;

typedef struct assay_spm_step {
    assay_spm_kind kind;
    bool left, right; /* STRIP */
    char pattern[ASSAY_SPM_STRING], content[ASSAY_SPM_STRING];
} assay_spm_step;

/* Immutable once made. */
typedef struct assay_spm_normalizer {
    const assay_char_table *classes;
    assay_grapheme_table *graphemes;
    assay_charsmap map; /* the first step, when it isn't empty */
    assay_spm_step steps[ASSAY_SPM_STEPS];
    size_t count;
    bool slow[256];   /* bytes that are not what they become */
    bool prepends;    /* there is such a step */
    bool simple;      /* after the map, steps look at white space alone */
    bool in_segments; /* a text may be cut; to be set by who knows, if it is simple */
} assay_spm_normalizer;

void assay_spm_normalizer_free(assay_spm_normalizer *normalizer);

/* To be called when map and steps are set. MEMORY. */
assay_status assay_spm_normalizer_ready(assay_spm_normalizer *normalizer,
                                        const assay_char_table *classes, assay_error *error);

/* One text on its way: zeroed but for text, begin, end and the two buffers, which
 * are reused from text to text. */
typedef struct assay_spm_run {
    const uint8_t *text;
    size_t begin, end;   /* the text is text[begin, end), end <= UINT32_MAX */
    size_t done;         /* bytes of it that were normalised */
    assay_normal *normal, *spare;
    size_t cursor;       /* bytes of it that the kept characters stand for */
    uint32_t last_begin, last_end; /* place of the character before the cursor */
    bool any;            /* a character was kept */
    bool added;          /* the last one has no place of its own */
} assay_spm_run;

/* Replaces the content of *run->normal by the normal form of the next segment:
 * all of the text, or what ends before a space where no step looks across.
 * LIMIT when it is longer than UINT32_MAX bytes; MEMORY. */
assay_status assay_spm_segment(const assay_spm_normalizer *normalizer, assay_spm_run *run,
                               assay_error *error);

#endif
