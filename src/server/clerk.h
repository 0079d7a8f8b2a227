/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clerk.h: a thread that does, for one call after the other, what may wait for a disk.
 *
 * The record of searches and events has one, the writing of documents another. So
 * whatever they own is used by one thread, and no thread that answers others waits.
 */
#ifndef ASSAY_SERVER_CLERK_H
#define ASSAY_SERVER_CLERK_H

#include "server/call.h"

typedef struct assay_clerk assay_clerk;
typedef void (*assay_clerk_work)(assay_call *call);

assay_clerk *assay_clerk_open(size_t most); /* waiting at a time; NULL: memory */
/* Does what waits, then ends: nothing is taken from then on. */
void assay_clerk_end(assay_clerk *clerk);
void assay_clerk_close(assay_clerk *clerk);

/* Suspends the call until work(call), which answers it, is done. False after a fault:
 * too many wait. */
bool assay_clerk_ask(assay_clerk *clerk, assay_call *call, assay_clerk_work work);
/* Takes over a call that was answered, its connection gone: work(call) frees it. False:
 * too many wait, and the call is still the caller's. */
bool assay_clerk_give(assay_clerk *clerk, assay_call *call, assay_clerk_work work);

#endif
