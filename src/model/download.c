/* SPDX-License-Identifier: Apache-2.0 */
/* download.c: see download.h. HTTP (RFC 9110: ranges, If-Range, Retry-After) is
 * libcurl's; what is here is when to try again and what goes into which file. */
#include "model/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/curl.h"
#include "base/file.h"

enum {
    ATTEMPTS = 6,           /* without headway, before giving up */
    LONGEST_WAIT = 120,     /* seconds that Retry-After may ask for */
    HEADWAY = 256 * 1024,   /* bytes that make an attempt not count */
    STALL_SECONDS = 60,     /* below STALL_BYTES a second: connection lost */
    STALL_BYTES = 100,
    REDIRECTS = 10,
};
static const double first_wait = 0.5; /* seconds; doubled each time */
static const double tell_every = 0.1;
static const uint64_t largest_unknown = UINT64_C(1) << 38; /* of a size not told: 256 GiB */

struct assay_download {
    CURL *curl;
    char *token;
    assay_progress_fn progress;
    void *user;
    bool reached; /* some request was answered: later failures are passing ones */
};

/* One GET, over all its attempts; the second half is of one attempt. */
typedef struct transfer {
    assay_download *download;
    const char *url;
    const char *item;
    const char *path;   /* of the file, or NULL: into text */
    assay_buffer *text;
    uint64_t size;      /* expected, or ASSAY_SIZE_UNKNOWN */
    char wanted[256];   /* ETag of what the file holds; "" when not known */
    assay_download_reply *reply;

    int fd;
    uint64_t offset;    /* bytes in the file */
    uint64_t announced; /* Content-Length and what came before; 0: not told */
    uint64_t received;
    long code;
    int responses;      /* 1: the headers at hand are the hub's own */
    char etag[256];
    char error_code[64];
    uint64_t range_start;
    bool begun;         /* the body's place in the file is decided */
    bool restart;       /* what lies in the file is of no use */
    bool stopped;       /* by the progress callback */
    assay_status failed;
    int failed_errno;
    double told;
} transfer;

/* -------------------------------------------------------------- the handle */

assay_status assay_download_new(const char *token, assay_progress_fn progress, void *user,
                                assay_download **out, assay_error *error)
{
    ASSAY_TRY(assay_curl_start(error));
    assay_download *download = calloc(1, sizeof *download);
    if (download == NULL)
        return assay_fail_memory(error, sizeof *download);
    download->curl = assay_curl.curl_easy_init();
    download->token = strdup(token);
    download->progress = progress;
    download->user = user;
    if (download->curl == NULL || download->token == NULL) {
        assay_download_free(download);
        return assay_fail_memory(error, sizeof *download);
    }
    *out = download;
    return ASSAY_OK;
}

void assay_download_free(assay_download *download)
{
    if (download == NULL)
        return;
    if (download->curl != NULL)
        assay_curl.curl_easy_cleanup(download->curl);
    if (download->token != NULL)
        explicit_bzero(download->token, strlen(download->token));
    free(download->token);
    free(download);
}

/* ---------------------------------------------------------------- progress */

/* False when the caller wants to stop. */
static bool tell(transfer *t, bool now)
{
    assay_download *d = t->download;
    double seconds = assay_seconds();
    if (d->progress == NULL || (!now && seconds - t->told < tell_every))
        return true;
    t->told = seconds;
    assay_progress progress = {
        .phase = ASSAY_PHASE_DOWNLOAD,
        .done = t->offset,
        .total = t->size != ASSAY_SIZE_UNKNOWN ? t->size : t->announced,
        .item = t->item,
    };
    if (!d->progress(&progress, d->user))
        t->stopped = true;
    return !t->stopped;
}

static int on_tick(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return tell(context, false) ? 0 : 1;
}

/* Sleeps, but not through a wish to stop. */
static bool wait_seconds(transfer *t, double seconds)
{
    double end = assay_seconds() + seconds;
    while (assay_seconds() < end) {
        struct timespec slice = {.tv_nsec = 50 * 1000 * 1000};
        nanosleep(&slice, NULL);
        if (!tell(t, false))
            return false;
    }
    return true;
}

/* ----------------------------------------------------------------- headers */

/* The value of header `name` in line[length], or false. */
static bool header_value(const char *line, size_t length, const char *name, char *value,
                         size_t size)
{
    size_t start = strlen(name);
    if (length <= start || line[start] != ':' || strncasecmp(line, name, start) != 0)
        return false;
    start++;
    while (start < length && (line[start] == ' ' || line[start] == '\t'))
        start++;
    while (length > start && strchr(" \t\r\n", line[length - 1]) != NULL)
        length--;
    if (length - start >= size || memchr(line + start, '\0', length - start) != NULL)
        return false;
    memcpy(value, line + start, length - start);
    value[length - start] = '\0';
    return true;
}

