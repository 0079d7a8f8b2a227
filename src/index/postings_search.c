/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postings_search.c: the k best passages by BM25, without looking at most.
 *
 * MaxScore (Turtle & Flood 1995) over windows of slots, with bounds of blocks of
 * postings (Ding & Suel 2011), as Lucene has it since 9.9. In each window the terms
 * are sorted by the most that one can add there. Those at the low end that together
 * cannot reach the k-th best score so far are left aside; the postings of the others
 * are added up, without a comparison, in an array of the window's passages. Only
 * passages that could still get there with what was left aside are looked up in
 * those lists. A window in which nobody can is not read at all.
 *
 * Sums on the way are of floats and in any order, so what they say is taken with a
 * margin. The passages that are left, hardly more than k, are scored once more, in
 * doubles and in the order of the question's terms: the scores of bm25.c, to the bit.
 *
 * A damaged file cannot lead outside memory: slots are taken modulo the window, and
 * lists checked against what their blocks say of them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/postings_file.h"

enum {
    BLOCK = ASSAY_POSTINGS_BLOCK,
    WINDOW = 4096, /* slots; a power of two */
    NO_SLOT = UINT32_MAX,
};

/* ---- Reading a list ------------------------------------------------------------- */

typedef struct cursor {
    const uint8_t *blocks; /* assay_postings_block, one after another; not aligned */
    const uint8_t *packed;
    uint32_t block_count;  /* packed ones */
    uint32_t total;        /* blocks, with the tail if there is one */
    uint32_t tail_count, tail_last;
    uint32_t block;        /* at hand; total at the end */
    uint32_t decoded;      /* the block in slots[]; NO_SLOT: none */
    uint32_t last;         /* slot of the block at hand */
    uint32_t count, at;    /* of slots[]: how many, and the first not passed */
    double weight;
    float weight_up;       /* of its terms' count and idf, a hair more */
    float tail_bound;
    float bound;           /* most that it adds in the window at hand */
    uint32_t slots[BLOCK], frequencies[BLOCK];
    uint32_t tail_slots[BLOCK], tail_frequencies[BLOCK];
} cursor;

typedef struct search {
    assay_postings *p;
    double k1, b, average;
    bool usual; /* k1 and b are those that the file's bounds are for */
    const assay_bits *slots;
    cursor *cursors;
    size_t count;
    size_t *order; /* cursors by bound, ascending */
    float margin;  /* what sums of floats are taken with */
    float *heap;   /* the k best sums so far, the least first */
    size_t k, kept;
    float threshold; /* what a sum must exceed */
    uint32_t *found; /* slots whose sum did, ascending */
    float *sums;     /* theirs */
    size_t found_count, found_capacity;
    float window[WINDOW];
    uint64_t touched[WINDOW / 64];
    uint32_t picked[WINDOW]; /* candidates of the window, by place in it */
} search;

static assay_postings_block block_at(const cursor *c, uint32_t i)
{
    assay_postings_block block;
    memcpy(&block, c->blocks + (size_t)i * sizeof block, sizeof block);
    return block;
}

static uint32_t last_of(const cursor *c, uint32_t i)
{
    return i < c->block_count ? block_at(c, i).last : c->tail_last;
}

/* The tail is read when the list is opened. */
static bool read_tail(const search *s, cursor *c, const uint8_t *at, const uint8_t *end,
                      uint32_t before)
{
    uint64_t n = s->p->header.passages;
    for (uint32_t i = 0; i < c->tail_count; i++) {
        uint32_t gap, more = 0;
        at = assay_varint_read(at, end, &gap);
        if (at != NULL && gap % 2 != 0)
            at = assay_varint_read(at, end, &more), more++;
        before += gap / 2 + 1;
        if (at == NULL || before >= n || (i > 0 && before <= c->tail_slots[i - 1]))
            return false;
        c->tail_slots[i] = before;
        c->tail_frequencies[i] = more + 1;
        double reached = assay_saturate(more + 1, s->p->lengths[before], s->average, s->k1, s->b);
        if ((float)reached > c->tail_bound)
            c->tail_bound = (float)reached;
    }
    c->tail_last = before;
    c->tail_bound *= c->weight_up;
    return true;
}

