/* SPDX-License-Identifier: Apache-2.0 */
/* folder.c: see folder.h. */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { MAX_DEPTH = 8, PATH_SIZE = 4096, OPEN_FOLDERS = 16 };

/* "path.<process>.<suffix>", to be freed; NULL when memory is short. */
static char *beside(const char *path, const char *suffix)
{
    char *name;
    return asprintf(&name, "%s.%ld.%s", path, (long)getpid(), suffix) < 0 ? NULL : name;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void assay_folder_remove(const char *path)
{
    nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

static void forget(assay_new_folder *folder)
{
    free(folder->path);
    free(folder->temporary);
    *folder = (assay_new_folder){0};
}

static assay_status make_parent(const char *path, assay_error *error)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return ASSAY_OK;
    char parent[PATH_SIZE];
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    return assay_folder_make(parent, error);
}

assay_status assay_new_folder_open(const char *path, bool replace, assay_new_folder *out,
                                   assay_error *error)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length >= PATH_SIZE - 64)
        return assay_fail(error, ASSAY_E_ARGUMENT, path, "expected the path of a new folder");
    assay_new_folder folder = {.path = strndup(path, length), .replace = replace};
    folder.temporary = folder.path != NULL ? beside(folder.path, "new") : NULL;
    assay_status status = ASSAY_OK;
    struct stat there;
    if (folder.temporary == NULL)
        status = assay_fail_memory(error, length + 32);
    else if (stat(folder.path, &there) == 0 && (!replace || !S_ISDIR(there.st_mode)))
        status = assay_fail(error, ASSAY_E_ARGUMENT, path,
                            S_ISDIR(there.st_mode) ? "is there already" : "is not a folder");
    else
        status = make_parent(folder.path, error);
    if (status == ASSAY_OK && mkdir(folder.temporary, 0777) != 0)
        status = assay_fail_errno(error, errno, folder.path, "cannot make folder");
    if (status != ASSAY_OK) {
        forget(&folder);
        return status;
    }
    *out = folder;
    return ASSAY_OK;
}

/* The old folder steps aside before the new one takes its name, and comes back
 * when that fails. */
assay_status assay_folder_rename(const char *from, const char *to, bool replace,
                                 assay_error *error)
{
    char *old = replace ? beside(to, "old") : NULL;
    bool moved = old != NULL && rename(to, old) == 0;
    assay_status status = ASSAY_OK;
    if (rename(from, to) != 0) {
        status = assay_fail_errno(error, errno, to, "cannot rename");
        if (moved)
            (void)!rename(old, to);
    } else if (moved) {
        assay_folder_remove(old);
    }
    free(old);
    return status;
}

assay_status assay_new_folder_commit(assay_new_folder *folder, assay_error *error)
{
    assay_status status =
        assay_folder_rename(folder->temporary, folder->path, folder->replace, error);
    if (status != ASSAY_OK)
        assay_new_folder_abort(folder);
    else
        forget(folder);
    return status;
}

void assay_new_folder_abort(assay_new_folder *folder)
{
    if (folder->temporary != NULL)
        assay_folder_remove(folder->temporary);
    forget(folder);
}

/* As realpath, for a path whose last part need not be there. */
static char *real_path(const char *path)
{
    char *whole = realpath(path, NULL);
    if (whole != NULL || errno != ENOENT)
        return whole;
    char parent[PATH_SIZE];
    const char *name = assay_path_name(path);
    snprintf(parent, sizeof parent, "%.*s", (int)(name - path), path);
    char *above = realpath(name == path ? "." : parent, NULL);
    if (above == NULL || asprintf(&whole, "%s/%s", above, name) < 0)
        whole = NULL;
    free(above);
    return whole;
}

static bool holds(const char *folder, const char *path)
{
    size_t length = strlen(folder);
    return strncmp(folder, path, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

bool assay_folders_overlap(const char *a, const char *b)
{
    char *first = real_path(a), *second = real_path(b);
    bool overlap = first != NULL && second != NULL &&
                   (holds(first, second) || holds(second, first));
    free(first);
    free(second);
    return overlap;
}

/* ---- Files of a folder ------------------------------------------------------- */

typedef struct visit {
    const char *root;
    assay_folder_fn fn;
    void *context;
    assay_error *error;
} visit;

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static assay_status visit_below(const visit *v, const char *below, int depth);

static assay_status visit_entry(const visit *v, const char *name, int depth)
{
    char path[PATH_SIZE];
    ASSAY_TRY(assay_path_join(path, sizeof path, v->root, name, v->error));
    if (assay_is_folder(path))
        return visit_below(v, name, depth + 1);
    return assay_is_file(path) ? v->fn(v->context, name, v->error) : ASSAY_OK;
}

static assay_status visit_below(const visit *v, const char *below, int depth)
{
    char path[PATH_SIZE];
    ASSAY_TRY(assay_path_join(path, sizeof path, v->root, below, v->error));
    if (depth > MAX_DEPTH)
        return assay_fail(v->error, ASSAY_E_LIMIT, path, "folders more than %d deep", MAX_DEPTH);
    struct dirent **entries;
    int count = scandir(path, &entries, visible, by_bytes);
    if (count < 0)
        return assay_fail_errno(v->error, errno, path, "cannot list");
    assay_status status = ASSAY_OK;
    for (int i = 0; i < count; i++) {
        char name[PATH_SIZE];
        if (status == ASSAY_OK && below[0] == '\0')
            status = visit_entry(v, entries[i]->d_name, depth);
        else if (status == ASSAY_OK &&
                 (status = assay_path_join(name, sizeof name, below, entries[i]->d_name,
                                           v->error)) == ASSAY_OK)
            status = visit_entry(v, name, depth);
        free(entries[i]);
    }
    free(entries);
    return status;
}

assay_status assay_folder_each(const char *folder, assay_folder_fn fn, void *context,
                               assay_error *error)
{
    const visit v = {folder, fn, context, error};
    return visit_below(&v, "", 0);
}