/* Whether an ETag is a SHA-256: 64 hex digits between quotes. */
static void take_sha256(const char *etag, char sha256[65])
{
    etag += *etag == '"';
    size_t digits = strspn(etag, "0123456789abcdef");
    if (digits != 64 || (etag[64] != '"' && etag[64] != '\0'))
        return;
    memcpy(sha256, etag, 64);
    sha256[64] = '\0';
}

/* Headers of the hub itself, which knows the file behind a redirect. */
static void take_hub_header(transfer *t, const char *line, size_t length)
{
    char value[256];
    assay_download_reply *reply = t->reply;
    if (header_value(line, length, "x-linked-size", value, sizeof value)) {
        char *end;
        errno = 0;
        unsigned long long size = strtoull(value, &end, 10);
        if (end != value && *end == '\0' && errno == 0 && value[0] != '-')
            reply->size = size;
    } else if (header_value(line, length, "x-linked-etag", value, sizeof value)) {
        take_sha256(value, reply->sha256);
    } else if (reply->sha256[0] == '\0' &&
               header_value(line, length, "etag", value, sizeof value)) {
        take_sha256(value, reply->sha256);
    }
}

static size_t on_header(char *line, size_t unit, size_t count, void *context)
{
    transfer *t = context;
    size_t length = unit * count;
    char value[256];
    if (length > 12 && strncmp(line, "HTTP/", 5) == 0) {
        const char *space = memchr(line, ' ', length);
        t->code = space != NULL ? strtol(space, NULL, 10) : 0;
        t->responses += t->code >= 200;
        t->etag[0] = t->error_code[0] = '\0';
        t->range_start = 0;
        t->announced = 0;
        return length;
    }
    if (header_value(line, length, "etag", value, sizeof value))
        memcpy(t->etag, value, sizeof value);
    if (header_value(line, length, "content-range", value, sizeof value) &&
        strncasecmp(value, "bytes ", 6) == 0)
        t->range_start = strtoull(value + 6, NULL, 10);
    if (header_value(line, length, "content-length", value, sizeof value))
        t->announced = strtoull(value, NULL, 10);
    (void)header_value(line, length, "x-error-code", t->error_code, sizeof t->error_code);
    if (t->responses == 1 && t->code < 400)
        take_hub_header(t, line, length);
    return length;
}

/* -------------------------------------------------------------------- body */

static bool fail_write(transfer *t, int reason)
{
    t->failed = ASSAY_E_IO;
    t->failed_errno = reason;
    return false;
}

/* Keeps the ETag of what goes into the file; only a strong one can be used. */
static void keep_etag(const transfer *t)
{
    char path[4200];
    if (snprintf(path, sizeof path, "%s.etag", t->path) >= (int)sizeof path)
        return;
    unlink(path);
    if (t->etag[0] != '"')
        return;
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return;
    fputs(t->etag, file);
    fclose(file);
}

/* At the first byte: where it belongs. False ends the attempt. */
static bool begin_body(transfer *t)
{
    t->begun = true;
    if (t->path == NULL)
        return true;
    if (t->code == 206) {
        t->restart = t->range_start != t->offset;
        t->announced += t->offset;
        t->reply->resumed = !t->restart && t->offset > 0;
        return !t->restart;
    }
    if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0)
        return fail_write(t, errno);
    t->offset = 0;
    t->reply->resumed = false;
    keep_etag(t);
    return true;
}

