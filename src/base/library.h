/* SPDX-License-Identifier: Apache-2.0 */
/*
 * library.h: shared libraries loaded when they are first needed.
 *
 * Linking to libcurl and poppler brings seventy more libraries into every
 * process, which takes longer to load than a search does. A file that needs one
 * lists the functions it calls,
 *
 *     #define FUNCTIONS(F) F(curl_easy_init) F(curl_easy_perform)
 *     static struct { FUNCTIONS(ASSAY_LATE_FIELD) } late;
 *     static const char *const names[] = {FUNCTIONS(ASSAY_LATE_NAME)};
 *
 * loads them, and calls late.curl_easy_init().
 */
#ifndef ASSAY_LIBRARY_H
#define ASSAY_LIBRARY_H

#include "base/status.h"

#define ASSAY_LATE_FIELD(name) __typeof__(name) *name;
#define ASSAY_LATE_NAME(name) #name,

/* Puts the addresses of count functions into table, an array of pointers or a
 * struct of nothing else. UNSUPPORTED, saying why, when the library or one of
 * them is not there. Not safe against itself: pthread_once. */
assay_status assay_library_load(const char *library, const char *const *names, size_t count,
                                void *table, assay_error *error);

#endif
