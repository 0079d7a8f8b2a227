/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own.h: the parts of assay's own interface (dialect_own.c has its routes).
 *
 *     own_search.c     POST /v1/search, POST /v1/collections/NAME/search
 *     own_documents.c  what else is under /v1/collections: documents in and out
 */
#ifndef ASSAY_SERVER_OWN_H
#define ASSAY_SERVER_OWN_H

#include "server/call.h"

/* Whether there is a collection of this name; a fault where not. */
bool assay_own_collection(assay_call *call, const char *name);

/* The clerks of documents: one reads, one writes where that is allowed. */
assay_status assay_desk_open(assay_server *server, assay_error *error);
void assay_desk_end(assay_server *server);
void assay_desk_close(assay_server *server);

/* Whatever is at /v1/collections/NAME... */
bool assay_collection_get_begin(assay_call *call);
bool assay_collection_post_begin(assay_call *call);
bool assay_collection_delete_begin(assay_call *call);
bool assay_collection_finish(assay_call *call);

bool assay_search_begin(assay_call *call);
/* In the collection of this name, whatever the body says. */
bool assay_search_in(assay_call *call, const char *name);
bool assay_search_finish(assay_call *call);

#endif