static bool write_file(transfer *t, const char *data, size_t length)
{
    uint64_t most = t->size != ASSAY_SIZE_UNKNOWN ? t->size : largest_unknown;
    if (t->offset > most || length > most - t->offset) {
        t->failed = ASSAY_E_CORRUPT;
        return false;
    }
    while (length > 0) {
        ssize_t put = write(t->fd, data, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail_write(t, errno);
        t->offset += (uint64_t)put;
        t->received += (uint64_t)put;
        data += put;
        length -= (size_t)put;
    }
    return true;
}

static size_t on_body(char *data, size_t unit, size_t count, void *context)
{
    transfer *t = context;
    size_t length = unit * count;
    if (t->code != 200 && t->code != 206)
        return length; /* what an error looks like as a page */
    if (!t->begun && !begin_body(t))
        return length + 1;
    if (t->path != NULL)
        return write_file(t, data, length) ? length : length + 1;
    assay_buffer_append(t->text, data, length);
    t->failed = t->text->failed;
    return t->failed == ASSAY_OK ? length : length + 1;
}

/* ------------------------------------------------------------- one attempt */

static assay_status open_part(transfer *t, assay_error *error)
{
    t->fd = open(t->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    struct stat status;
    if (t->fd < 0 || fstat(t->fd, &status) != 0)
        return assay_fail_errno(error, errno, t->path, "cannot open");
    t->offset = (uint64_t)status.st_size;
    if (t->restart || (t->size != ASSAY_SIZE_UNKNOWN && t->offset >= t->size)) {
        t->offset = 0;
        if (ftruncate(t->fd, 0) != 0)
            return assay_fail_errno(error, errno, t->path, "cannot write");
    }
    lseek(t->fd, (off_t)t->offset, SEEK_SET);
    t->wanted[0] = '\0';
    char path[4200];
    if (snprintf(path, sizeof path, "%s.etag", t->path) >= (int)sizeof path)
        return ASSAY_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return ASSAY_OK;
    if (fgets(t->wanted, sizeof t->wanted, file) == NULL)
        t->wanted[0] = '\0';
    t->wanted[strcspn(t->wanted, "\r\n")] = '\0';
    fclose(file);
    return ASSAY_OK;
}

static bool close_part(transfer *t)
{
    bool whole = t->fd < 0 || fsync(t->fd) == 0;
    if (t->fd >= 0)
        whole = close(t->fd) == 0 && whole;
    t->fd = -1;
    return whole;
}

static CURLcode perform(transfer *t)
{
    CURL *curl = t->download->curl;
    struct curl_slist *headers = NULL;
    char text[320];
    assay_curl_prepare(curl, t->url);
    assay_curl.curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    assay_curl.curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    assay_curl.curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    assay_curl.curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    assay_curl.curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES);
    assay_curl.curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    assay_curl.curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    assay_curl.curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    assay_curl.curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    assay_curl.curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    assay_curl.curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_tick);
    assay_curl.curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    if (t->download->token[0] != '\0') {
        /* libcurl takes this for the first host alone. */
        assay_curl.curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        assay_curl.curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, t->download->token);
    }
    if (t->path != NULL && t->offset > 0) {
        snprintf(text, sizeof text, "%llu-", (unsigned long long)t->offset);
        assay_curl.curl_easy_setopt(curl, CURLOPT_RANGE, text);
        if (t->wanted[0] != '\0') {
            snprintf(text, sizeof text, "If-Range: %s", t->wanted);
            headers = assay_curl.curl_slist_append(NULL, text);
            assay_curl.curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        }
    }
    assay_quiet quiet;
    assay_quiet_begin(&quiet);
    CURLcode result = assay_curl.curl_easy_perform(curl);
    assay_quiet_end(&quiet);
    assay_curl.curl_slist_free_all(headers);
    return result;
}

/* ---------------------------------------------------------------- verdicts */

static assay_status refused(const transfer *t, assay_error *error)
{
    bool token = t->download->token[0] != '\0';
    if (strcasecmp(t->error_code, "GatedRepo") == 0)
        return assay_fail(error, ASSAY_E_NETWORK, t->item,
                          "HTTP %ld: the repository is gated: accept its terms on its page, "
                          "then set HF_TOKEN to a token of that account%s",
                          t->code, token ? " (the token that was sent does not do)" : "");
    if (t->code == 404 && strcasecmp(t->error_code, "RevisionNotFound") == 0)
        return assay_fail(error, ASSAY_E_NOT_FOUND, t->item,
                          "HTTP 404: the repository has no such revision");
    if (t->code == 404)
        return assay_fail(error, ASSAY_E_NOT_FOUND, t->item,
                          "HTTP 404: no such repository, revision or file at this hub%s",
                          token ? "" : "; a private one needs HF_TOKEN");
    if (t->code == 401 && !token)
        return assay_fail(error, ASSAY_E_NOT_FOUND, t->item,
                          "HTTP 401: no such repository, or it is private or gated: check the "
                          "name, or set HF_TOKEN");
    if (t->code == 401 || t->code == 403)
        return assay_fail(error, ASSAY_E_NETWORK, t->item,
                          "HTTP %ld: access refused: %s", t->code,
                          token ? "the token in use (HF_TOKEN) has no right to it"
                                : "it may need a token: set HF_TOKEN");
    if (t->code == 429)
        return assay_fail(error, ASSAY_E_NETWORK, t->item,
                          "HTTP 429: too many requests: try again later%s",
                          token ? "" : ", or set HF_TOKEN for a higher limit");
    return assay_fail(error, ASSAY_E_NETWORK, t->item, "HTTP %ld from the hub; expected 200",
                      t->code);
}

