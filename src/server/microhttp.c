/* SPDX-License-Identifier: Apache-2.0 */
/* microhttp.c: see microhttp.h. The name carries the ABI that the header is of. */
#include "server/microhttp.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libmicrohttpd.so.12"

assay_http_library assay_http;

assay_status assay_http_load(assay_error *error)
{
#define NAME(name) #name,
    static const char *const names[] = {ASSAY_HTTP_FUNCTIONS(NAME)};
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle != NULL && i < sizeof names / sizeof *names; i++) {
        void *address = dlsym(handle, names[i]);
        memcpy((char *)&assay_http + i * sizeof address, &address, sizeof address);
        if (address == NULL)
            handle = NULL; /* stays loaded, unused */
    }
    if (handle != NULL)
        return ASSAY_OK;
    const char *reason = dlerror();
    *error = (assay_error){.code = ASSAY_E_UNSUPPORTED, .where = LIBRARY};
    snprintf(error->message, sizeof error->message,
             "cannot be loaded, and serving needs it (package libmicrohttpd12): %s",
             reason != NULL ? reason : "unknown reason");
    return ASSAY_E_UNSUPPORTED;
}