static assay_status open_list(search *s, cursor *c, const assay_postings_found *list,
                              assay_error *error)
{
    const uint8_t *at = list->data, *end = at + list->bytes;
    c->block_count = list->count / BLOCK;
    c->tail_count = list->count % BLOCK;
    c->total = c->block_count + (c->tail_count > 0);
    c->decoded = NO_SLOT;
    uint32_t before = UINT32_MAX;
    if (c->block_count > 0) {
        size_t head = sizeof(assay_postings_list) +
                      (size_t)c->block_count * sizeof(assay_postings_block);
        if (list->bytes < head)
            return assay_postings_damaged(s->p, error);
        c->blocks = at + sizeof(assay_postings_list);
        c->packed = at + head;
        assay_postings_block block = block_at(c, c->block_count - 1);
        if (block.end > list->bytes - head)
            return assay_postings_damaged(s->p, error);
        at = c->packed + block.end;
        before = block.last;
    }
    if (!read_tail(s, c, at, end, before))
        return assay_postings_damaged(s->p, error);
    c->last = last_of(c, 0);
    return ASSAY_OK;
}

/* Puts the block at hand into slots[]. */
static bool decode(const search *s, cursor *c)
{
    if (c->decoded == c->block)
        return true;
    c->at = 0;
    c->decoded = c->block;
    if (c->block == c->block_count) {
        c->count = c->tail_count;
        memcpy(c->slots, c->tail_slots, c->count * sizeof *c->slots);
        memcpy(c->frequencies, c->tail_frequencies, c->count * sizeof *c->frequencies);
        return true;
    }
    uint32_t begin = c->block > 0 ? block_at(c, c->block - 1).end : 0;
    uint32_t before = c->block > 0 ? block_at(c, c->block - 1).last : UINT32_MAX;
    assay_postings_block block = block_at(c, c->block);
    uint32_t all = block_at(c, c->block_count - 1).end;
    c->count = BLOCK;
    return begin < block.end && block.end <= all &&
           assay_postings_unpack(c->packed + begin, block.end - begin, before, c->slots,
                                 c->frequencies) &&
           c->slots[BLOCK - 1] == block.last && block.last < s->p->header.passages;
}

/* Goes to the block in which the slot is, or would be; to the end if there is none. */
static void seek(cursor *c, uint32_t slot)
{
    while (c->block < c->total && c->last < slot)
        if (++c->block < c->total)
            c->last = last_of(c, c->block);
}

/* Goes to the first slot of the block that is not before this one. */
static inline uint32_t pass(const cursor *c, uint32_t at, uint32_t slot)
{
    while (at + 16 < c->count && c->slots[at + 15] < slot)
        at += 16;
    while (at < c->count && c->slots[at] < slot)
        at++;
    return at;
}

/* ---- Bounds --------------------------------------------------------------------- */

static float bound_of(const search *s, const cursor *c, uint32_t i)
{
    if (i == c->block_count)
        return c->tail_bound;
    assay_postings_block block = block_at(c, i);
    if (s->usual)
        return c->weight_up * ((float)block.best * (1.0f / 65535));
    if (block.frequency == 65535)
        return c->weight_up;
    return c->weight_up *
           (float)assay_saturate(block.frequency, block.length, s->average, s->k1, s->b);
}

/* The most that the list adds to a passage of the window; 0 when it has none there.
 * A block that reaches far beyond is read, to know whether it has. */
static bool bound_window(const search *s, cursor *c, uint32_t begin, uint32_t end)
{
    c->bound = 0;
    seek(c, begin);
    if (c->block == c->total)
        return true;
    if (c->last >= end && c->last - begin > 2 * WINDOW) {
        if (!decode(s, c))
            return false;
        c->at = pass(c, c->at, begin);
        if (c->at == c->count || c->slots[c->at] >= end)
            return true;
    }
    for (uint32_t i = c->block; i < c->total; i++) {
        float bound = bound_of(s, c, i);
        if (bound > c->bound)
            c->bound = bound;
        if (last_of(c, i) >= end)
            break;
    }
    return true;
}

/* ---- The best so far -------------------------------------------------------------- */

static void sift_down(float *heap, size_t count, size_t i)
{
    float moved = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count)
            break;
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= moved)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

static void raise_threshold(search *s, float score)
{
    float least = score * (1 - s->margin);
    if (least > s->threshold)
        s->threshold = least;
}