static assay_status local_failure(const transfer *t, assay_error *error)
{
    if (t->failed == ASSAY_E_CORRUPT)
        return assay_fail(error, ASSAY_E_CORRUPT, t->item,
                          "the server sends more than the expected %llu bytes",
                          (unsigned long long)(t->size != ASSAY_SIZE_UNKNOWN
                                                   ? t->size : largest_unknown));
    if (t->text != NULL)
        return assay_buffer_status(t->text, t->item, error);
    return assay_fail_errno(error, t->failed_errno, t->path, "cannot write");
}

/* "cannot resolve host (hub hub.example)". */
static assay_status transport_failure(const transfer *t, CURLcode result, assay_error *error)
{
    char host[256];
    return assay_fail(error, ASSAY_E_NETWORK, t->item, "%s (hub %s)",
                      assay_curl.curl_easy_strerror(result), assay_curl_host(t->url, host));
}

/* What came of an attempt. *again: it is worth another one; the status is then
 * what to return when there is none. */
static assay_status judge(transfer *t, CURLcode result, bool *again, assay_error *error)
{
    *again = false;
    if (t->stopped)
        return assay_fail(error, ASSAY_E_INTERRUPTED, t->item, "interrupted");
    if (t->failed != ASSAY_OK)
        return local_failure(t, error);
    if (t->code == 416 && t->offset > 0)
        t->restart = true;
    if (t->restart) {
        *again = true;
        return assay_fail(error, ASSAY_E_NETWORK, t->item,
                          "the server answers a range that was not asked for");
    }
    if (result != CURLE_OK) {
        *again = assay_curl_passing_failure(result, t->download->reached);
        return transport_failure(t, result, error);
    }
    if (t->code == 200 || t->code == 206)
        return ASSAY_OK;
    *again = assay_curl_passing_code(t->code);
    return refused(t, error);
}

/* Seconds to wait before attempt number `attempt` (1 is the second one). */
static double next_wait(const transfer *t, int attempt)
{
    curl_off_t asked = 0;
    if (t->restart)
        return 0;
    if (assay_curl_passing_code(t->code))
        assay_curl.curl_easy_getinfo(t->download->curl, CURLINFO_RETRY_AFTER, &asked);
    if (asked > 0)
        return (double)asked;
    return first_wait * (double)(1 << (attempt - 1));
}

static assay_status attempt_once(transfer *t, bool *again, assay_error *error)
{
    *again = false;
    t->fd = -1;
    if (t->path != NULL) {
        assay_status status = open_part(t, error);
        if (status != ASSAY_OK) {
            close_part(t);
            return status;
        }
    } else {
        assay_buffer_clear(t->text);
    }
    t->code = 0;
    t->responses = 0;
    t->received = 0;
    t->begun = t->restart = t->stopped = false;
    t->failed = ASSAY_OK;
    CURLcode result = perform(t);
    t->download->reached = t->download->reached || t->code > 0;
    if (result == CURLE_OK && !t->begun && (t->code == 200 || t->code == 206))
        (void)begin_body(t); /* an empty file */
    if (!close_part(t) && t->failed == ASSAY_OK)
        fail_write(t, errno);
    return judge(t, result, again, error);
}

static assay_status run_transfer(transfer *t, assay_error *error)
{
    for (int attempt = 1;; attempt++) {
        bool again;
        assay_status status = attempt_once(t, &again, error);
        if (t->received >= HEADWAY)
            attempt = 1;
        if (!again || attempt >= ATTEMPTS)
            return status;
        double seconds = next_wait(t, attempt);
        if (seconds > LONGEST_WAIT)
            return assay_fail(error, status, t->item,
                              "HTTP %ld: the hub asks to wait %.0f seconds: try again then",
                              t->code, seconds);
        if (!wait_seconds(t, seconds))
            return assay_fail(error, ASSAY_E_INTERRUPTED, t->item, "interrupted");
    }
}

assay_status assay_download_text(assay_download *download, const char *url, const char *item,
                                 assay_buffer *out, assay_error *error)
{
    assay_download_reply reply = {.size = ASSAY_SIZE_UNKNOWN};
    transfer t = {.download = download,
                  .url = url,
                  .item = item,
                  .text = out,
                  .size = ASSAY_SIZE_UNKNOWN,
                  .reply = &reply,
                  .fd = -1};
    return run_transfer(&t, error);
}

assay_status assay_download_file(assay_download *download, const char *url, const char *item,
                                 const char *path, uint64_t size, assay_download_reply *reply,
                                 assay_error *error)
{
    *reply = (assay_download_reply){.size = ASSAY_SIZE_UNKNOWN};
    transfer t = {.download = download,
                  .url = url,
                  .item = item,
                  .path = path,
                  .size = size,
                  .reply = reply,
                  .fd = -1};
    ASSAY_TRY(run_transfer(&t, error));
    (void)tell(&t, true);
    return ASSAY_OK;
}
