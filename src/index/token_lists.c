/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token_lists.c: see token_lists.h. As a file, all numbers little-endian, with p
 * passages, t tokens, c centres and e entries of lists:
 *
 *   offset  bytes
 *        0      8  magic "ASSAYTOK"
 *        8      4  format version, 1
 *       12      4  passages p
 *       16      8  collection key
 *       24      8  generation of the collection
 *       32      4  the book's check (store.h, assay_late_model)
 *       36      4  centres c
 *       40      8  tokens t
 *       48      8  entries e
 *       56   8*5   XXH3-64 of each section below, filler left out
 *       96     24  zeros
 *      120      8  XXH3-64 of bytes 0 to 119
 *
 * Then the sections, each filled up with zeros to a multiple of 64:
 *
 *      8*p  keys of passages, ascending
 *  8*(p+1)  the first token of each, and t
 *      2*t  centres of tokens
 *  8*(c+1)  the first entry of each centre's list, and e
 *      4*e  the lists: numbers of passages, ascending, each once
 */
#include "index/token_lists.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/derived_file.h"
#include "kernels/kernels.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sections are mapped as they lie in the file, which is little-endian"
#endif

enum {
    FORMAT_VERSION = 1,
    HEADER_SIZE = 128,
    NPROBE = 8,
    MOST_NPROBE = 256,
    MOST_CENTRES = 1 << 16,
};

static const char magic[8] = "ASSAYTOK";

typedef enum section { KEYS, STARTS, CENTRES, LIST_STARTS, LISTS, SECTIONS } section;

struct assay_token_lists {
    assay_token_stamp stamp;
    uint32_t count, room;     /* passages */
    uint64_t tokens, token_room, entries;
    uint64_t *keys;           /* [count] */
    uint64_t *starts;         /* [count + 1] */
    uint16_t *centres;        /* [tokens] */
    uint64_t *list_starts;    /* [stamp.centres + 1] */
    uint32_t *lists;          /* [entries] */
    assay_mapping mapping;    /* where it is of a file */
    bool mapped;
};

typedef struct header {
    char magic[8];
    uint32_t version, count;
    uint64_t collection, generation;
    uint32_t book, centres;
    uint64_t tokens, entries;
    uint64_t checksums[SECTIONS];
    uint64_t zeros[3];
    uint64_t checksum;
} header;

_Static_assert(sizeof(header) == HEADER_SIZE, "the header is laid out as documented");

/* ---- Making one ------------------------------------------------------------------ */

void assay_token_lists_free(assay_token_lists *lists)
{
    if (lists == NULL)
        return;
    if (lists->mapped) {
        assay_map_close(&lists->mapping);
    } else {
        free(lists->keys);
        free(lists->starts);
        free(lists->centres);
        free(lists->list_starts);
        free(lists->lists);
    }
    free(lists);
}

static bool more_passages(assay_token_lists *lists)
{
    if (lists->count < lists->room)
        return true;
    uint32_t room = lists->room > 0 ? 2 * lists->room : 1024;
    uint64_t *keys = realloc(lists->keys, room * sizeof *keys);
    if (keys != NULL)
        lists->keys = keys;
    uint64_t *starts = realloc(lists->starts, (room + (size_t)1) * sizeof *starts);
    if (starts != NULL)
        lists->starts = starts;
    if (keys == NULL || starts == NULL)
        return false;
    lists->room = room;
    return true;
}

static bool more_tokens(assay_token_lists *lists, size_t more)
{
    if (lists->tokens + more <= lists->token_room)
        return true;
    uint64_t room = 2 * lists->token_room + more + 4096;
    uint16_t *centres = realloc(lists->centres, room * sizeof *centres);
    if (centres == NULL)
        return false;
    lists->centres = centres;
    lists->token_room = room;
    return true;
}

