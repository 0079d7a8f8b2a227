/* SPDX-License-Identifier: Apache-2.0 */
/* home.c: where the data directory lies, after the XDG Base Directory
 * Specification. A relative path in the environment is the user's own choice in
 * $ASSAY_HOME and is ignored in $XDG_DATA_HOME, as that specification says. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

assay_status assay_home(char *path, size_t path_size, assay_error *error)
{
    if (path == NULL || path_size == 0)
        return assay_fail(error, ASSAY_E_ARGUMENT, "path", "expected a buffer");
    const char *set = getenv("ASSAY_HOME");
    if (set != NULL && set[0] != '\0') {
        if (strlen(set) >= path_size)
            return assay_fail(error, ASSAY_E_LIMIT, "ASSAY_HOME", "longer than %zu bytes",
                              path_size - 1);
        memcpy(path, set, strlen(set) + 1);
        return ASSAY_OK;
    }
    const char *data = getenv("XDG_DATA_HOME");
    if (data != NULL && data[0] == '/')
        return assay_path_join(path, path_size, data, "assay", error);
    const char *user = getenv("HOME");
    if (user == NULL || user[0] != '/')
        return assay_fail(error, ASSAY_E_NOT_FOUND, "HOME",
                          "not set, so there is no place for the data directory: set ASSAY_HOME");
    return assay_path_join(path, path_size, user, ".local/share/assay", error);
}
