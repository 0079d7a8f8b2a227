/* SPDX-License-Identifier: Apache-2.0 */
/* status.h: how functions fail. */
#ifndef ASSAY_STATUS_H
#define ASSAY_STATUS_H

#include <assay.h>

/* Fills in *error (which may be NULL) and returns `code`, so that failing is
 * one statement:  return assay_fail(error, ASSAY_E_FORMAT, path, "...", ...);
 * `where` names file, line or field and may be NULL. Long texts are cut at a
 * character, with "...". */
assay_status assay_fail(assay_error *error, assay_status code, const char *where,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* As assay_fail for a failed system call: ENOENT becomes NOT_FOUND, ENOSPC and
 * EDQUOT FULL, ENOMEM MEMORY, the rest IO. `action` reads like "cannot open". */
assay_status assay_fail_errno(assay_error *error, int errno_value, const char *where,
                              const char *action);

assay_status assay_fail_memory(assay_error *error, size_t bytes);

/* Puts "prefix: " before error->where, to tell which file a field was in. */
void assay_error_prefix(assay_error *error, const char *prefix);

/* Passes a failure on to the caller. Where something must be freed first, use
 * `if ((status = f()) != ASSAY_OK) goto done;` instead. */
#define ASSAY_TRY(expression)                         \
    do {                                              \
        assay_status try_status_ = (expression);      \
        if (try_status_ != ASSAY_OK)                  \
            return try_status_;                       \
    } while (0)

#endif
