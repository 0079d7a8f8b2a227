/* SPDX-License-Identifier: Apache-2.0 */
/* unigram.c: see unigram.h. */
#include "text/unigram.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW 4096 /* bytes of lattice, from where on it is made shorter */
#define NOWHERE SIZE_MAX

/* A place between two characters, as reached by the best path to it. */
typedef struct assay_lattice_node {
    double score;
    uint32_t length; /* of the path's last piece; 0: not reached */
    int32_t id;      /* of that piece */
    uint32_t next;   /* length of the piece that begins here, on the best path of all;
                        while places are compared, whether this is one of them */
} node;

void assay_unigram_free(assay_unigram *model)
{
    assay_piece_trie_free(&model->trie);
    free(model->scores);
    model->scores = NULL;
}

void assay_lattice_free(assay_lattice *lattice)
{
    free(lattice->nodes);
    *lattice = (assay_lattice){0};
}

/* One text on its way. Places are offsets in it. */
typedef struct walk {
    const assay_unigram *model;
    assay_lattice *lattice;
    assay_unigram_text text;
    size_t base;  /* place of lattice->nodes[0]: what came before is told */
    size_t reach; /* the furthest place that a piece ends at */
    size_t limit; /* how long the lattice may be before it is looked at */
    size_t unknown_begin, unknown_end; /* not told yet; NOWHERE: there is none */
    assay_tokens *tokens;
    assay_error *error;
} walk;

static node *node_at(const walk *w, size_t place)
{
    return &w->lattice->nodes[place - w->base];
}

static uint8_t byte_at(const walk *w, size_t place)
{
    if (!w->text.marked)
        return w->text.bytes[place];
    return place > 0 ? w->text.bytes[place - 1] : ' ';
}

/* ------------------------------------------------------------------- telling */

static int32_t find(const walk *w, size_t begin, size_t end)
{
    uint32_t at = 0;
    for (size_t i = begin; i < end && at != ASSAY_PIECE_NONE; i++)
        at = assay_piece_trie_step(&w->model->trie, at, byte_at(w, i));
    return at != ASSAY_PIECE_NONE ? w->model->trie.units[at].id : -1;
}

/* A space stands for the three bytes of U+2581. */
static const uint8_t *bytes_of(uint8_t *byte, size_t *count)
{
    static const uint8_t mark[] = {0xE2, 0x96, 0x81};
    *count = *byte == ' ' ? 3 : 1;
    return *byte == ' ' ? mark : byte;
}

static bool has_bytes(const walk *w, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        uint8_t byte = byte_at(w, i);
        size_t count;
        const uint8_t *bytes = bytes_of(&byte, &count);
        for (size_t k = 0; k < count; k++)
            if (w->model->bytes[bytes[k]] < 0)
                return false;
    }
    return true;
}

/* Every byte's token has the place of the whole. */
static assay_status tell_bytes(walk *w, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        uint8_t byte = byte_at(w, i);
        size_t count;
        const uint8_t *bytes = bytes_of(&byte, &count);
        for (size_t k = 0; k < count; k++)
            ASSAY_TRY(assay_tokens_add(w->tokens, w->model->bytes[bytes[k]], begin, end,
                                       w->error));
    }
    return ASSAY_OK;
}

/* Unknown characters in a row; together they may be a piece after all. */
static assay_status tell_unknown(walk *w)
{
    size_t begin = w->unknown_begin, end = w->unknown_end;
    if (begin == NOWHERE)
        return ASSAY_OK;
    w->unknown_begin = NOWHERE;
    int32_t id = find(w, begin, end);
    if (id < 0 && w->model->byte_fallback && has_bytes(w, begin, end))
        return tell_bytes(w, begin, end);
    return assay_tokens_add(w->tokens, id >= 0 ? id : w->model->unknown, begin, end, w->error);
}

static assay_status tell_piece(walk *w, int32_t id, size_t begin, size_t end)
{
    if (id == w->model->unknown) {
        if (w->unknown_begin == NOWHERE)
            w->unknown_begin = begin;
        w->unknown_end = end;
        return ASSAY_OK;
    }
    ASSAY_TRY(tell_unknown(w));
    return assay_tokens_add(w->tokens, id, begin, end, w->error);
}

