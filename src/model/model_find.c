/* SPDX-License-Identifier: Apache-2.0 */
/* model_find.c: from a model's name to its folder; see assay_model_find. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { PLACES = 6 };

typedef struct places {
    char paths[PLACES][2048];
    size_t count;
} places;

/* Adds "folder/rest", when it is not too long to be one. */
static void add(places *list, const char *folder, const char *rest)
{
    if (list->count < PLACES && assay_path_join(list->paths[list->count], sizeof *list->paths,
                                                folder, rest, NULL) == ASSAY_OK)
        list->count++;
}

static void list_places(places *list)
{
    list->count = 0;
    const char *set = getenv("ASSAY_MODELS");
    if (set != NULL && set[0] != '\0')
        add(list, set, "");
    char folder[2048];
    if (assay_home(folder, sizeof folder, NULL) == ASSAY_OK)
        add(list, folder, "models");
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (length > 0) {
        folder[length] = '\0';
        *strrchr(folder, '/') = '\0';
        add(list, folder, "models");
        add(list, folder, "../models");
        add(list, folder, "../share/assay/models");
    }
    add(list, ASSAY_PREFIX, "share/assay/models");
}

/* A folder with a configuration in it. */
static bool is_model(const char *folder)
{
    char path[4096];
    static const char *const names[] = {"config.json", "modules.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (assay_path_join(path, sizeof path, folder, names[i], NULL) == ASSAY_OK &&
            assay_is_file(path))
            return true;
    return false;
}

static assay_status put(const char *found, char *path, size_t size, assay_error *error)
{
    size_t length = strlen(found);
    if (length >= size)
        return assay_fail(error, ASSAY_E_LIMIT, found, "path longer than %zu bytes", size - 1);
    memcpy(path, found, length + 1);
    return ASSAY_OK;
}

/* A name is looked for below a place, never beside or above it. */
static bool is_plain(const char *name)
{
    return name[0] != '/' && name[0] != '.' && strstr(name, "..") == NULL;
}

assay_status assay_model_find(const char *name, char *path, size_t path_size, assay_error *error)
{
    if (name == NULL || name[0] == '\0' || path == NULL)
        return assay_fail(error, ASSAY_E_ARGUMENT, "model", "expected a name or a folder");
    if (is_model(name))
        return put(name, path, path_size, error);
    places list;
    list_places(&list);
    char candidate[4096];
    for (size_t i = 0; is_plain(name) && i < list.count; i++)
        if (assay_path_join(candidate, sizeof candidate, list.paths[i], name, NULL) ==
                ASSAY_OK &&
            is_model(candidate))
            return put(candidate, path, path_size, error);
    if (assay_is_folder(name)) /* opening it will tell what it lacks */
        return put(name, path, path_size, error);
    char searched[400] = "";
    for (size_t i = 0, used = 0; i < list.count && used < sizeof searched; i++)
        used += (size_t)snprintf(searched + used, sizeof searched - used, "%s%s",
                                 i > 0 ? ", " : "", list.paths[i]);
    return assay_fail(error, ASSAY_E_NOT_FOUND, name,
                      "no such model: not a folder, and not in %s", searched);
}
