/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c: see memory.h. */
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The first number of a file; false when there is none ("max"). */
static bool read_number(const char *folder, const char *name, uint64_t *out)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    bool found = file != NULL && fscanf(file, "%" SCNu64, out) == 1;
    if (file != NULL)
        fclose(file);
    return found;
}

static uint64_t left_of(const char *folder, const char *limit, const char *used)
{
    uint64_t most, taken;
    if (!read_number(folder, limit, &most) || !read_number(folder, used, &taken))
        return UINT64_MAX;
    return most > taken ? most - taken : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of this process's own group, and of the mount's root, which is the same inside a
 * container. */
static uint64_t cgroup_left(void)
{
    char line[512], folder[600] = "/sys/fs/cgroup";
    FILE *groups = fopen("/proc/self/cgroup", "re");
    while (groups != NULL && fgets(line, sizeof line, groups) != NULL) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", line + 3);
    }
    if (groups != NULL)
        fclose(groups);
    uint64_t own = left_of(folder, "memory.max", "memory.current");
    uint64_t root = left_of("/sys/fs/cgroup", "memory.max", "memory.current");
    uint64_t old = left_of("/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                           "memory.usage_in_bytes");
    return least(least(own, root), old);
}

static uint64_t system_left(void)
{
    char line[128];
    uint64_t kilobytes, bytes = UINT64_MAX;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &kilobytes) == 1)
            bytes = kilobytes * 1024;
    if (file != NULL)
        fclose(file);
    return bytes;
}

uint64_t assay_memory_available(void)
{
    return least(system_left(), cgroup_left());
}

#define HUGE_PAGE (2u << 20)

void *assay_memory_take(uint64_t bytes)
{
    uint64_t unit = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    uint64_t size = (bytes + unit - 1) / unit * unit;
    void *memory = aligned_alloc(unit, size > 0 ? size : unit);
    if (memory == NULL)
        return NULL;
    if (unit == HUGE_PAGE)
        madvise(memory, size, MADV_HUGEPAGE);
    memset(memory, 0, size);
    return memory;
}