assay_status assay_token_lists_new(const assay_token_stamp *stamp, assay_token_lists **out,
                                   assay_error *error)
{
    assay_token_lists *lists = calloc(1, sizeof *lists);
    if (lists != NULL)
        lists->starts = calloc(1, sizeof *lists->starts);
    if (lists == NULL || lists->starts == NULL) {
        free(lists);
        return assay_fail_memory(error, sizeof *lists);
    }
    lists->stamp = *stamp;
    if (!more_passages(lists) || !more_tokens(lists, 1)) {
        assay_token_lists_free(lists);
        return assay_fail_memory(error, sizeof *lists);
    }
    *out = lists;
    return ASSAY_OK;
}

assay_status assay_token_lists_add(assay_token_lists *lists, uint64_t passage,
                                   const void *centres, size_t count, assay_error *error)
{
    if (lists->count >= UINT32_MAX / 2)
        return assay_fail(error, ASSAY_E_LIMIT, "passages", "more than %" PRIu32,
                          UINT32_MAX / 2);
    if (!more_passages(lists) || !more_tokens(lists, count))
        return assay_fail_memory(error, (size_t)(lists->tokens + count) * sizeof(uint16_t));
    uint16_t *own = lists->centres + lists->tokens;
    if (count > 0)
        memcpy(own, centres, count * sizeof *own);
    for (size_t i = 0; i < count; i++)
        if (own[i] >= lists->stamp.centres)
            return assay_fail(error, ASSAY_E_ARGUMENT, "centres", "%u, there are %" PRIu32,
                              own[i], lists->stamp.centres);
    lists->tokens += count;
    lists->keys[lists->count++] = passage;
    lists->starts[lists->count] = lists->tokens;
    return ASSAY_OK;
}

/* Calls the lists' counts up, or, where there are lists, fills these; each passage once
 * a centre. last[centre] is the passage that was there last, plus one. */
static void go_over(assay_token_lists *lists, uint32_t *last, uint64_t *next, bool fill)
{
    memset(last, 0, lists->stamp.centres * sizeof *last);
    for (uint32_t p = 0; p < lists->count; p++)
        for (uint64_t t = lists->starts[p]; t < lists->starts[p + 1]; t++) {
            uint16_t c = lists->centres[t];
            if (last[c] == p + 1)
                continue;
            last[c] = p + 1;
            if (fill)
                lists->lists[next[c]++] = p;
            else
                next[c]++;
        }
}

assay_status assay_token_lists_finish(assay_token_lists *lists, assay_error *error)
{
    size_t n = lists->stamp.centres;
    uint32_t *last = calloc(n + 1, sizeof *last);
    uint64_t *next = calloc(n + 1, sizeof *next);
    lists->list_starts = calloc(n + 1, sizeof *lists->list_starts);
    bool room = last != NULL && next != NULL && lists->list_starts != NULL;
    if (room) {
        go_over(lists, last, next, false);
        for (size_t c = 0; c < n; c++)
            lists->list_starts[c + 1] = lists->list_starts[c] + next[c];
        memcpy(next, lists->list_starts, n * sizeof *next);
        lists->entries = lists->list_starts[n];
        lists->lists = calloc(lists->entries + 1, sizeof *lists->lists);
        room = lists->lists != NULL;
    }
    if (room)
        go_over(lists, last, next, true);
    free(last);
    free(next);
    return room ? ASSAY_OK : assay_fail_memory(error, (size_t)lists->entries * 4);
}

/* ---- What is in it ---------------------------------------------------------------- */

assay_token_stamp assay_token_lists_stamp(const assay_token_lists *lists)
{
    return lists->stamp;
}

uint32_t assay_token_lists_count(const assay_token_lists *lists)
{
    return lists->count;
}

uint64_t assay_token_lists_key(const assay_token_lists *lists, uint32_t passage)
{
    return lists->keys[passage];
}