/* Tells the pieces of the best path to a place, and lets the lattice begin there. */
static assay_status tell_until(walk *w, size_t to)
{
    for (size_t at = to; at > w->base;) {
        uint32_t length = node_at(w, at)->length;
        at -= length;
        node_at(w, at)->next = length;
    }
    for (size_t at = w->base; at < to;) {
        size_t end = at + node_at(w, at)->next;
        ASSAY_TRY(tell_piece(w, node_at(w, end)->id, at, end));
        at = end;
    }
    memmove(w->lattice->nodes, node_at(w, to), (w->reach - to + 1) * sizeof(node));
    w->base = to;
    return ASSAY_OK;
}

/* ------------------------------------------------------------------- walking */

/* The last place that the best paths to `at` and to all places after it have in
 * common: of the places the last one steps back, until there is only one. */
static size_t common_place(const walk *w, size_t at)
{
    size_t places = 0;
    for (size_t i = at; i <= w->reach; i++) {
        node_at(w, i)->next = i == at || node_at(w, i)->length > 0;
        places += node_at(w, i)->next;
    }
    for (size_t i = w->base; i < at; i++)
        node_at(w, i)->next = 0;
    size_t last = w->reach;
    for (; places > 1; last--) {
        node *here = node_at(w, last);
        if (here->next == 0)
            continue;
        node *before = node_at(w, last - here->length);
        places -= before->next;
        before->next = 1;
    }
    while (node_at(w, last)->next == 0)
        last--;
    return last;
}

/* Makes the lattice shorter if it can be. To look costs its length, so it is
 * looked at again only when it is twice as long as what remained. */
static assay_status shorten(walk *w, size_t at)
{
    ASSAY_TRY(tell_until(w, common_place(w, at)));
    size_t rest = at - w->base;
    w->limit = 2 * rest > WINDOW ? 2 * rest : WINDOW;
    return ASSAY_OK;
}

/* Makes nodes up to a place. */
static assay_status reach(walk *w, size_t place)
{
    assay_lattice *lattice = w->lattice;
    size_t needed = place - w->base + 1;
    if (needed > lattice->capacity) {
        size_t capacity = needed > 2 * lattice->capacity ? needed + 64 : 2 * lattice->capacity;
        node *nodes = capacity < UINT32_MAX ? realloc(lattice->nodes, capacity * sizeof *nodes)
                                            : NULL;
        if (nodes == NULL)
            return assay_fail_memory(w->error, capacity * sizeof *nodes);
        lattice->nodes = nodes;
        lattice->capacity = capacity;
    }
    while (w->reach < place)
        node_at(w, ++w->reach)->length = 0;
    return ASSAY_OK;
}

static inline assay_status offer(walk *w, size_t from, size_t to, double score, int32_t id)
{
    if (to > w->reach)
        ASSAY_TRY(reach(w, to));
    node *here = node_at(w, to);
    if (here->length == 0 || score > here->score) {
        here->score = score;
        here->length = (uint32_t)(to - from);
        here->id = id;
    }
    return ASSAY_OK;
}

static size_t character_bytes(uint8_t lead)
{
    return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* All pieces that begin at a place; moves it to the next. */
static assay_status step(walk *w, size_t *place)
{
    const assay_unigram *model = w->model;
    size_t from = *place, end = w->text.length + w->text.marked;
    double score = node_at(w, from)->score;
    size_t next = from + character_bytes(byte_at(w, from));
    bool known = false;
    uint32_t at = 0;
    for (size_t to = from; to < end;) {
        at = assay_piece_trie_step(&model->trie, at, byte_at(w, to++));
        if (at == ASSAY_PIECE_NONE)
            break;
        int32_t id = model->trie.units[at].id;
        if (id < 0)
            continue;
        known = known || to == next;
        ASSAY_TRY(offer(w, from, to, score + model->scores[id], id));
    }
    *place = next;
    return known ? ASSAY_OK
                 : offer(w, from, next, score + model->unknown_score, model->unknown);
}

assay_status assay_unigram_encode(const assay_unigram *model, assay_lattice *lattice,
                                  assay_unigram_text text, size_t enough, assay_tokens *tokens,
                                  assay_error *error)
{
    walk w = {.model = model, .lattice = lattice, .text = text, .limit = WINDOW,
              .unknown_begin = NOWHERE, .tokens = tokens, .error = error};
    size_t end = text.length + text.marked;
    ASSAY_TRY(reach(&w, 0));
    *node_at(&w, 0) = (node){.score = 0};
    for (size_t at = 0; at < end;) {
        if (at - w.base >= w.limit) {
            ASSAY_TRY(shorten(&w, at));
            if (tokens->count >= enough)
                return ASSAY_OK;
        }
        ASSAY_TRY(step(&w, &at));
    }
    ASSAY_TRY(tell_until(&w, end));
    return tell_unknown(&w);
}
