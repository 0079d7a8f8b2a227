/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl.h: libcurl, loaded when it is first needed (library.h), and what every use
 * of it here has in common: which protocols, no signals, what is worth another try.
 */
#ifndef ASSAY_CURL_H
#define ASSAY_CURL_H

#define CURL_DISABLE_TYPECHECK /* its macros know no pointers to functions */
#include <curl/curl.h>
#include <signal.h>

#include "base/library.h"

#define ASSAY_CURL_FUNCTIONS(F)                                                          \
    F(curl_global_init) F(curl_easy_init) F(curl_easy_cleanup) F(curl_easy_reset)        \
    F(curl_easy_setopt) F(curl_easy_perform) F(curl_easy_getinfo) F(curl_easy_strerror)  \
    F(curl_slist_append) F(curl_slist_free_all) F(curl_url) F(curl_url_set)              \
    F(curl_url_get) F(curl_url_cleanup) F(curl_free) F(curl_multi_init)                  \
    F(curl_multi_cleanup) F(curl_multi_add_handle) F(curl_multi_remove_handle)           \
    F(curl_multi_perform) F(curl_multi_poll) F(curl_multi_info_read) F(curl_multi_strerror)

typedef struct assay_curl_functions {
    ASSAY_CURL_FUNCTIONS(ASSAY_LATE_FIELD)
} assay_curl_functions;

/* Filled by the first assay_curl_start that returns ASSAY_OK. */
extern assay_curl_functions assay_curl;
assay_status assay_curl_start(assay_error *error);

/* A fresh handle for an URL: http and https only, never from the second to the
 * first; with our name, and a limit on connecting. The URL is copied. */
void assay_curl_prepare(CURL *curl, const char *url);

/* Without signals libcurl leaves SIGPIPE alone, which a TLS connection that goes
 * away may raise: it is held back in this thread from begin to end, and taken out. */
typedef struct assay_quiet {
    sigset_t before;
    bool pending;
} assay_quiet;
void assay_quiet_begin(assay_quiet *quiet);
void assay_quiet_end(const assay_quiet *quiet);

/* Whether it may be gone the next time: a status code; a failure of transport.
 * A host that was never reached is more likely misspelt, or the machine offline. */
bool assay_curl_passing_code(long code);
bool assay_curl_passing_failure(CURLcode result, bool reached);

/* The host of an URL into host[256], "?" where there is none: never more of it,
 * for it may hold a password. Returns host. */
const char *assay_curl_host(const char *url, char host[256]);

#endif
