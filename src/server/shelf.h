/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf.h: the collections that are searched, and the pipelines that search them.
 *
 * Every collection can be searched by every pipeline. Each of these pairs has a lane of
 * the engine's, with a store and models of its own, opened when a search first needs it;
 * but for that of the pipeline "default", which is opened with the collection. Collections
 * may come and go while requests are answered, and pipelines be replaced, all at a time: a
 * search keeps to those that were there when it began. A shelf is shared.
 */
#ifndef ASSAY_SERVER_SHELF_H
#define ASSAY_SERVER_SHELF_H

#include "server/engine.h"
#include "server/serve.h"

typedef struct assay_shelf assay_shelf;
typedef struct assay_shelved assay_shelved; /* a collection */

#define ASSAY_NO_PIPELINE SIZE_MAX
enum { ASSAY_SHELVED_NAME = 128, ASSAY_PIPELINE_NAME = 64, ASSAY_MOST_PIPELINES = 33 };

assay_status assay_shelf_open(const assay_serve_options *options, assay_shelf **out,
                              assay_error *error);
void assay_shelf_close(assay_shelf *shelf);
/* Pipelines as the options have them now, their files read again, for all collections; on
 * an error nothing changes. The options' lists are not kept, their texts are. */
assay_status assay_shelf_reload(assay_shelf *shelf, const assay_serve_options *options,
                                assay_error *error);
/* Takes in the collections that came since, unless only some are to be served. */
assay_status assay_shelf_refresh(assay_shelf *shelf, assay_error *error);

/* Collections, 0 .. count - 1, in the order in which they came. False where there is none,
 * as when it was taken off. */
size_t assay_shelf_count(assay_shelf *shelf);
bool assay_shelf_name(assay_shelf *shelf, size_t i, char name[ASSAY_SHELVED_NAME]);
bool assay_shelf_has(assay_shelf *shelf, const char *name);
/* The collection of this name, to be searched; stays until it is released. NULL: there is
 * none. */
assay_shelved *assay_shelf_take(assay_shelf *shelf, const char *name);
void assay_shelf_release(assay_shelved *shelved); /* NULL does nothing */
const char *assay_shelved_name(const assay_shelved *shelved);

/* Puts a collection that was made on the shelf; one that is there already stays. */
assay_status assay_shelf_add(assay_shelf *shelf, const char *name, assay_error *error);
/* Takes one that was dropped off it. */
void assay_shelf_remove(assay_shelf *shelf, const char *name);

/* A search's pipelines, 0 is "default". */
const char *assay_shelved_pipeline(const assay_shelved *shelved, size_t i); /* NULL beyond */
size_t assay_shelved_find(const assay_shelved *shelved, const char *name);
/* The lane in which the collection is searched by a pipeline, or, interleaved, by both of
 * the trial's. */
assay_lane *assay_shelved_lane(const assay_shelved *shelved, size_t pipeline);
assay_lane *assay_shelved_trial(const assay_shelved *shelved);

/* Two pipelines that compete; none where there is no trial. */
typedef struct assay_contest {
    bool any, split; /* by sessions; else by interleaving */
    size_t both[2];
} assay_contest;
assay_contest assay_shelved_contest(const assay_shelved *shelved);

/* Those that there are now, to be told. */
typedef struct assay_pipelines {
    size_t count;
    char names[ASSAY_MOST_PIPELINES][ASSAY_PIPELINE_NAME];
    assay_contest contest;
} assay_pipelines;
void assay_shelf_pipelines(assay_shelf *shelf, assay_pipelines *out);

#endif