static void keep_score(search *s, float score)
{
    if (s->kept < s->k) {
        s->heap[s->kept++] = score;
        for (size_t i = s->k / 2; s->kept == s->k && i-- > 0;)
            sift_down(s->heap, s->k, i);
    } else if (score > s->heap[0]) {
        s->heap[0] = score;
        sift_down(s->heap, s->k, 0);
    } else {
        return;
    }
    if (s->kept == s->k)
        raise_threshold(s, s->heap[0]);
}

/* Forgets those that the threshold has overtaken. */
static void drop_found(search *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->found_count; i++)
        if (s->sums[i] > s->threshold) {
            s->found[kept] = s->found[i];
            s->sums[kept++] = s->sums[i];
        }
    s->found_count = kept;
}

static assay_status add_found(search *s, uint32_t slot, float score, assay_error *error)
{
    if (s->found_count == s->found_capacity)
        drop_found(s);
    if (2 * s->found_count >= s->found_capacity) {
        size_t capacity = s->found_capacity > 0 ? 2 * s->found_capacity : 1024;
        uint32_t *found = realloc(s->found, capacity * sizeof *found);
        if (found != NULL)
            s->found = found;
        float *sums = found != NULL ? realloc(s->sums, capacity * sizeof *sums) : NULL;
        if (sums == NULL)
            return assay_fail_memory(error, capacity * sizeof *sums);
        s->sums = sums;
        s->found_capacity = capacity;
    }
    s->found[s->found_count] = slot;
    s->sums[s->found_count++] = score;
    keep_score(s, score);
    return ASSAY_OK;
}

/* A term alone brings its k-th best passage so far: with what lists tell of their
 * 10th, 100th and 1000th, there is a threshold before anything is read. */
static void guess_threshold(search *s)
{
    for (size_t i = 0; i < s->count && s->usual && s->slots == NULL; i++) {
        const cursor *c = &s->cursors[i];
        assay_postings_list list;
        if (c->block_count == 0)
            continue;
        memcpy(&list, c->blocks - sizeof list, sizeof list);
        size_t rank = 10;
        for (size_t j = 0; j < ASSAY_POSTINGS_RANKS; j++, rank *= 10)
            if (s->k <= rank) {
                raise_threshold(s, (float)c->weight * ((float)list.ranks[j] * (1.0f / 65535)));
                break;
            }
    }
}

/* ---- A window --------------------------------------------------------------------- */

/* Adds the list's postings in the window up. */
static bool accumulate(search *s, cursor *c, uint32_t begin, uint32_t end)
{
    const float *norms = s->p->norms;
    float weight = (float)c->weight;
    for (seek(c, begin); c->block < c->total; c->last = last_of(c, c->block)) {
        if (!decode(s, c))
            return false;
        uint32_t i = pass(c, c->at, begin);
        for (; i < c->count && c->slots[i] < end; i++) {
            uint32_t place = c->slots[i] & (WINDOW - 1);
            float frequency = (float)c->frequencies[i];
            s->window[place] += weight * frequency / (frequency + norms[begin + place]);
            s->touched[place / 64] |= UINT64_C(1) << (place % 64);
        }
        c->at = i;
        if (i < c->count || ++c->block == c->total)
            break;
    }
    return true;
}

/* Empties the window's sums into a list of those who can get there. */
static size_t pick(search *s, uint32_t begin, float aside)
{
    size_t picked = 0;
    for (size_t w = 0; w < WINDOW / 64; w++) {
        uint64_t bits = s->touched[w];
        s->touched[w] = 0;
        if (s->slots != NULL && begin / 64 + w < assay_bits_words(s->slots)) {
            uint64_t refused = bits & ~s->slots->words[begin / 64 + w];
            bits &= ~refused;
            for (; refused != 0; refused &= refused - 1)
                s->window[w * 64 + (size_t)__builtin_ctzll(refused)] = 0;
        }
        for (; bits != 0; bits &= bits - 1) {
            uint32_t place = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits);
            if (s->window[place] + aside > s->threshold)
                s->picked[picked++] = place;
            else
                s->window[place] = 0;
        }
    }
    return picked;
}

/* Adds what a list that was left aside has for those picked, and drops those who
 * with all that is aside still (`rest`) cannot get there. */
