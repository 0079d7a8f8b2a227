/* SPDX-License-Identifier: Apache-2.0 */
/* library.c: see library.h. */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

assay_status assay_library_load(const char *library, const char *const *names, size_t count,
                                void *table, assay_error *error)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle != NULL && i < count; i++) {
        void *address = dlsym(handle, names[i]);
        if (address == NULL)
            handle = NULL; /* stays loaded: what it started cannot be stopped */
        memcpy((char *)table + i * sizeof address, &address, sizeof address);
    }
    if (handle != NULL)
        return ASSAY_OK;
    const char *reason = dlerror();
    return assay_fail(error, ASSAY_E_UNSUPPORTED, library, "cannot be loaded: %s",
                      reason != NULL ? reason : "unknown reason");
}
