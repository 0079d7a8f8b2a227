/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shelf.h: the collections that are searched, and the pipelines that search them.
 *
 * Every collection can be searched by every pipeline. Each of these pairs has a lane of
 * the engine's, with a store and models of its own, opened when a search first needs it;
 * but for that of the pipeline "default", which is opened with the collection. Pipelines
 * are there from the start, collections may come and go while requests are answered: a
 * shelf is shared.
 */
#ifndef ASSAY_SERVER_SHELF_H
#define ASSAY_SERVER_SHELF_H

#include "server/engine.h"
#include "server/serve.h"

typedef struct assay_shelf assay_shelf;
typedef struct assay_shelved assay_shelved; /* a collection */

#define ASSAY_NO_PIPELINE SIZE_MAX
enum { ASSAY_SHELVED_NAME = 128 };

assay_status assay_shelf_open(const assay_serve_options *options, assay_shelf **out,
                              assay_error *error);
void assay_shelf_close(assay_shelf *shelf);
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

/* Pipelines, 0 is "default". */
size_t assay_shelf_pipelines(const assay_shelf *shelf);
const char *assay_shelf_pipeline(const assay_shelf *shelf, size_t i); /* NULL beyond */
size_t assay_shelf_pipeline_find(const assay_shelf *shelf, const char *name);

/* The lane in which the collection is searched by a pipeline, or, interleaved, by both of
 * the trial's. */
assay_lane *assay_shelved_lane(const assay_shelved *shelved, size_t pipeline);
assay_lane *assay_shelved_trial(const assay_shelved *shelved);
/* The two of the trial; false when there is none. */
bool assay_shelf_trial(const assay_shelf *shelf, size_t both[2]);

#endif