static bool look_up(search *s, cursor *c, uint32_t begin, size_t *picked, float rest)
{
    const float *norms = s->p->norms;
    float weight = (float)c->weight;
    size_t kept = 0;
    for (size_t i = 0; i < *picked; i++) {
        uint32_t place = s->picked[i], slot = begin + place;
        seek(c, slot);
        if (c->block < c->total) {
            if (!decode(s, c))
                return false;
            c->at = pass(c, c->at, slot);
            if (c->at < c->count && c->slots[c->at] == slot) {
                float frequency = (float)c->frequencies[c->at];
                s->window[place] += weight * frequency / (frequency + norms[slot]);
            }
        }
        if (s->window[place] + rest > s->threshold)
            s->picked[kept++] = place;
        else
            s->window[place] = 0;
    }
    *picked = kept;
    return true;
}

static bool sort_cursors(search *s, uint32_t begin, uint32_t end)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!bound_window(s, &s->cursors[i], begin, end))
            return false;
        float bound = s->cursors[i].bound;
        size_t j = i;
        for (; j > 0 && s->cursors[s->order[j - 1]].bound > bound; j--)
            s->order[j] = s->order[j - 1];
        s->order[j] = i;
    }
    return true;
}

static bool window_allowed(const search *s, uint32_t begin)
{
    if (s->slots == NULL)
        return true;
    size_t words = assay_bits_words(s->slots);
    for (size_t w = begin / 64; w < begin / 64 + WINDOW / 64 && w < words; w++)
        if (s->slots->words[w] != 0)
            return true;
    return false;
}

static assay_status search_window(search *s, uint32_t begin, uint32_t end, assay_error *error)
{
    if (!sort_cursors(s, begin, end))
        return assay_postings_damaged(s->p, error);
    float aside = 0; /* most that the lists before `first` bring */
    size_t first = 0;
    for (; first < s->count; first++) {
        float more = aside + s->cursors[s->order[first]].bound;
        if (more * (1 + s->margin) > s->threshold)
            break;
        aside = more;
    }
    if (first == s->count)
        return ASSAY_OK;
    for (size_t i = first; i < s->count; i++)
        if (!accumulate(s, &s->cursors[s->order[i]], begin, end))
            return assay_postings_damaged(s->p, error);
    size_t picked = pick(s, begin, aside * (1 + s->margin));
    while (first-- > 0 && picked > 0) {
        cursor *c = &s->cursors[s->order[first]];
        if (c->bound <= 0)
            break;
        aside -= c->bound;
        if (!look_up(s, c, begin, &picked, (aside > 0 ? aside : 0) * (1 + s->margin)))
            return assay_postings_damaged(s->p, error);
    }
    for (size_t i = 0; i < picked; i++) {
        uint32_t place = s->picked[i];
        float score = s->window[place];
        s->window[place] = 0;
        if (score > s->threshold)
            ASSAY_TRY(add_found(s, begin + place, score, error));
    }
    return ASSAY_OK;
}

/* ---- Exact scores ------------------------------------------------------------------ */

/* Of those found; the sums become doubles, a term at a time. */
static assay_status score_found(search *s, assay_best *best, assay_error *error)
{
    drop_found(s);
    double *scores = calloc(s->found_count + 1, sizeof *scores);
    if (scores == NULL)
        return assay_fail_memory(error, s->found_count * sizeof *scores);
    bool whole = s->found_count == 0 || s->found[s->found_count - 1] < s->p->header.passages;
    for (size_t t = 0; t < s->count && whole; t++) {
        cursor *c = &s->cursors[t];
        c->block = c->at = 0;
        c->decoded = NO_SLOT;
        c->last = last_of(c, 0);
        for (size_t i = 0; i < s->found_count; i++) {
            uint32_t slot = s->found[i];
            seek(c, slot);
            if (c->block == c->total)
                break;
            if (!(whole = decode(s, c)))
                break;
            c->at = pass(c, c->at, slot);
            if (c->at < c->count && c->slots[c->at] == slot)
                scores[i] += c->weight * assay_saturate(c->frequencies[c->at],
                                                        s->p->lengths[slot], s->average, s->k1,
                                                        s->b);
        }
    }
    for (size_t i = 0; i < s->found_count && whole; i++)
        assay_best_add(best, (assay_candidate){s->p->keys[s->found[i]], (float)scores[i]});
    free(scores);
    return whole ? ASSAY_OK : assay_postings_damaged(s->p, error);
}

