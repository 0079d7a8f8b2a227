/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf.c: see shelf.h. A collection that is taken off while searches are under way in it
 * stays, without being found, until the last of them lets go of it. One that is made anew
 * under its name may have another model, so it gets a place of its own.
 */
#include "server/shelf.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COLLECTIONS = 4096 };

typedef struct recipe {
    char name[ASSAY_PIPELINE_NAME];
    assay_pipeline_file *file; /* NULL: the options in short, with the server's reranker */
} recipe;

/* All pipelines of a time; goes with the last collection that is searched by it. */
typedef struct book {
    size_t users;
    assay_serve_options options;
    recipe recipes[ASSAY_MOST_PIPELINES];
    size_t count;
    assay_contest contest;
} book;

/* What a lane's pipelines are opened with. */
typedef struct searcher {
    const assay_shelved *shelved;
    size_t pipelines[2]; /* the second ASSAY_NO_PIPELINE, mostly */
    assay_store *stores[2];
    assay_lane lane;
} searcher;

struct assay_shelved {
    char name[ASSAY_SHELVED_NAME];
    assay_shelf *shelf;
    book *book;
    size_t users; /* that have taken it */
    bool gone;
    searcher *searchers; /* [pipelines + 1]: the last is the trial's */
};

struct assay_shelf {
    assay_serve_names collections; /* that are to be served; none: all */
    pthread_mutex_t lock;
    book *book;
    size_t count;
    assay_shelved *list[MOST_COLLECTIONS];
};

static assay_status fail(assay_error *error, assay_status code, const char *where,
                         const char *message)
{
    *error = (assay_error){.code = code};
    snprintf(error->where, sizeof error->where, "%.250s", where);
    snprintf(error->message, sizeof error->message, "%s", message);
    return code;
}

/* ---- Pipelines ----------------------------------------------------------------------- */

static size_t find_recipe(const book *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->recipes[i].name, name) == 0)
            return i;
    return ASSAY_NO_PIPELINE;
}

/* "NAME=FILE|PRESET", or a preset by its own name. */
static assay_status add_recipe(book *b, const char *words, assay_error *error)
{
    const char *equals = strchr(words, '=');
    size_t length = equals != NULL ? (size_t)(equals - words) : strlen(words);
    recipe *one = &b->recipes[b->count];
    if (length == 0 || length >= sizeof one->name || memchr(words, ',', length) != NULL)
        return fail(error, ASSAY_E_ARGUMENT, words, "expected NAME=FILE or NAME=PRESET, the name "
                    "of at most 63 bytes and without a comma");
    if (b->count == ASSAY_MOST_PIPELINES)
        return fail(error, ASSAY_E_LIMIT, words, "too many pipelines");
    memcpy(one->name, words, length);
    one->name[length] = '\0';
    if (find_recipe(b, one->name) != ASSAY_NO_PIPELINE)
        return fail(error, ASSAY_E_ARGUMENT, words, "there is a pipeline of this name already");
    assay_status status =
        assay_pipeline_file_open(equals != NULL ? equals + 1 : words, &one->file, error);
    b->count += status == ASSAY_OK;
    return status;
}

static assay_status set_trial(book *b, const char *words, assay_error *error)
{
    char name[2 * ASSAY_PIPELINE_NAME];
    const char *comma = strchr(words, ',');
    size_t length = comma != NULL ? (size_t)(comma - words) : sizeof name;
    assay_contest *c = &b->contest;
    if (length >= sizeof name)
        return fail(error, ASSAY_E_ARGUMENT, words, "expected the names of two pipelines, A,B");
    memcpy(name, words, length);
    name[length] = '\0';
    *c = (assay_contest){true, b->options.split,
                         {find_recipe(b, name), find_recipe(b, comma + 1)}};
    if (c->both[0] == ASSAY_NO_PIPELINE || c->both[1] == ASSAY_NO_PIPELINE ||
        c->both[0] == c->both[1])
        return fail(error, ASSAY_E_ARGUMENT, words, "expected two pipelines that are served: "
                    "'default', or the name of one given with --pipeline");
    return ASSAY_OK;
}

static assay_status read_book(book *b, assay_error *error)
{
    const assay_serve_options *o = &b->options;
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < o->pipelines.count && status == ASSAY_OK; i++) {
        if (strncmp(o->pipelines.items[i], "default=", 8) == 0) {
            status = assay_pipeline_file_open(o->pipelines.items[i] + 8, &b->recipes[0].file,
                                              error);
            continue;
        }
        status = add_recipe(b, o->pipelines.items[i], error);
    }
    if (status == ASSAY_OK && o->trial != NULL)
        status = set_trial(b, o->trial, error);
    return status;
}

