/* SPDX-License-Identifier: Apache-2.0 */
/* lock.c: see lock.h. */
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"

enum { ATTEMPTS = 10 };

/* The process that a line of /proc/locks says to hold a lock on the file; 0: none, or one
 * that cannot be seen from here. */
static long holder_in(const char *line, const struct stat *file)
{
    long process;
    unsigned first, second;
    unsigned long long inode;
    if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%llu", &process, &first, &second, &inode) != 4)
        return 0;
    bool same = inode == file->st_ino && first == major(file->st_dev) &&
                second == minor(file->st_dev);
    return same && process > 0 ? process : 0;
}

static long holder_of(int fd)
{
    struct stat file;
    char line[256];
    long holder = 0;
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL)
        return 0;
    while (fstat(fd, &file) == 0 && holder == 0 && fgets(line, sizeof line, locks) != NULL)
        holder = holder_in(line, &file);
    fclose(locks);
    return holder;
}

static assay_status busy(const char *path, int fd, assay_error *error)
{
    char who[48] = "another process";
    long holder = fd >= 0 ? holder_of(fd) : 0;
    if (holder > 0)
        snprintf(who, sizeof who, "process %ld", holder);
    return assay_fail(error, ASSAY_E_BUSY, path,
                      "%s is writing it: wait until that has ended, or choose another place", who);
}

/* Whether what was opened is what the path names now: its holder may have renamed or
 * removed it before it let go. */
static bool is_still(const char *path, int fd)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

static assay_status lock(const char *path, bool folder, int *out, assay_error *error)
{
    *out = -1;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (folder)
            ASSAY_TRY(assay_folder_make(path, error));
        int fd = open(path, folder ? O_RDONLY | O_DIRECTORY | O_CLOEXEC
                                   : O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0 && folder && errno == ENOENT)
            continue;
        if (fd < 0)
            return assay_fail_errno(error, errno, path, folder ? "cannot open" : "cannot create");
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            assay_status status = busy(path, fd, error);
            close(fd);
            return status;
        }
        if (is_still(path, fd)) {
            *out = fd;
            return ASSAY_OK;
        }
        close(fd);
    }
    return busy(path, -1, error);
}

assay_status assay_lock_file(const char *path, int *out, assay_error *error)
{
    return lock(path, false, out, error);
}

assay_status assay_lock_folder(const char *path, int *out, assay_error *error)
{
    return lock(path, true, out, error);
}

void assay_lock_release(int *held)
{
    if (*held >= 0)
        close(*held);
    *held = -1;
}
