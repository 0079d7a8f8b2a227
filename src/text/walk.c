/* SPDX-License-Identifier: Apache-2.0 */
/* walk.c: see walk.h. What is left out and what is followed: see reader.h. */
#include "text/walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/file.h"
#include "text/reader.h"

#define PATH_LIMIT 65536   /* bytes of a path, in case links build endless ones */
#define FOLDER_DEPTH 1024  /* folders inside folders */

/* A folder that is open: its names and where its own path ends. */
typedef struct level {
    char **names;
    size_t count, next;
    size_t prefix; /* length of its path; 0 for ".", whose entries stand alone */
} level;

typedef struct place {
    dev_t device;
    ino_t inode;
} place;

struct assay_walk {
    char **roots;
    size_t root_count, next_root;
    level levels[FOLDER_DEPTH];
    size_t depth;
    place *seen; /* every folder walked so far: a link to one of them is passed
                    over, which ends loops too, for every loop has a link */
    size_t seen_count, seen_capacity;
    assay_buffer path;
    uint64_t skipped;
};

static const struct {
    const char *ending;
    assay_file_kind kind;
} endings[] = {
    {"txt", ASSAY_FILE_TEXT},      {"text", ASSAY_FILE_TEXT},
    {"rst", ASSAY_FILE_TEXT},      {"md", ASSAY_FILE_MARKDOWN},
    {"markdown", ASSAY_FILE_MARKDOWN}, {"html", ASSAY_FILE_HTML},
    {"htm", ASSAY_FILE_HTML},      {"xhtml", ASSAY_FILE_HTML},
    {"jsonl", ASSAY_FILE_JSONL},   {"ndjson", ASSAY_FILE_JSONL},
    {"pdf", ASSAY_FILE_PDF},
};

assay_file_kind assay_file_kind_of(const char *path)
{
    const char *dot = strrchr(assay_path_name(path), '.');
    for (size_t i = 0; dot != NULL && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot + 1, endings[i].ending) == 0)
            return endings[i].kind;
    return ASSAY_FILE_OTHER;
}

/* "a//b/./c/" becomes "a/b/c", "./" becomes ".", in place. */
void assay_path_clean(char *path)
{
    char *out = path;
    const char *at = path;
    if (*at == '/')
        *out++ = *at++;
    while (*at != '\0') {
        size_t length = strcspn(at, "/");
        if (length > 0 && !(length == 1 && at[0] == '.')) {
            if (out > path && out[-1] != '/')
                *out++ = '/';
            memmove(out, at, length);
            out += length;
        }
        at += length;
        at += strspn(at, "/");
    }
    if (out == path)
        *out++ = '.';
    *out = '\0';
}

assay_status assay_walk_open(const char *const *paths, size_t count, assay_walk **out,
                             assay_error *error)
{
    assay_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL)
        return assay_fail_memory(error, sizeof *walk);
    assay_buffer_init(&walk->path, PATH_LIMIT);
    walk->roots = calloc(count > 0 ? count : 1, sizeof *walk->roots);
    for (size_t i = 0; walk->roots != NULL && i < count; i++) {
        walk->roots[i] = strdup(paths[i]);
        if (walk->roots[i] == NULL)
            break;
        assay_path_clean(walk->roots[i]);
        walk->root_count = i + 1;
    }
    if (walk->roots == NULL || walk->root_count < count) {
        assay_walk_close(walk);
        return assay_fail_memory(error, count * sizeof *walk->roots);
    }
    *out = walk;
    return ASSAY_OK;
}

static void close_level(assay_walk *walk)
{
    level *last = &walk->levels[--walk->depth];
    for (size_t i = last->next; i < last->count; i++)
        free(last->names[i]);
    free(last->names);
}

void assay_walk_close(assay_walk *walk)
{
    if (walk == NULL)
        return;
    while (walk->depth > 0)
        close_level(walk);
    for (size_t i = 0; i < walk->root_count; i++)
        free(walk->roots[i]);
    free(walk->roots);
    free(walk->seen);
    assay_buffer_free(&walk->path);
    free(walk);
}

uint64_t assay_walk_skipped(const assay_walk *walk)
{
    return walk->skipped;
}

/* --------------------------------------------------------------- folders */

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int compare_places(const void *a, const void *b)
{
    const place *left = a, *right = b;
    if (left->device != right->device)
        return left->device < right->device ? -1 : 1;
    return left->inode < right->inode ? -1 : left->inode > right->inode;
}

