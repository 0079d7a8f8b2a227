/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub.c: assay_pull, a model repository from a hub into a folder.
 *
 * GET <endpoint>/api/models/<repository>/revision/<revision> names a commit and
 * the files; all of them are then fetched from <endpoint>/<repository>/resolve/
 * <commit>/<file>. They are put together in "<folder>.part", which is resumed
 * by the next call, and which takes the folder's place in one step when every
 * file has the size and the checksum that the hub told (SHA-256 for large files,
 * git's blob id for the others). A file that the folder has already is linked,
 * not fetched. "assay-pull.json" in the folder says what it holds and marks it
 * as one that may be replaced.
 */
#include "model/hub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/lock.h"
#include "model/download.h"

#define MANIFEST "assay-pull.json"
#define PATH_SIZE 4096

enum { ANSWER_LIMIT = 64 * 1024 * 1024, MANIFEST_LIMIT = 16 * 1024 * 1024 };

typedef struct pull {
    const char *repository;
    char revision[128]; /* as asked for */
    char endpoint[512];
    char token[512];
    char folder[PATH_SIZE];
    char part[PATH_SIZE]; /* where it is put together */
    int lock;             /* on part */
    assay_download *download;
    assay_hub_listing listing;
    char (*sha256)[65];   /* [listing.count], as found on disk */
    bool same_revision;   /* part was begun for this very commit */
} pull;

/* ---------------------------------------------------------------- settings */

static bool is_name(const char *text, size_t length)
{
    if (length == 0 || length > 96 || text[0] == '.' || text[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (strchr("._-", text[i]) == NULL && !(text[i] >= '0' && text[i] <= '9') &&
            !((text[i] | 32) >= 'a' && (text[i] | 32) <= 'z'))
            return false;
    return true;
}

static assay_status check_repository(const char *repository, assay_error *error)
{
    size_t owner = strcspn(repository, "/");
    bool good = is_name(repository, owner);
    if (good && repository[owner] == '/')
        good = is_name(repository + owner + 1, strlen(repository + owner + 1));
    if (good)
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, "repository",
                      "\"%.100s\": expected owner/name or name, of letters, digits, '.', '_', '-'",
                      repository);
}

static assay_status set_revision(pull *p, const char *asked, assay_error *error)
{
    const char *revision = asked != NULL && asked[0] != '\0' ? asked : "main";
    bool good = strlen(revision) < sizeof p->revision && assay_hub_safe_name(revision);
    for (const char *c = revision; good && *c != '\0'; c++)
        good = *c > 0x20 && *c < 0x7F;
    if (!good)
        return assay_fail(error, ASSAY_E_ARGUMENT, "revision",
                          "\"%.100s\": expected a branch, a tag or a commit", revision);
    snprintf(p->revision, sizeof p->revision, "%s", revision);
    return ASSAY_OK;
}

static const char *first_set(const char *option, const char *variable, const char *otherwise)
{
    if (option != NULL && option[0] != '\0')
        return option;
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

static assay_status set_endpoint(pull *p, const char *option, assay_error *error)
{
    const char *endpoint = first_set(option, "HF_ENDPOINT", "https://huggingface.co");
    size_t length = strlen(endpoint);
    while (length > 0 && endpoint[length - 1] == '/')
        length--;
    bool good = length < sizeof p->endpoint && (strncasecmp(endpoint, "https://", 8) == 0 ||
                                                strncasecmp(endpoint, "http://", 7) == 0);
    for (size_t i = 0; good && i < length; i++)
        good = endpoint[i] > 0x20 && endpoint[i] < 0x7F && strchr("?#", endpoint[i]) == NULL;
    if (!good) /* not shown: it may hold a password */
        return assay_fail(error, ASSAY_E_ARGUMENT, "endpoint",
                          "expected http:// or https:// and a host, in fewer than %zu bytes",
                          sizeof p->endpoint);
    memcpy(p->endpoint, endpoint, length);
    p->endpoint[length] = '\0';
    return ASSAY_OK;
}

static assay_status set_token(pull *p, const char *option, assay_error *error)
{
    const char *token = first_set(option, "HF_TOKEN", "");
    token += strspn(token, " \t\r\n");
    size_t length = strcspn(token, " \t\r\n");
    const char *rest = token + length + strspn(token + length, " \t\r\n");
    bool good = length < sizeof p->token && *rest == '\0';
    for (size_t i = 0; good && i < length; i++)
        good = token[i] > 0x20 && token[i] < 0x7F;
    if (!good) /* never shown */
        return assay_fail(error, ASSAY_E_ARGUMENT, "token",
                          "holds characters that no token has, or is too long (HF_TOKEN)");
    memcpy(p->token, token, length);
    p->token[length] = '\0';
    return ASSAY_OK;
}

static assay_status set_folder(pull *p, const char *option, assay_error *error)
{
    char home[PATH_SIZE], models[PATH_SIZE];
    if (option != NULL && option[0] != '\0') {
        if (strlen(option) >= sizeof p->folder)
            return assay_fail(error, ASSAY_E_LIMIT, "directory", "longer than %zu bytes",
                              sizeof p->folder - 1);
        snprintf(p->folder, sizeof p->folder, "%s", option);
    } else {
        ASSAY_TRY(assay_home(home, sizeof home, error));
        ASSAY_TRY(assay_path_join(models, sizeof models, home, "models", error));
        ASSAY_TRY(assay_path_join(p->folder, sizeof p->folder, models, p->repository, error));
    }
    size_t length = strlen(p->folder);
    while (length > 1 && p->folder[length - 1] == '/')
        p->folder[--length] = '\0';
    if (length + 300 >= sizeof p->part)
        return assay_fail(error, ASSAY_E_LIMIT, "directory", "longer than %zu bytes",
                          sizeof p->part - 301);
    snprintf(p->part, sizeof p->part, "%.*s.part", (int)length, p->folder);
    return ASSAY_OK;
}

static assay_status set_up(pull *p, const assay_pull_options *options, assay_error *error)
{
    ASSAY_TRY(check_repository(p->repository, error));
    ASSAY_TRY(set_revision(p, options->revision, error));
    ASSAY_TRY(set_endpoint(p, options->endpoint, error));
    ASSAY_TRY(set_token(p, options->token, error));
    return set_folder(p, options->directory, error);
}

/* ----------------------------------------------------------------- listing */

/* Appends text as part of a URL's path. */
static void append_escaped(assay_buffer *url, const char *text, const char *keep)
{
    for (const char *c = text; *c != '\0'; c++) {
        bool plain = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') ||
                     strchr("-._~", *c) != NULL || strchr(keep, *c) != NULL;
        if (plain)
            assay_buffer_byte(url, *c);
        else
            assay_buffer_format(url, "%%%02X", (unsigned char)*c);
    }
}

static assay_status fetch_listing(pull *p, assay_error *error)
{
    assay_buffer url, answer;
    assay_buffer_init(&url, 0);
    assay_buffer_init(&answer, ANSWER_LIMIT);
    assay_buffer_format(&url, "%s/api/models/%s/revision/", p->endpoint, p->repository);
    append_escaped(&url, p->revision, "");
    assay_buffer_string(&url, "?blobs=true");
    assay_status status = assay_buffer_status(&url, p->repository, error);
    if (status == ASSAY_OK)
        status = assay_download_text(p->download, url.data, p->repository, &answer, error);
    if (status == ASSAY_OK)
        status = assay_hub_listing_parse(answer.data != NULL ? answer.data : "", answer.length,
                                         p->repository, p->revision, &p->listing, error);
    assay_buffer_free(&url);
    assay_buffer_free(&answer);
    return status;
}

/* ---------------------------------------------------------------- manifest */

/* The manifest of a folder, or NULL when it has none that can be read. */
static json_t *read_manifest(const char *folder)
{
    char path[PATH_SIZE];
    json_t *manifest;
    if (assay_path_join(path, sizeof path, folder, MANIFEST, NULL) != ASSAY_OK ||
        assay_json_read(path, MANIFEST_LIMIT, &manifest, NULL) != ASSAY_OK)
        return NULL;
    return manifest;
}

static json_t *describe_files(const pull *p)
{
    json_t *files = json_array();
    for (size_t i = 0; i < p->listing.count; i++) {
        const assay_hub_file *file = &p->listing.files[i];
        json_array_append_new(files, json_pack("{s:s, s:I, s:s}", "name", file->name, "size",
                                               (json_int_t)file->size, "sha256", p->sha256[i]));
    }
    return files;
}

/* `whole`: every file is there; else the folder is still being put together. */
static assay_status write_manifest(const pull *p, bool whole, assay_error *error)
{
    char path[PATH_SIZE], now[21];
    assay_timestamp(now);
    ASSAY_TRY(assay_path_join(path, sizeof path, p->part, MANIFEST, error));
    json_t *manifest = json_pack("{s:s, s:s, s:s, s:s, s:o}", "repository", p->repository,
                                 "requested", p->revision, "revision", p->listing.revision,
                                 "pulled", now, "files",
                                 whole ? describe_files(p) : json_array());
    char *text = manifest != NULL ? json_dumps(manifest, JSON_INDENT(2)) : NULL;
    json_decref(manifest);
    if (text == NULL)
        return assay_fail_memory(error, 1024);
    assay_new_file file;
    assay_status status = assay_new_file_open(path, &file, error);
    if (status == ASSAY_OK) {
        fprintf(file.stream, "%s\n", text);
        status = assay_new_file_commit(&file, error);
    }
    free(text);
    return status;
}

/* ------------------------------------------------------------------- files */

/* Whether the file at `path` is the one listed. With nothing but a size to go
 * by, `trusted` decides. Its SHA-256 is written on true. */
static bool is_whole(const assay_hub_file *file, const char *path, bool trusted,
                     char sha256[65])
{
    struct stat status;
    assay_checksum sum;
    if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    if (file->size != UINT64_MAX && (uint64_t)status.st_size != file->size)
        return false;
    bool known = file->sha256[0] != '\0' || file->blob[0] != '\0';
    if ((!known && !trusted) || assay_checksum_file(path, &sum, NULL) != ASSAY_OK)
        return false;
    if ((file->sha256[0] != '\0' && strcmp(sum.sha256, file->sha256) != 0) ||
        (file->blob[0] != '\0' && strcmp(sum.blob, file->blob) != 0))
        return false;
    memcpy(sha256, sum.sha256, sizeof sum.sha256);
    return true;
}

static void remove_part(const char *path)
{
    char etag[PATH_SIZE + 32];
    unlink(path);
    int written = snprintf(etag, sizeof etag, "%s.etag", path);
    if (written > 0 && (size_t)written < sizeof etag)
        unlink(etag);
}

/* Says what is wrong with a file that is_whole refused. */
static assay_status wrong_file(const assay_hub_file *file, const char *path, assay_error *error)
{
    assay_checksum sum;
    ASSAY_TRY(assay_checksum_file(path, &sum, error));
    if (file->size != UINT64_MAX && sum.size != file->size)
        return assay_fail(error, ASSAY_E_CORRUPT, file->name,
                          "%llu bytes came, expected %llu; it was removed: pull again",
                          (unsigned long long)sum.size, (unsigned long long)file->size);
    bool large = file->sha256[0] != '\0';
    return assay_fail(error, ASSAY_E_CORRUPT, file->name,
                      "%s of what came is %s, expected %s; it was removed: pull again",
                      large ? "SHA-256" : "git's id", large ? sum.sha256 : sum.blob,
                      large ? file->sha256 : file->blob);
}

/* Makes the folders above part/name. */
static assay_status make_parents(const pull *p, const char *name, assay_error *error)
{
    char path[PATH_SIZE];
    const char *slash = strrchr(name, '/');
    if (slash == NULL)
        return ASSAY_OK;
    int written = snprintf(path, sizeof path, "%s/%.*s", p->part, (int)(slash - name), name);
    if (written < 0 || (size_t)written >= sizeof path)
        return assay_fail(error, ASSAY_E_LIMIT, name, "path too long");
    return assay_folder_make(path, error);
}

/* Downloads into `path` until it is as listed. A wrong outcome after resuming is
 * tried once more from the start: what was there may have been to blame. */
static assay_status download_whole(pull *p, size_t i, const char *url, const char *path,
                                   assay_error *error)
{
    assay_hub_file *file = &p->listing.files[i];
    for (;;) {
        assay_download_reply reply;
        assay_status status = assay_download_file(p->download, url, file->name, path,
                                                  file->size, &reply, error);
        if (status == ASSAY_E_CORRUPT)
            remove_part(path);
        ASSAY_TRY(status);
        if (file->size == UINT64_MAX)
            file->size = reply.size;
        if (file->sha256[0] == '\0' && file->blob[0] == '\0')
            memcpy(file->sha256, reply.sha256, sizeof file->sha256);
        if (is_whole(file, path, true, p->sha256[i]))
            return ASSAY_OK;
        if (!reply.resumed) {
            status = wrong_file(file, path, error);
            remove_part(path);
            return status;
        }
        remove_part(path);
    }
}

static assay_status fetch_file(pull *p, size_t i, const char *target, assay_error *error)
{
    const assay_hub_file *file = &p->listing.files[i];
    char part[PATH_SIZE + 8];
    snprintf(part, sizeof part, "%s.part", target);
    bool known = file->sha256[0] != '\0' || file->blob[0] != '\0';
    if (!known && !p->same_revision)
        remove_part(part);
    assay_status status = ASSAY_OK;
    if (!is_whole(file, part, false, p->sha256[i])) {
        assay_buffer url;
        assay_buffer_init(&url, 0);
        assay_buffer_format(&url, "%s/%s/resolve/", p->endpoint, p->repository);
        append_escaped(&url, p->listing.revision, "");
        assay_buffer_byte(&url, '/');
        append_escaped(&url, file->name, "/");
        status = assay_buffer_status(&url, file->name, error);
        if (status == ASSAY_OK)
            status = download_whole(p, i, url.data, part, error);
        assay_buffer_free(&url);
    }
    if (status == ASSAY_OK && rename(part, target) != 0)
        return assay_fail_errno(error, errno, target, "cannot rename into place");
    if (status == ASSAY_OK)
        remove_part(part);
    return status;
}

/* Brings file i into the part folder: it is there, or the old folder has it, or
 * it is fetched. */
static assay_status bring_file(pull *p, size_t i, bool folder_same, assay_error *error)
{
    assay_hub_file *file = &p->listing.files[i];
    char target[PATH_SIZE], old[PATH_SIZE];
    ASSAY_TRY(assay_path_join(target, sizeof target, p->part, file->name, error));
    ASSAY_TRY(assay_path_join(old, sizeof old, p->folder, file->name, error));
    ASSAY_TRY(make_parents(p, file->name, error));
    if (!is_whole(file, target, p->same_revision, p->sha256[i])) {
        unlink(target);
        if (!is_whole(file, old, folder_same, p->sha256[i]) || link(old, target) != 0)
            ASSAY_TRY(fetch_file(p, i, target, error));
    }
    struct stat status;
    if (file->size == UINT64_MAX && stat(target, &status) == 0)
        file->size = (uint64_t)status.st_size;
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ folder */

/* Whether a manifest is of this repository at the commit that was listed. */
static bool is_of_commit(const pull *p, const json_t *manifest)
{
    const char *revision = json_string_value(json_object_get(manifest, "revision"));
    const char *repository = json_string_value(json_object_get(manifest, "repository"));
    return revision != NULL && repository != NULL &&
           strcmp(revision, p->listing.revision) == 0 && strcmp(repository, p->repository) == 0;
}

/* Where the files of the manifest have the checksums it tells, and the listing
 * tells none, those are what to hold the folder to. */
static void take_known_sums(pull *p, const json_t *manifest)
{
    size_t i;
    const json_t *entry;
    json_array_foreach (json_object_get(manifest, "files"), i, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        const char *sum = json_string_value(json_object_get(entry, "sha256"));
        for (size_t j = 0; name != NULL && sum != NULL && j < p->listing.count; j++) {
            assay_hub_file *file = &p->listing.files[j];
            if (strcmp(file->name, name) == 0 && file->sha256[0] == '\0' &&
                file->blob[0] == '\0' && strlen(sum) == 64)
                memcpy(file->sha256, sum, 65);
        }
    }
}

static bool is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    bool empty = true;
    for (struct dirent *entry; empty && (entry = readdir(folder)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(folder);
    return empty;
}

/* Refuses a folder that holds something else than an earlier pull. */
static assay_status check_folder(const pull *p, json_t **manifest, assay_error *error)
{
    struct stat status;
    *manifest = read_manifest(p->folder);
    const char *held = json_string_value(json_object_get(*manifest, "repository"));
    if (held != NULL && strcmp(held, p->repository) != 0) {
        assay_fail(error, ASSAY_E_ARGUMENT, p->folder,
                   "holds the model %.200s: remove it, or choose another directory", held);
        json_decref(*manifest);
        return ASSAY_E_ARGUMENT;
    }
    if (*manifest != NULL || lstat(p->folder, &status) != 0 || is_empty_folder(p->folder))
        return ASSAY_OK;
    return assay_fail(error, ASSAY_E_ARGUMENT, p->folder,
                      "exists and was not made by assay pull (it has no " MANIFEST
                      "): remove it, or choose another directory");
}

/* Whether every listed file lies in the folder as it should. */
static bool is_complete(pull *p)
{
    char path[PATH_SIZE];
    for (size_t i = 0; i < p->listing.count; i++)
        if (assay_path_join(path, sizeof path, p->folder, p->listing.files[i].name, NULL) !=
                ASSAY_OK ||
            !is_whole(&p->listing.files[i], path, false, p->sha256[i]))
            return false;
    return true;
}

/* The part folder may be left from an earlier call, of this commit or another. */
static assay_status begin_part(pull *p, assay_error *error)
{
    ASSAY_TRY(assay_lock_folder(p->part, &p->lock, error));
    json_t *manifest = read_manifest(p->part);
    p->same_revision = manifest != NULL && is_of_commit(p, manifest);
    json_decref(manifest);
    return p->same_revision ? ASSAY_OK : write_manifest(p, false, error);
}

/* Size of folder/name with the suffix; 0 when it is not there. */
static uint64_t size_below(const char *folder, const char *name, const char *suffix)
{
    char path[PATH_SIZE + 32];
    struct stat status;
    int written = snprintf(path, sizeof path, "%s/%s%s", folder, name, suffix);
    bool fits = written > 0 && (size_t)written < sizeof path;
    return fits && stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* What is there in part counts as had: this is to fail early, not to be exact. */
static assay_status check_space(const pull *p, assay_error *error)
{
    struct statvfs space;
    uint64_t needed = 0;
    for (size_t i = 0; i < p->listing.count; i++) {
        const assay_hub_file *file = &p->listing.files[i];
        uint64_t here = size_below(p->folder, file->name, "") +
                        size_below(p->part, file->name, "") +
                        size_below(p->part, file->name, ".part");
        if (file->size != UINT64_MAX && file->size > here)
            needed += file->size - here;
    }
    if (statvfs(p->part, &space) != 0)
        return ASSAY_OK;
    uint64_t left = (uint64_t)space.f_bavail * space.f_frsize;
    if (needed > left)
        return assay_fail(error, ASSAY_E_FULL, p->part, "needs %llu MB, %llu MB are free",
                          (unsigned long long)(needed / 1000000),
                          (unsigned long long)(left / 1000000));
    return ASSAY_OK;
}

static bool is_listed(const pull *p, const char *name)
{
    if (strcmp(name, MANIFEST) == 0)
        return true;
    for (size_t i = 0; i < p->listing.count; i++)
        if (strcmp(p->listing.files[i].name, name) == 0)
            return true;
    return false;
}

/* Removes from the part folder what another revision left there. */
static void prune_part(const pull *p)
{
    char *const roots[] = {(char *)(uintptr_t)p->part, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    if (walk == NULL)
        return;
    for (FTSENT *entry; (entry = fts_read(walk)) != NULL;) {
        if (entry->fts_level == 0 || entry->fts_info == FTS_D)
            continue;
        if (entry->fts_info == FTS_DP)
            (void)rmdir(entry->fts_accpath); /* when it is empty */
        else if (!is_listed(p, entry->fts_path + strlen(p->part) + 1))
            (void)unlink(entry->fts_accpath);
    }
    fts_close(walk);
}

/* Removes the files that the manifest names, and folders then empty. */
static void remove_pulled(const char *folder, const json_t *manifest)
{
    char path[PATH_SIZE];
    size_t i;
    const json_t *entry;
    json_array_foreach (json_object_get(manifest, "files"), i, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (name == NULL || !assay_hub_safe_name(name) ||
            assay_path_join(path, sizeof path, folder, name, NULL) != ASSAY_OK)
            continue;
        (void)unlink(path);
        char *slash = strrchr(path, '/');
        if (strchr(name, '/') != NULL && slash != NULL) {
            *slash = '\0';
            (void)rmdir(path);
        }
    }
    if (assay_path_join(path, sizeof path, folder, MANIFEST, NULL) == ASSAY_OK)
        (void)unlink(path);
}

/* Moves what a user added to the old folder into the new one. What has a
 * namesake there stays behind. */
static void move_rest(const char *from, const char *to)
{
    DIR *folder = opendir(from);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char old[PATH_SIZE], new[PATH_SIZE];
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            assay_path_join(old, sizeof old, from, entry->d_name, NULL) == ASSAY_OK &&
            assay_path_join(new, sizeof new, to, entry->d_name, NULL) == ASSAY_OK)
            (void)renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE);
    }
    closedir(folder);
}

/* Puts the part folder where the old one was. */
static assay_status swap_in(const pull *p, const json_t *old, assay_error *error)
{
    char aside[PATH_SIZE + 16];
    if (rename(p->part, p->folder) == 0) /* nothing there, or an empty folder */
        return ASSAY_OK;
    snprintf(aside, sizeof aside, "%s.old-%ld", p->folder, (long)getpid());
    if (renameat2(AT_FDCWD, p->part, AT_FDCWD, p->folder, RENAME_EXCHANGE) == 0) {
        if (rename(p->part, aside) != 0)
            return assay_fail_errno(error, errno, p->part, "cannot rename");
    } else {
        /* A file system without exchange: in two steps. */
        if (rename(p->folder, aside) != 0)
            return assay_fail_errno(error, errno, p->folder, "cannot rename");
        if (rename(p->part, p->folder) != 0) {
            int reason = errno;
            (void)rename(aside, p->folder);
            return assay_fail_errno(error, reason, p->folder, "cannot rename into place");
        }
    }
    remove_pulled(aside, old);
    move_rest(aside, p->folder);
    (void)rmdir(aside); /* unless something stayed behind */
    return ASSAY_OK;
}

static assay_status assemble(pull *p, const json_t *old, assay_error *error)
{
    bool folder_same = old != NULL && is_of_commit(p, old);
    ASSAY_TRY(begin_part(p, error));
    ASSAY_TRY(check_space(p, error));
    for (size_t i = 0; i < p->listing.count; i++)
        ASSAY_TRY(bring_file(p, i, folder_same, error));
    prune_part(p);
    ASSAY_TRY(write_manifest(p, true, error));
    return swap_in(p, old, error);
}

static assay_status pull_all(pull *p, assay_error *error)
{
    json_t *manifest = NULL;
    ASSAY_TRY(check_folder(p, &manifest, error));
    assay_status status = fetch_listing(p, error);
    if (status == ASSAY_OK) {
        p->sha256 = calloc(p->listing.count, sizeof *p->sha256);
        if (p->sha256 == NULL)
            status = assay_fail_memory(error, p->listing.count * sizeof *p->sha256);
    }
    if (status == ASSAY_OK) {
        bool same = manifest != NULL && is_of_commit(p, manifest);
        if (same)
            take_known_sums(p, manifest);
        if (!same || !is_complete(p))
            status = assemble(p, manifest, error);
    }
    json_decref(manifest);
    return status;
}

assay_status assay_pull(const char *repository, const assay_pull_options *options,
                        assay_progress_fn progress, void *user, char *path, size_t path_size,
                        assay_error *error)
{
    static const assay_pull_options defaults = {0};
    pull *p = calloc(1, sizeof *p);
    if (p == NULL)
        return assay_fail_memory(error, sizeof *p);
    p->repository = repository;
    p->lock = -1;
    assay_status status = set_up(p, options != NULL ? options : &defaults, error);
    if (status == ASSAY_OK && strlen(p->folder) >= path_size)
        status = assay_fail(error, ASSAY_E_LIMIT, "path", "the folder's path has %zu bytes",
                            strlen(p->folder));
    if (status == ASSAY_OK)
        status = assay_download_new(p->token, progress, user, &p->download, error);
    if (status == ASSAY_OK)
        status = pull_all(p, error);
    if (status == ASSAY_OK)
        snprintf(path, path_size, "%s", p->folder);
    assay_lock_release(&p->lock);
    assay_download_free(p->download);
    assay_hub_listing_free(&p->listing);
    free(p->sha256);
    explicit_bzero(p, sizeof *p);
    free(p);
    return status;
}