const uint16_t *assay_token_lists_centres(const assay_token_lists *lists, uint32_t passage,
                                          size_t *count)
{
    *count = (size_t)(lists->starts[passage + 1] - lists->starts[passage]);
    return lists->centres + lists->starts[passage];
}

/* ---- Searching -------------------------------------------------------------------- */

typedef struct probe {
    float product;
    uint32_t centre;
} probe;

/* Keeps the `most` largest, largest first; of equal ones the first. */
static size_t keep_largest(probe *kept, size_t count, size_t most, probe new)
{
    if (count == most && !(new.product > kept[most - 1].product))
        return count;
    size_t i = count < most ? count : most - 1;
    for (; i > 0 && new.product > kept[i - 1].product; i--)
        kept[i] = kept[i - 1];
    kept[i] = new;
    return count < most ? count + 1 : most;
}

static void mark_list(const assay_token_lists *lists, uint32_t centre, assay_bits *marked)
{
    for (uint64_t e = lists->list_starts[centre]; e < lists->list_starts[centre + 1]; e++)
        assay_bits_add(marked, lists->lists[e]);
}

/* Marks what has a token at one of the centres nearest to the query's vector j. */
static void mark_near(const assay_token_lists *lists, const assay_token_query *query, size_t j,
                      size_t nprobe, assay_bits *marked)
{
    probe kept[MOST_NPROBE];
    size_t count = 0, ld = assay_whole_panels(query->count);
    for (uint32_t c = 0; c < lists->stamp.centres; c++)
        if (lists->list_starts[c] < lists->list_starts[c + 1])
            count = keep_largest(kept, count, nprobe, (probe){query->products[c * ld + j], c});
    for (size_t i = 0; i < count; i++)
        mark_list(lists, kept[i].centre, marked);
}

static void score_marked(const assay_token_lists *lists, const assay_token_query *query,
                         const assay_token_probing *find, const assay_bits *marked,
                         assay_best *best)
{
    for (uint32_t p = 0; p < lists->count; p++) {
        if (!assay_bits_has(marked, p) ||
            (find->allowed != NULL && !assay_bits_has(find->allowed, lists->keys[p])))
            continue;
        size_t count;
        const uint16_t *centres = assay_token_lists_centres(lists, p, &count);
        assay_best_add(best, (assay_candidate){
            lists->keys[p], assay_token_maxsim_centres(query, centres, count)});
    }
}

assay_status assay_token_lists_search(const assay_token_lists *lists,
                                      const assay_token_query *query,
                                      const assay_token_probing *find, assay_best *best,
                                      assay_error *error)
{
    assay_bits marked;
    size_t nprobe = find->nprobe > 0 ? find->nprobe : NPROBE;
    ASSAY_TRY(assay_bits_new(&marked, lists->count, error));
    for (size_t j = 0; j < query->count; j++)
        mark_near(lists, query, j, nprobe < MOST_NPROBE ? nprobe : MOST_NPROBE, &marked);
    score_marked(lists, query, find, &marked, best);
    assay_bits_free(&marked);
    return ASSAY_OK;
}

/* ---- The file ---------------------------------------------------------------------- */

static void sizes_of(const assay_token_lists *lists, uint64_t bytes[SECTIONS])
{
    bytes[KEYS] = lists->count * UINT64_C(8);
    bytes[STARTS] = (lists->count + UINT64_C(1)) * 8;
    bytes[CENTRES] = lists->tokens * 2;
    bytes[LIST_STARTS] = (lists->stamp.centres + UINT64_C(1)) * 8;
    bytes[LISTS] = lists->entries * 4;
}

