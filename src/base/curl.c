/* SPDX-License-Identifier: Apache-2.0 */
/* curl.c: see curl.h. */
#include "base/curl.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#define LIBRARY "libcurl.so.4"

enum { CONNECT_SECONDS = 20 };

assay_curl_functions assay_curl;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static assay_error missing; /* code ASSAY_OK: it is there */

static void start(void)
{
    static const char *const names[] = {ASSAY_CURL_FUNCTIONS(ASSAY_LATE_NAME)};
    if (assay_library_load(LIBRARY, names, sizeof names / sizeof *names, &assay_curl,
                           &missing) == ASSAY_OK)
        assay_curl.curl_global_init(CURL_GLOBAL_DEFAULT);
}

assay_status assay_curl_start(assay_error *error)
{
    pthread_once(&once, start);
    if (missing.code != ASSAY_OK)
        return assay_fail(error, missing.code, missing.where, "%s", missing.message);
    return ASSAY_OK;
}

void assay_curl_prepare(CURL *curl, const char *url)
{
    bool secure = strncasecmp(url, "https:", 6) == 0;
    assay_curl.curl_easy_reset(curl);
#if LIBCURL_VERSION_NUM >= 0x075500
    assay_curl.curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    assay_curl.curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
#else
    assay_curl.curl_easy_setopt(curl, CURLOPT_PROTOCOLS,
                                (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    assay_curl.curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS,
                                (long)(secure ? CURLPROTO_HTTPS
                                              : CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    assay_curl.curl_easy_setopt(curl, CURLOPT_URL, url);
    assay_curl.curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    assay_curl.curl_easy_setopt(curl, CURLOPT_USERAGENT, "assay/" ASSAY_VERSION);
    assay_curl.curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
}

void assay_quiet_begin(assay_quiet *quiet)
{
    sigset_t pipe, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    quiet->pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &quiet->before);
}

void assay_quiet_end(const assay_quiet *quiet)
{
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (!quiet->pending)
        while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}

bool assay_curl_passing_code(long code)
{
    return code == 408 || code == 429 || code == 500 || code == 502 || code == 503 ||
           code == 504;
}

bool assay_curl_passing_failure(CURLcode result, bool reached)
{
    switch (result) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
        return reached;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

const char *assay_curl_host(const char *url, char host[256])
{
    char *found = NULL;
    CURLU *parts = assay_curl.curl_url();
    if (parts != NULL && assay_curl.curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK)
        (void)assay_curl.curl_url_get(parts, CURLUPART_HOST, &found, 0);
    snprintf(host, 256, "%.200s", found != NULL ? found : "?");
    assay_curl.curl_free(found);
    assay_curl.curl_url_cleanup(parts);
    return host;
}