static void book_free(book *b)
{
    for (size_t i = 0; i < b->count; i++)
        assay_pipeline_file_close(b->recipes[i].file);
    free(b);
}

static assay_status book_open(const assay_serve_options *options, book **out, assay_error *error)
{
    book *b = calloc(1, sizeof *b);
    if (b == NULL)
        return fail(error, ASSAY_E_MEMORY, "pipelines", "out of memory");
    b->options = *options;
    b->users = 1; /* who opened it */
    snprintf(b->recipes[0].name, sizeof b->recipes[0].name, "default");
    b->count = 1;
    assay_status status = read_book(b, error);
    if (status != ASSAY_OK)
        book_free(b);
    else
        *out = b;
    return status;
}

static void book_release(assay_shelf *shelf, book *b)
{
    pthread_mutex_lock(&shelf->lock);
    bool last = --b->users == 0;
    pthread_mutex_unlock(&shelf->lock);
    if (last)
        book_free(b);
}

const char *assay_shelved_pipeline(const assay_shelved *shelved, size_t i)
{
    const book *b = shelved->book;
    return i < b->count ? b->recipes[i].name : NULL;
}

size_t assay_shelved_find(const assay_shelved *shelved, const char *name)
{
    return find_recipe(shelved->book, name);
}

assay_contest assay_shelved_contest(const assay_shelved *shelved)
{
    return shelved->book->contest;
}

void assay_shelf_pipelines(assay_shelf *shelf, assay_pipelines *out)
{
    pthread_mutex_lock(&shelf->lock);
    const book *b = shelf->book;
    *out = (assay_pipelines){.count = b->count, .contest = b->contest};
    for (size_t i = 0; i < b->count; i++)
        memcpy(out->names[i], b->recipes[i].name, ASSAY_PIPELINE_NAME);
    pthread_mutex_unlock(&shelf->lock);
}

/* ---- Lanes ---------------------------------------------------------------------------- */

static assay_status open_pipeline(searcher *s, int i, assay_error *error)
{
    const book *b = s->shelved->book;
    const recipe *r = &b->recipes[s->pipelines[i]];
    const char *reranker = b->options.reranker;
    assay_pipeline_options options = {
        .reranker = strcmp(reranker, "none") == 0 ? NULL : reranker,
        .precision = b->options.precision,
    };
    if (r->file != NULL)
        assay_pipeline_file_options(r->file, &options);
    options.threads = b->options.threads;
    assay_status status = ASSAY_OK;
    if (s->stores[i] == NULL)
        status = assay_store_open(NULL, &(assay_store_options){.read_only = true}, &s->stores[i],
                                  error);
    if (status == ASSAY_OK)
        status = assay_pipeline_open(s->stores[i], s->shelved->name, &options,
                                     &s->lane.pipelines[i], error);
    return status;
}

/* The lane's. Both or none: the engine looks at the first. */
static assay_status open_lane(assay_lane *lane, assay_error *error)
{
    searcher *s = lane->owner;
    bool two = s->pipelines[1] != ASSAY_NO_PIPELINE;
    assay_status status = two && lane->pipelines[1] == NULL ? open_pipeline(s, 1, error)
                                                            : ASSAY_OK;
    return status == ASSAY_OK ? open_pipeline(s, 0, error) : status;
}

static void set_up(searcher *s, const assay_shelved *shelved, size_t first, size_t second)
{
    *s = (searcher){.shelved = shelved, .pipelines = {first, second}};
    s->lane = (assay_lane){.kind = ASSAY_JOB_SEARCH, .open = open_lane, .owner = s};
}

static void shelved_free(assay_shelved *shelved)
{
    if (shelved == NULL)
        return;
    for (size_t i = 0; i <= shelved->book->count; i++) {
        searcher *s = &shelved->searchers[i];
        for (int j = 0; j < 2; j++) {
            assay_pipeline_close(s->lane.pipelines[j]);
            assay_store_close(s->stores[j]);
        }
    }
    book_release(shelved->shelf, shelved->book);
    free(shelved->searchers);
    free(shelved);
}

/* Lock held, or nobody else knows the book. */
static assay_shelved *shelved_new(assay_shelf *shelf, book *b, const char *name)
{
    assay_shelved *shelved = calloc(1, sizeof *shelved);
    if (shelved == NULL)
        return NULL;
    shelved->searchers = calloc(b->count + 1, sizeof *shelved->searchers);
    if (shelved->searchers == NULL) {
        free(shelved);
        return NULL;
    }
    shelved->shelf = shelf;
    shelved->book = b;
    b->users++;
    snprintf(shelved->name, sizeof shelved->name, "%s", name);
    for (size_t i = 0; i < b->count; i++)
        set_up(&shelved->searchers[i], shelved, i, ASSAY_NO_PIPELINE);
    set_up(&shelved->searchers[b->count], shelved, b->contest.both[0], b->contest.both[1]);
    return shelved;
}

