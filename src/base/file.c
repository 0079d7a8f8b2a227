/* SPDX-License-Identifier: Apache-2.0 */
/* file.c: see file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Opens a regular file for reading and tells its size. */
static assay_status open_regular(const char *path, int *fd, size_t *size, assay_error *error)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return assay_fail_errno(error, errno, path, "cannot open");
    struct stat status;
    if (fstat(*fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(*fd);
        return assay_fail(error, ASSAY_E_IO, path, "not a regular file");
    }
    *size = (size_t)status.st_size;
    return ASSAY_OK;
}

assay_status assay_map_open(const char *path, assay_mapping *out, assay_error *error)
{
    int fd;
    size_t size;
    ASSAY_TRY(open_regular(path, &fd, &size, error));
    void *data = NULL;
    if (size > 0)
        data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    int reason = errno;
    close(fd);
    if (data == MAP_FAILED)
        return assay_fail_errno(error, reason, path, "cannot map");
    *out = (assay_mapping){.data = data, .size = size};
    return ASSAY_OK;
}

void assay_map_close(assay_mapping *mapping)
{
    if (mapping->data != NULL)
        munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (assay_mapping){0};
}

assay_status assay_file_read(const char *path, assay_buffer *out, assay_error *error)
{
    int fd;
    size_t size;
    ASSAY_TRY(open_regular(path, &fd, &size, error));
    assay_status status = ASSAY_OK;
    for (;;) {
        /* At the limit one byte more is asked for: it must not be there. */
        size_t want = size > 0 ? size : 64 * 1024;
        if (out->limit > 0 && want > out->limit - out->length)
            want = out->limit - out->length;
        char beyond;
        char *room = want > 0 ? assay_buffer_room(out, want) : &beyond;
        if (room == NULL) {
            status = assay_buffer_status(out, path, error);
            break;
        }
        ssize_t got = read(fd, room, want > 0 ? want : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = assay_fail_errno(error, errno, path, "cannot read");
        if (got > 0 && want == 0)
            status = assay_fail(error, ASSAY_E_LIMIT, path,
                                "larger than the limit of %zu bytes", out->limit);
        if (got <= 0 || want == 0)
            break;
        out->length += (size_t)got;
        out->data[out->length] = '\0';
        size = 0;
    }
    close(fd);
    return status;
}

/* ------------------------------------------------------------- new files */

enum { ABANDONED_SECONDS = 10 };

/* Whether nobody writes the file any more: its writer holds a lock on it. One that was
 * just made may be about to be locked. */
static bool abandoned(int folder, const char *name)
{
    struct stat status;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool result = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                  time(NULL) - status.st_mtime >= ABANDONED_SECONDS &&
                  flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return result;
}

/* Whether it is the name of what is written aside for a file of this name. */
static bool is_aside(const char *entry, const char *name)
{
    size_t length = strlen(name), size = strlen(entry);
    if (size < length + 6 || strncmp(entry, name, length) != 0 || entry[length] != '.' ||
        strcmp(entry + size - 4, ".new") != 0)
        return false;
    return strspn(entry + length, ".0123456789") == size - length - 3;
}

/* Removes what processes that were killed have left beside the path. */
static void sweep(const char *path)
{
    const char *name = assay_path_name(path);
    char *folder = strndup(path, (size_t)(name - path));
    DIR *listing = folder != NULL ? opendir(*folder != '\0' ? folder : ".") : NULL;
    const struct dirent *entry;
    while (listing != NULL && (entry = readdir(listing)) != NULL)
        if (is_aside(entry->d_name, name) && abandoned(dirfd(listing), entry->d_name))
            unlinkat(dirfd(listing), entry->d_name, 0);
    if (listing != NULL)
        closedir(listing);
    free(folder);
}

assay_status assay_new_file_open(const char *path, assay_new_file *out, assay_error *error)
{
    static atomic_uint number;
    *out = (assay_new_file){0};
    sweep(path);
    if (asprintf(&out->temporary, "%s.%ld.%u.new", path, (long)getpid(),
                 atomic_fetch_add(&number, 1)) < 0)
        out->temporary = NULL;
    out->path = strdup(path);
    if (out->temporary == NULL || out->path == NULL) {
        assay_new_file_abort(out);
        return assay_fail_memory(error, strlen(path) + 32);
    }
    out->stream = fopen(out->temporary, "wbe");
    if (out->stream == NULL) {
        assay_status status = assay_fail_errno(error, errno, out->temporary, "cannot create");
        free(out->temporary);
        out->temporary = NULL;
        assay_new_file_abort(out);
        return status;
    }
    flock(fileno(out->stream), LOCK_EX | LOCK_NB); /* given up with the file */
    return ASSAY_OK;
}

assay_status assay_new_file_write(assay_new_file *file, const void *data, size_t size,
                                  assay_error *error)
{
    if (size > 0 && fwrite(data, size, 1, file->stream) != 1)
        return assay_fail_errno(error, errno, file->path, "cannot write");
    return ASSAY_OK;
}

assay_status assay_new_file_commit(assay_new_file *file, assay_error *error)
{
    bool failed = fflush(file->stream) != 0 || ferror(file->stream) ||
                  fsync(fileno(file->stream)) != 0;
    int reason = errno;
    failed = fclose(file->stream) != 0 || failed;
    file->stream = NULL;
    if (!failed && rename(file->temporary, file->path) != 0) {
        failed = true;
        reason = errno;
    }
    assay_status status = ASSAY_OK;
    if (failed) {
        status = assay_fail_errno(error, reason, file->path, "cannot write");
    } else {
        free(file->temporary);
        file->temporary = NULL;
    }
    assay_new_file_abort(file);
    return status;
}

void assay_new_file_abort(assay_new_file *file)
{
    if (file->stream != NULL)
        fclose(file->stream);
    if (file->temporary != NULL)
        unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    *file = (assay_new_file){0};
}

assay_status assay_file_write(const char *path, const void *data, size_t size,
                              assay_error *error)
{
    assay_new_file file;
    ASSAY_TRY(assay_new_file_open(path, &file, error));
    assay_status status = assay_new_file_write(&file, data, size, error);
    if (status == ASSAY_OK)
        return assay_new_file_commit(&file, error);
    assay_new_file_abort(&file);
    return status;
}

assay_status assay_file_copy(const char *path, FILE *out, assay_error *error)
{
    FILE *in = fopen(path, "rbe");
    if (in == NULL)
        return assay_fail_errno(error, errno, path, "cannot open");
    char buffer[64 * 1024];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, in)) > 0 && !ferror(out))
        fwrite(buffer, 1, got, out);
    assay_status status = ASSAY_OK;
    if (ferror(in))
        status = assay_fail_errno(error, errno, path, "cannot read");
    fclose(in);
    return status;
}

assay_status assay_path_join(char *path, size_t size, const char *folder, const char *name,
                             assay_error *error)
{
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    int written = snprintf(path, size, "%s%s%s", folder, slash, name);
    if (written < 0 || (size_t)written >= size)
        return assay_fail(error, ASSAY_E_LIMIT, folder, "path longer than %zu bytes", size - 1);
    return ASSAY_OK;
}

assay_status assay_folder_make(const char *path, assay_error *error)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return assay_fail_memory(error, strlen(path) + 1);
    assay_status status = ASSAY_OK;
    for (char *end = copy + 1; status == ASSAY_OK; end++) {
        if (*end != '/' && *end != '\0')
            continue;
        char kept = *end;
        *end = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = assay_fail_errno(error, errno, copy, "cannot make folder");
        *end = kept;
        if (kept == '\0')
            break;
    }
    free(copy);
    if (status == ASSAY_OK && !assay_is_folder(path))
        return assay_fail(error, ASSAY_E_IO, path, "exists and is not a folder");
    return status;
}

bool assay_is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool assay_is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

const char *assay_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}