assay_status assay_token_lists_save(const assay_token_lists *lists, const char *path,
                                    assay_error *error)
{
    uint64_t bytes[SECTIONS];
    void *const sections[SECTIONS] = {lists->keys, lists->starts, lists->centres,
                                      lists->list_starts, lists->lists};
    header head = {
        .version = FORMAT_VERSION,
        .count = lists->count,
        .collection = lists->stamp.collection,
        .generation = lists->stamp.generation,
        .book = lists->stamp.book,
        .centres = lists->stamp.centres,
        .tokens = lists->tokens,
        .entries = lists->entries,
    };
    memcpy(head.magic, magic, sizeof magic);
    sizes_of(lists, bytes);
    assay_derived_sections_sum(sections, bytes, SECTIONS, head.checksums);
    assay_derived_header_seal(&head, sizeof head);
    return assay_derived_save(path, &head, sizeof head, sections, bytes, SECTIONS, error);
}

/* Whether starts[n + 1] divide `all` things in order. */
static bool divides(const uint64_t *starts, uint64_t n, uint64_t all)
{
    bool fine = starts[0] == 0 && starts[n] == all;
    for (uint64_t i = 0; fine && i < n; i++)
        fine = starts[i] <= starts[i + 1];
    return fine;
}

/* Whether all numbers are of things that there are: searches trust that. */
static bool numbers_are_good(const assay_token_lists *lists)
{
    if (!divides(lists->starts, lists->count, lists->tokens) ||
        !divides(lists->list_starts, lists->stamp.centres, lists->entries))
        return false;
    for (uint64_t t = 0; t < lists->tokens; t++)
        if (lists->centres[t] >= lists->stamp.centres)
            return false;
    for (uint64_t e = 0; e < lists->entries; e++)
        if (lists->lists[e] >= lists->count)
            return false;
    for (uint32_t p = 1; p < lists->count; p++)
        if (lists->keys[p - 1] >= lists->keys[p])
            return false;
    return true;
}

static assay_status arrange(assay_token_lists *lists, const header *head, const char *path,
                            assay_error *error)
{
    static const char *const names[SECTIONS] = {"keys", "passages", "centres", "lists' starts",
                                                "lists"};
    uint64_t bytes[SECTIONS];
    void *sections[SECTIONS];
    lists->stamp = (assay_token_stamp){head->collection, head->generation, head->book,
                                       head->centres};
    lists->count = head->count;
    lists->tokens = head->tokens;
    lists->entries = head->entries;
    sizes_of(lists, bytes);
    if (head->centres > MOST_CENTRES || head->tokens > lists->mapping.size ||
        head->entries > lists->mapping.size ||
        !assay_derived_sections_place(&lists->mapping, HEADER_SIZE, bytes, SECTIONS, sections))
        return assay_fail(error, ASSAY_E_CORRUPT, path,
                          "%zu bytes do not hold %" PRIu32 " passages of %" PRIu64 " tokens",
                          lists->mapping.size, head->count, head->tokens);
    ASSAY_TRY(assay_derived_sections_verify(path, sections, bytes, head->checksums, names,
                                            SECTIONS, error));
    lists->keys = sections[KEYS];
    lists->starts = sections[STARTS];
    lists->centres = sections[CENTRES];
    lists->list_starts = sections[LIST_STARTS];
    lists->lists = sections[LISTS];
    return numbers_are_good(lists)
               ? ASSAY_OK
               : assay_fail(error, ASSAY_E_CORRUPT, path, "holds numbers that cannot be");
}

assay_status assay_token_lists_open(const char *path, assay_token_lists **out,
                                    assay_error *error)
{
    header head;
    assay_token_lists *lists = calloc(1, sizeof *lists);
    if (lists == NULL)
        return assay_fail_memory(error, sizeof *lists);
    lists->mapped = true;
    assay_status status = assay_map_open(path, &lists->mapping, error);
    if (status == ASSAY_OK)
        status = assay_derived_header_read(&lists->mapping, path, magic, FORMAT_VERSION, &head,
                                           sizeof head, error);
    if (status == ASSAY_OK)
        status = arrange(lists, &head, path, error);
    if (status != ASSAY_OK) {
        assay_token_lists_free(lists);
        return status;
    }
    *out = lists;
    return ASSAY_OK;
}