assay_lane *assay_shelved_lane(const assay_shelved *shelved, size_t pipeline)
{
    return &shelved->searchers[pipeline].lane;
}

assay_lane *assay_shelved_trial(const assay_shelved *shelved)
{
    return &shelved->searchers[shelved->book->count].lane;
}

/* ---- Collections ------------------------------------------------------------------------ */

/* Lock held. */
static assay_shelved *find(assay_shelf *shelf, const char *name)
{
    for (size_t i = 0; i < shelf->count; i++)
        if (!shelf->list[i]->gone && strcmp(shelf->list[i]->name, name) == 0)
            return shelf->list[i];
    return NULL;
}

size_t assay_shelf_count(assay_shelf *shelf)
{
    pthread_mutex_lock(&shelf->lock);
    size_t count = shelf->count;
    pthread_mutex_unlock(&shelf->lock);
    return count;
}

bool assay_shelf_name(assay_shelf *shelf, size_t i, char name[ASSAY_SHELVED_NAME])
{
    pthread_mutex_lock(&shelf->lock);
    bool there = i < shelf->count && !shelf->list[i]->gone;
    if (there)
        memcpy(name, shelf->list[i]->name, ASSAY_SHELVED_NAME);
    pthread_mutex_unlock(&shelf->lock);
    return there;
}

bool assay_shelf_has(assay_shelf *shelf, const char *name)
{
    pthread_mutex_lock(&shelf->lock);
    bool there = find(shelf, name) != NULL;
    pthread_mutex_unlock(&shelf->lock);
    return there;
}

assay_shelved *assay_shelf_take(assay_shelf *shelf, const char *name)
{
    pthread_mutex_lock(&shelf->lock);
    assay_shelved *shelved = find(shelf, name);
    if (shelved != NULL)
        shelved->users++;
    pthread_mutex_unlock(&shelf->lock);
    return shelved;
}

/* Takes one that is gone and not used off the list; lock held. False: it stays. */
static bool unlist(assay_shelf *shelf, const assay_shelved *shelved)
{
    size_t i = 0;
    if (shelved == NULL || !shelved->gone || shelved->users > 0)
        return false;
    while (shelf->list[i] != shelved)
        i++;
    memmove(&shelf->list[i], &shelf->list[i + 1], (--shelf->count - i) * sizeof *shelf->list);
    return true;
}

void assay_shelf_release(assay_shelved *shelved)
{
    if (shelved == NULL)
        return;
    pthread_mutex_lock(&shelved->shelf->lock);
    shelved->users--;
    bool last = unlist(shelved->shelf, shelved);
    pthread_mutex_unlock(&shelved->shelf->lock);
    if (last)
        shelved_free(shelved);
}

const char *assay_shelved_name(const assay_shelved *shelved)
{
    return shelved->name;
}

assay_status assay_shelf_add(assay_shelf *shelf, const char *name, assay_error *error)
{
    assay_status status = ASSAY_OK;
    pthread_mutex_lock(&shelf->lock);
    assay_shelved *fresh = NULL;
    if (find(shelf, name) != NULL)
        ; /* is there */
    else if (shelf->count == MOST_COLLECTIONS)
        status = fail(error, ASSAY_E_LIMIT, name, "no more collections than 4096 can be served");
    else if ((fresh = shelved_new(shelf, shelf->book, name)) == NULL)
        status = fail(error, ASSAY_E_MEMORY, name, "out of memory");
    else
        shelf->list[shelf->count++] = fresh;
    pthread_mutex_unlock(&shelf->lock);
    return status;
}

void assay_shelf_remove(assay_shelf *shelf, const char *name)
{
    pthread_mutex_lock(&shelf->lock);
    assay_shelved *there = find(shelf, name);
    if (there != NULL)
        there->gone = true;
    bool last = unlist(shelf, there);
    pthread_mutex_unlock(&shelf->lock);
    if (last)
        shelved_free(there);
}

/* ---- Opening ------------------------------------------------------------------------------ */

