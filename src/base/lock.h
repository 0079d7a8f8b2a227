/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h: files and folders that one process, or one thread of it, writes at a time.
 *
 * What is written over a long time lies under a name that another call would use as well,
 * so that it can be taken up: two at once would write into each other.
 */
#ifndef ASSAY_LOCK_H
#define ASSAY_LOCK_H

#include "base/status.h"

/* Makes the file (folder) if it is not there, and locks it; the lock is let go of by
 * assay_lock_release, or when the process ends, however it does. On a file system without
 * locks there is none. Errors: BUSY, naming who has it where that can be told; IO. */
assay_status assay_lock_file(const char *path, int *lock, assay_error *error);
assay_status assay_lock_folder(const char *path, int *lock, assay_error *error);

/* *lock becomes -1, which is nothing to let go of. */
void assay_lock_release(int *lock);

#endif