/* ---- The search -------------------------------------------------------------------- */

/* Norms are kept for the k1 and b of the last search. */
static assay_status make_norms(search *s, assay_error *error)
{
    assay_postings *p = s->p;
    size_t n = (size_t)p->header.passages;
    if (p->norms != NULL && p->k1 == s->k1 && p->b == s->b)
        return ASSAY_OK;
    if (p->norms == NULL)
        p->norms = malloc((n + WINDOW) * sizeof *p->norms);
    if (p->norms == NULL)
        return assay_fail_memory(error, n * sizeof *p->norms);
    float base = (float)(s->k1 * (1 - s->b)), slope = (float)(s->k1 * s->b / s->average);
    for (size_t i = 0; i < n; i++)
        p->norms[i] = base + slope * (float)p->lengths[i];
    for (size_t i = n; i < n + WINDOW; i++)
        p->norms[i] = 1; /* for slots that a damaged list may name */
    p->k1 = s->k1;
    p->b = s->b;
    return ASSAY_OK;
}

static assay_status open_lists(search *s, const assay_term *terms, size_t count,
                               assay_error *error)
{
    double n = (double)s->p->header.passages;
    for (size_t i = 0; i < count; i++) {
        assay_postings_found list;
        ASSAY_TRY(assay_postings_find(s->p, terms[i].text, &list, error));
        if (list.data == NULL || list.count == 0)
            continue;
        cursor *c = &s->cursors[s->count];
        double df = list.count, others = n > df ? n - df : 0;
        c->weight = terms[i].count * log(1 + (others + 0.5) / (df + 0.5));
        c->weight_up = (float)c->weight * (1 + 1e-6f);
        ASSAY_TRY(open_list(s, c, &list, error));
        s->count++;
    }
    return ASSAY_OK;
}

static assay_status run(search *s, const assay_term *terms, size_t count, assay_best *best,
                        assay_error *error)
{
    s->cursors = calloc(count, sizeof *s->cursors);
    s->order = calloc(count, sizeof *s->order);
    s->heap = calloc(s->k, sizeof *s->heap);
    if (s->cursors == NULL || s->order == NULL || s->heap == NULL)
        return assay_fail_memory(error, count * sizeof *s->cursors);
    ASSAY_TRY(make_norms(s, error));
    ASSAY_TRY(open_lists(s, terms, count, error));
    /* Each float operation is off by 2^-24 at most. */
    s->margin = (float)(s->count + 8) * 1.2e-7f;
    guess_threshold(s);
    uint64_t n = s->p->header.passages;
    for (uint64_t begin = 0; begin < n; begin += WINDOW) {
        uint32_t end = (uint32_t)(begin + WINDOW < n ? begin + WINDOW : n);
        if (window_allowed(s, (uint32_t)begin))
            ASSAY_TRY(search_window(s, (uint32_t)begin, end, error));
    }
    return score_found(s, best, error);
}

assay_status assay_postings_search(assay_postings *p, const assay_term *terms, size_t count,
                                   double k1, double b, const assay_bits *slots, size_t k,
                                   assay_candidate *out, size_t *found, assay_error *error)
{
    *found = 0;
    if (count == 0 || k == 0 || p->header.passages == 0)
        return ASSAY_OK;
    if (k > p->header.passages)
        k = (size_t)p->header.passages;
    search *s = calloc(1, sizeof *s);
    if (s == NULL)
        return assay_fail_memory(error, sizeof *s);
    *s = (search){.p = p, .k1 = k1, .b = b, .average = assay_postings_average(&p->header),
                  .usual = k1 == p->header.k1 && b == p->header.b, .slots = slots, .k = k,
                  .threshold = 0};
    assay_best best = {.items = out, .limit = k};
    assay_status status = run(s, terms, count, &best, error);
    if (status == ASSAY_OK) {
        *found = best.count;
        assay_best_sort(&best);
    }
    free(s->cursors);
    free(s->order);
    free(s->heap);
    free(s->found);
    free(s->sums);
    free(s);
    return status;
}