/* All that the data directory has; none where there is no directory. */
static assay_status add_all(assay_shelf *shelf, assay_error *error)
{
    assay_store *store;
    assay_collection_info *list = NULL;
    size_t count = 0;
    assay_status status =
        assay_store_open(NULL, &(assay_store_options){.read_only = true}, &store, error);
    if (status == ASSAY_E_NOT_FOUND)
        return ASSAY_OK;
    if (status != ASSAY_OK)
        return status;
    status = assay_collection_list(store, &list, &count, error);
    assay_store_close(store);
    for (size_t i = 0; i < count && status == ASSAY_OK; i++)
        status = assay_shelf_add(shelf, list[i].name, error);
    assay_free(list);
    return status;
}

static assay_status add_named(assay_shelf *shelf, assay_error *error)
{
    assay_serve_names names = shelf->collections;
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < names.count && status == ASSAY_OK; i++)
        status = assay_shelf_add(shelf, names.items[i], error);
    return status;
}

assay_status assay_shelf_refresh(assay_shelf *shelf, assay_error *error)
{
    return shelf->collections.count > 0 ? ASSAY_OK : add_all(shelf, error);
}

/* ---- Other pipelines ------------------------------------------------------------------- */

/* Collections of a shelf, to be put in the place of those of the same names. */
typedef struct row {
    size_t count;
    assay_shelved *list[MOST_COLLECTIONS];
} row;

/* Each collection once more, with its default pipeline by the new book. */
static assay_status fill_row(assay_shelf *shelf, book *b, row *fresh, assay_error *error)
{
    char name[ASSAY_SHELVED_NAME];
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < assay_shelf_count(shelf) && status == ASSAY_OK; i++) {
        if (!assay_shelf_name(shelf, i, name))
            continue;
        assay_shelved *one = shelved_new(shelf, b, name);
        if (one == NULL)
            return fail(error, ASSAY_E_MEMORY, name, "out of memory");
        fresh->list[fresh->count++] = one;
        status = open_lane(assay_shelved_lane(one, 0), error);
        if (status == ASSAY_E_NOT_FOUND && !assay_shelf_has(shelf, name))
            status = ASSAY_OK; /* dropped meanwhile */
    }
    return status;
}

/* Puts a new one into the old one's place, and what is to be freed into `fresh`. */
static void swap_row(assay_shelf *shelf, book *b, row *fresh)
{
    pthread_mutex_lock(&shelf->lock);
    shelf->book = b;
    for (size_t i = 0; i < fresh->count; i++) {
        assay_shelved *old = find(shelf, fresh->list[i]->name);
        if (old == NULL || shelf->count == MOST_COLLECTIONS)
            continue; /* the new one is freed */
        shelf->list[shelf->count++] = fresh->list[i];
        old->gone = true;
        fresh->list[i] = unlist(shelf, old) ? old : NULL;
    }
    pthread_mutex_unlock(&shelf->lock);
}

assay_status assay_shelf_reload(assay_shelf *shelf, const assay_serve_options *options,
                                assay_error *error)
{
    book *b = NULL, *before = shelf->book; /* nobody else sets it */
    row *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return fail(error, ASSAY_E_MEMORY, "pipelines", "out of memory");
    assay_status status = book_open(options, &b, error);
    if (status == ASSAY_OK && (status = fill_row(shelf, b, fresh, error)) == ASSAY_OK) {
        swap_row(shelf, b, fresh);
        b = before;
    }
    for (size_t i = 0; i < fresh->count; i++)
        shelved_free(fresh->list[i]);
    free(fresh);
    if (b != NULL)
        book_release(shelf, b);
    return status;
}

/* ---- Opening and closing ----------------------------------------------------------------- */

assay_status assay_shelf_open(const assay_serve_options *options, assay_shelf **out,
                              assay_error *error)
{
    assay_shelf *shelf = calloc(1, sizeof *shelf);
    if (shelf == NULL)
        return fail(error, ASSAY_E_MEMORY, "shelf", "out of memory");
    shelf->collections = options->collections;
    pthread_mutex_init(&shelf->lock, NULL);
    assay_status status = book_open(options, &shelf->book, error);
    if (status == ASSAY_OK)
        status = options->collections.count > 0 ? add_named(shelf, error) : add_all(shelf, error);
    for (size_t i = 0; i < shelf->count && status == ASSAY_OK; i++)
        status = open_lane(assay_shelved_lane(shelf->list[i], 0), error);
    if (status != ASSAY_OK) {
        assay_shelf_close(shelf);
        return status;
    }
    *out = shelf;
    return ASSAY_OK;
}

void assay_shelf_close(assay_shelf *shelf)
{
    if (shelf == NULL)
        return;
    for (size_t i = 0; i < shelf->count; i++)
        shelved_free(shelf->list[i]);
    if (shelf->book != NULL)
        book_release(shelf, shelf->book);
    free(shelf);
}
