/* SPDX-License-Identifier: Apache-2.0 */
/* folder.h: folders written aside and renamed into place, and their files. */
#ifndef ASSAY_FOLDER_H
#define ASSAY_FOLDER_H

#include "base/status.h"

/* A folder that appears whole or not at all: it is filled under another name
 * beside its own, which commit gives it. abort removes what was written. */
typedef struct assay_new_folder {
    char *path;      /* without a slash at its end */
    char *temporary; /* fill this one */
    bool replace;    /* a folder of that name goes when the new one comes */
} assay_new_folder;

/* Errors: ARGUMENT when the path is there and `replace` is not set, or is not a
 * folder; NOT_FOUND, IO, FULL. */
assay_status assay_new_folder_open(const char *path, bool replace, assay_new_folder *out,
                                   assay_error *error);
assay_status assay_new_folder_commit(assay_new_folder *folder, assay_error *error);
void assay_new_folder_abort(assay_new_folder *folder);

/* Gives a folder that is there another name on the same file system. `replace` as above. */
assay_status assay_folder_rename(const char *from, const char *to, bool replace,
                                 assay_error *error);
/* Removes a folder with all that is in it, as far as that can be done. */
void assay_folder_remove(const char *path);

/* Whether a is b, lies in b or b lies in a; both must be there, or only their
 * last parts missing. */
bool assay_folders_overlap(const char *a, const char *b);

/* Called for a file by its path below the folder ("1_Pooling/config.json"). */
typedef assay_status (*assay_folder_fn)(void *context, const char *name, assay_error *error);

/* Every regular file below `folder`, links followed, in name order. Names that
 * begin with a dot are passed over. LIMIT for folders nested more than 8 deep. */
assay_status assay_folder_each(const char *folder, assay_folder_fn fn, void *context,
                               assay_error *error);

#endif