/* Index of the place in walk->seen, which is sorted, or where it belongs. */
static size_t find_place(const assay_walk *walk, const place *wanted, bool *found)
{
    size_t low = 0, high = walk->seen_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_places(&walk->seen[middle], wanted);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

static bool was_seen(const assay_walk *walk, const struct stat *status)
{
    bool found;
    find_place(walk, &(place){status->st_dev, status->st_ino}, &found);
    return found;
}

static assay_status remember(assay_walk *walk, const struct stat *status, assay_error *error)
{
    place here = {status->st_dev, status->st_ino};
    bool found;
    size_t at = find_place(walk, &here, &found);
    if (found)
        return ASSAY_OK;
    if (walk->seen_count == walk->seen_capacity) {
        size_t capacity = walk->seen_capacity > 0 ? 2 * walk->seen_capacity : 64;
        place *grown = realloc(walk->seen, capacity * sizeof *grown);
        if (grown == NULL)
            return assay_fail_memory(error, capacity * sizeof *grown);
        walk->seen = grown;
        walk->seen_capacity = capacity;
    }
    memmove(walk->seen + at + 1, walk->seen + at, (walk->seen_count - at) * sizeof here);
    walk->seen[at] = here;
    walk->seen_count++;
    return ASSAY_OK;
}

static assay_status enter_folder(assay_walk *walk, const struct stat *status,
                                 assay_error *error)
{
    if (walk->depth == FOLDER_DEPTH)
        return assay_fail(error, ASSAY_E_LIMIT, walk->path.data, "more than %d folders deep",
                          FOLDER_DEPTH);
    ASSAY_TRY(remember(walk, status, error));
    struct dirent **entries;
    int count = scandir(walk->path.data, &entries, is_visible, compare_names);
    if (count < 0)
        return assay_fail_errno(error, errno, walk->path.data, "cannot read folder");
    /* The names alone: an entry is several times its name. */
    char **names = calloc(count > 0 ? (size_t)count : 1, sizeof *names);
    bool whole = names != NULL;
    for (int i = 0; i < count; i++) {
        if (whole)
            whole = (names[i] = strdup(entries[i]->d_name)) != NULL;
        free(entries[i]);
    }
    free(entries);
    if (!whole) {
        for (int i = 0; names != NULL && i < count; i++)
            free(names[i]);
        free(names);
        return assay_fail_memory(error, (size_t)count * 64);
    }
    walk->levels[walk->depth++] = (level){
        .names = names,
        .count = (size_t)count,
        .prefix = strcmp(walk->path.data, ".") == 0 ? 0 : walk->path.length,
    };
    return ASSAY_OK;
}

static void cut_path(assay_walk *walk, size_t length)
{
    walk->path.failed = ASSAY_OK;
    walk->path.length = length;
}

static void append_name(assay_walk *walk, const char *name)
{
    if (walk->path.length > 0 && walk->path.data[walk->path.length - 1] != '/')
        assay_buffer_byte(&walk->path, '/');
    assay_buffer_string(&walk->path, name);
}

/* Makes walk->path the next candidate: an entry of the open folder, else the
 * next root. False at the end. */
static bool next_path(assay_walk *walk, bool *is_root)
{
    while (walk->depth > 0 && walk->levels[walk->depth - 1].next ==
                                  walk->levels[walk->depth - 1].count)
        close_level(walk);
    *is_root = walk->depth == 0;
    cut_path(walk, *is_root ? 0 : walk->levels[walk->depth - 1].prefix);
    if (*is_root) {
        if (walk->next_root == walk->root_count)
            return false;
        assay_buffer_string(&walk->path, walk->roots[walk->next_root++]);
        return true;
    }
    level *open = &walk->levels[walk->depth - 1];
    char *name = open->names[open->next++];
    append_name(walk, name);
    free(name);
    return true;
}

/* Enters a folder; of a BEIR folder only the corpus is taken: path and status
 * become the file's, and *is_file is set. */
static assay_status visit_folder(assay_walk *walk, bool is_root, struct stat *status,
                                 bool *is_file, assay_error *error)
{
    struct stat link;
    bool linked = !is_root && lstat(walk->path.data, &link) == 0 && S_ISLNK(link.st_mode);
    if (linked && was_seen(walk, status))
        return ASSAY_OK;
    if (!assay_is_beir_folder(walk->path.data))
        return enter_folder(walk, status, error);
    ASSAY_TRY(remember(walk, status, error));
    if (strcmp(walk->path.data, ".") == 0)
        cut_path(walk, 0);
    append_name(walk, "corpus.jsonl");
    ASSAY_TRY(assay_buffer_status(&walk->path, NULL, error));
    if (stat(walk->path.data, status) != 0)
        return assay_fail_errno(error, errno, walk->path.data, "cannot open");
    *is_file = true;
    return ASSAY_OK;
}

assay_walking assay_walk_next(assay_walk *walk, assay_walked *file, assay_error *error)
{
    bool is_root;
    while (next_path(walk, &is_root)) {
        if (assay_buffer_status(&walk->path, "path", error) != ASSAY_OK)
            return ASSAY_WALK_FAILURE;
        const char *path = walk->path.data;
        if (is_root && strcmp(path, "-") == 0) {
            *file = (assay_walked){path, ASSAY_FILE_JSONL, 0};
            return ASSAY_WALK_FILE;
        }
        struct stat status;
        if (stat(path, &status) != 0) {
            assay_fail_errno(error, errno, path, "cannot open");
            return ASSAY_WALK_FAILURE;
        }
        bool is_file = false;
        if (S_ISDIR(status.st_mode)) {
            if (visit_folder(walk, is_root, &status, &is_file, error) != ASSAY_OK)
                return ASSAY_WALK_FAILURE;
            if (!is_file)
                continue;
            path = walk->path.data;
        }
        assay_file_kind kind = assay_file_kind_of(path);
        if (!is_root && !is_file && (kind == ASSAY_FILE_OTHER || !S_ISREG(status.st_mode))) {
            walk->skipped++;
            continue;
        }
        *file = (assay_walked){path, kind, (uint64_t)status.st_size};
        return ASSAY_WALK_FILE;
    }
    return ASSAY_WALK_END;
}
