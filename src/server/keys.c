/* SPDX-License-Identifier: Apache-2.0 */
/* keys.c: see keys.h. Rates are token buckets that hold a minute's worth. */
#include "server/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/serve.h"

enum { HASH = 32, NAME = 64, LINE = 512, MOST_KEYS = 10000, DAY = 86400 };

/* What a key has used; stays when the file is read again. */
typedef struct usage {
    double left, seen; /* requests in the bucket, and when that was */
    uint64_t running;
    int64_t day; /* that these are of */
    uint64_t requests, tokens;
} usage;

typedef struct key {
    char name[NAME];
    unsigned char hash[HASH];
    double rate; /* requests a minute; 0: no limit, as with the next three */
    uint64_t at_once, requests, tokens;
    bool writes, reports;
    usage used;
} key;

struct assay_keys {
    char *path;
    pthread_mutex_t lock;
    key *keys; /* by hash */
    size_t count;
};

static assay_status fail(assay_error *error, assay_status code, const char *where, size_t line,
                         const char *message)
{
    *error = (assay_error){.code = code};
    if (line > 0)
        snprintf(error->where, sizeof error->where, "%.200s:%zu", where, line);
    else
        snprintf(error->where, sizeof error->where, "%.200s", where);
    snprintf(error->message, sizeof error->message, "%s", message);
    return code;
}

static bool hash_of(const char *text, size_t length, unsigned char hash[HASH])
{
    unsigned size = HASH;
    return EVP_Digest(text, length, hash, &size, EVP_sha256(), NULL) == 1;
}

static bool read_hex(const char *text, unsigned char hash[HASH])
{
    if (strlen(text) != 2 * HASH || strspn(text, "0123456789abcdefABCDEF") != 2 * HASH)
        return false;
    for (size_t i = 0; i < HASH; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        hash[i] = (unsigned char)byte;
    }
    return true;
}

/* "NAME=N", where N is at least 1. */
static bool read_limit(const char *word, const char *name, uint64_t *out)
{
    size_t length = strlen(name);
    char *end = NULL;
    if (strncmp(word, name, length) != 0 || word[length] != '=')
        return false;
    const char *number = word + length + 1;
    errno = 0;
    unsigned long long value = strtoull(number, &end, 10);
    *out = value;
    return *number >= '0' && *number <= '9' && *end == '\0' && value > 0 && errno == 0;
}

static bool read_word(const char *word, key *out)
{
    bool admin = strcmp(word, "admin") == 0;
    bool write = admin || strcmp(word, "write") == 0;
    bool report = admin || strcmp(word, "report") == 0;
    out->writes |= write;
    out->reports |= report;
    return write || report || read_limit(word, "at-once", &out->at_once) ||
           read_limit(word, "requests-a-day", &out->requests) ||
           read_limit(word, "tokens-a-day", &out->tokens);
}

/* What stands behind the hash: a rate, words, or both. */
static bool read_rights(char *text, key *out)
{
    char *rest = NULL, *end;
    char *word = strtok_r(text, " \t\r\n", &rest);
    if (word != NULL && word[0] != 'n' && word[0] != 'i') { /* "nan", "inf" */
        double rate = strtod(word, &end);
        if (*end == '\0') {
            out->rate = rate;
            word = strtok_r(NULL, " \t\r\n", &rest);
        }
    }
    while (word != NULL && read_word(word, out))
        word = strtok_r(NULL, " \t\r\n", &rest);
    return word == NULL;
}

/* NULL, or what is wrong with the line. */
static const char *read_line(char *line, key *out)
{
    char hex[2 * HASH + 2] = "";
    int used = 0;
    *out = (key){0};
    if (sscanf(line, "%63s %65s %n", out->name, hex, &used) < 2 || !read_rights(line + used, out))
        return "expected NAME, the SHA-256 of the key in hex, and perhaps requests a minute, "
               "'write', 'report', 'admin', at-once=N, requests-a-day=N, tokens-a-day=N";
    if (!read_hex(hex, out->hash))
        return "expected a SHA-256 of 64 hex digits after the name";
    if (!(out->rate >= 0 && out->rate <= 1e9))
        return "requests a minute must be from 0 (no limit) to 1000000000";
    out->used.left = out->rate;
    return NULL;
}

static int by_hash(const void *left, const void *right)
{
    return memcmp(((const key *)left)->hash, ((const key *)right)->hash, HASH);
}

/* Sorts them; one that is there twice would have the rights of either. */
static assay_status sort_keys(const char *path, key *keys, size_t count, assay_error *error)
{
    char message[200];
    qsort(keys, count, sizeof *keys, by_hash);
    for (size_t i = 1; i < count; i++) {
        if (memcmp(keys[i - 1].hash, keys[i].hash, HASH) != 0)
            continue;
        snprintf(message, sizeof message, "'%s' and '%s' are the same key", keys[i - 1].name,
                 keys[i].name);
        return fail(error, ASSAY_E_FORMAT, path, 0, message);
    }
    return ASSAY_OK;
}

/* Whether fgets has read all of the line: the rest of a long one is none of its own. */
static bool is_whole(const char line[LINE], FILE *file)
{
    size_t length = strlen(line);
    return length > 0 && (line[length - 1] == '\n' || (length < LINE - 1 && feof(file)));
}

static assay_status read_file(const char *path, key **out, size_t *count, assay_error *error)
{
    char line[LINE];
    size_t number = 0;
    key *keys = NULL;
    assay_status status = ASSAY_OK;
    *count = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fail(error, errno == ENOENT ? ASSAY_E_NOT_FOUND : ASSAY_E_IO, path, 0,
                    strerror(errno));
    while (status == ASSAY_OK && fgets(line, sizeof line, file) != NULL) {
        number++;
        bool whole = is_whole(line, file);
        if (whole && (line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#'))
            continue;
        key one;
        const char *wrong = whole ? read_line(line, &one)
                                  : "the line has more than 510 bytes, or a zero in it";
        key *more = wrong == NULL ? realloc(keys, (*count + 1) * sizeof *keys) : NULL;
        if (wrong != NULL)
            status = fail(error, ASSAY_E_FORMAT, path, number, wrong);
        else if (more == NULL)
            status = fail(error, ASSAY_E_MEMORY, path, number, "out of memory");
        else if (*count == MOST_KEYS)
            status = fail(error, ASSAY_E_LIMIT, path, number, "more than 10000 keys");
        if (more != NULL) {
            keys = more;
            keys[(*count)++] = one;
        }
    }
    if (status == ASSAY_OK && ferror(file))
        status = fail(error, ASSAY_E_IO, path, 0, "cannot be read");
    fclose(file);
    if (status == ASSAY_OK && *count > 0)
        status = sort_keys(path, keys, *count, error);
    if (status != ASSAY_OK) {
        free(keys);
        return status;
    }
    *out = keys;
    return ASSAY_OK;
}

assay_status assay_keys_open(const char *path, assay_keys **out, assay_error *error)
{
    assay_keys *keys = calloc(1, sizeof *keys);
    if (keys == NULL || (keys->path = strdup(path)) == NULL) {
        free(keys);
        return fail(error, ASSAY_E_MEMORY, path, 0, "out of memory");
    }
    pthread_mutex_init(&keys->lock, NULL);
    assay_status status = assay_keys_reload(keys, error);
    if (status != ASSAY_OK) {
        assay_keys_close(keys);
        return status;
    }
    *out = keys;
    return ASSAY_OK;
}

void assay_keys_close(assay_keys *keys)
{
    if (keys == NULL)
        return;
    free(keys->keys);
    free(keys->path);
    free(keys);
}

/* Gives the new keys what the old ones with the same hash have used. */
static void carry_over(key *fresh, size_t count, const key *old, size_t old_count)
{
    for (size_t i = 0, j = 0; i < count && j < old_count;) {
        int order = by_hash(&fresh[i], &old[j]);
        if (order == 0) {
            double left = old[j].rate > 0 ? old[j].used.left : fresh[i].rate;
            fresh[i].used = old[j].used;
            fresh[i].used.left = left;
        }
        i += order <= 0;
        j += order >= 0;
    }
}

assay_status assay_keys_reload(assay_keys *keys, assay_error *error)
{
    key *fresh = NULL;
    size_t count;
    assay_status status = read_file(keys->path, &fresh, &count, error);
    if (status != ASSAY_OK)
        return status;
    pthread_mutex_lock(&keys->lock);
    carry_over(fresh, count, keys->keys, keys->count);
    free(keys->keys);
    keys->keys = fresh;
    keys->count = count;
    pthread_mutex_unlock(&keys->lock);
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ asking */

/* Fills the bucket up to now; false where it has no whole request. */
static bool has_rate(key *k, double now, unsigned *retry_after)
{
    usage *u = &k->used;
    if (k->rate <= 0)
        return true;
    if (u->seen > 0)
        u->left += (now - u->seen) * k->rate / 60;
    if (u->left > k->rate)
        u->left = k->rate;
    u->seen = now;
    if (u->left >= 1)
        return true;
    double wait = (1 - u->left) * 60 / k->rate;
    *retry_after = wait < 1 ? 1 : wait > 3600 ? 3600 : (unsigned)(wait + 1);
    return false;
}

static assay_key_answer take_one(key *k, double now, int64_t wall, unsigned *retry_after)
{
    usage *u = &k->used;
    if (u->day != wall / DAY) {
        u->day = wall / DAY;
        u->requests = u->tokens = 0;
    }
    *retry_after = (unsigned)(DAY - wall % DAY); /* until midnight */
    if (k->requests > 0 && u->requests >= k->requests)
        return ASSAY_KEY_REQUESTS;
    if (k->tokens > 0 && u->tokens >= k->tokens)
        return ASSAY_KEY_TOKENS;
    *retry_after = 1;
    if (k->at_once > 0 && u->running >= k->at_once)
        return ASSAY_KEY_BUSY;
    if (!has_rate(k, now, retry_after))
        return ASSAY_KEY_RATE;
    u->left -= 1;
    u->requests++;
    u->running++;
    return ASSAY_KEY_KNOWN;
}

assay_key_answer assay_keys_ask(assay_keys *keys, const char *text, double now, int64_t wall,
                                assay_grant *grant, unsigned *retry_after)
{
    unsigned char hash[HASH];
    assay_key_answer answer = ASSAY_KEY_UNKNOWN;
    if (!hash_of(text, strlen(text), hash))
        return answer;
    pthread_mutex_lock(&keys->lock);
    key *found = NULL;
    for (size_t i = 0; i < keys->count; i++) { /* all of them, every time */
        if (CRYPTO_memcmp(keys->keys[i].hash, hash, HASH) == 0)
            found = &keys->keys[i];
    }
    if (found != NULL) {
        answer = take_one(found, now, wall, retry_after);
        *grant = (assay_grant){.writes = found->writes, .reports = found->reports,
                               .held = answer == ASSAY_KEY_KNOWN};
        memcpy(grant->name, found->name, NAME);
        memcpy(grant->hash, hash, HASH);
    }
    pthread_mutex_unlock(&keys->lock);
    return answer;
}

void assay_keys_done(assay_keys *keys, assay_grant *grant, uint64_t tokens)
{
    key wanted;
    if (keys == NULL || !grant->held)
        return;
    grant->held = false;
    memcpy(wanted.hash, grant->hash, HASH);
    pthread_mutex_lock(&keys->lock);
    key *k = keys->count > 0 ? bsearch(&wanted, keys->keys, keys->count, sizeof *k, by_hash)
                             : NULL;
    if (k != NULL) { /* NULL: taken out of the file since */
        k->used.running -= k->used.running > 0;
        k->used.tokens += tokens;
    }
    pthread_mutex_unlock(&keys->lock);
}

/* ------------------------------------------------------------- a new key */

static assay_status append_line(const char *file, const char *line, assay_error *error)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    size_t length = strlen(line);
    bool written = fd >= 0 && write(fd, line, length) == (ssize_t)length;
    int reason = errno;
    if (fd >= 0 && close(fd) != 0)
        written = false;
    return written ? ASSAY_OK : fail(error, ASSAY_E_IO, file, 0, strerror(reason));
}

assay_status assay_serve_add_key(const char *file, const char *name, char text[64],
                                 assay_error *error)
{
    unsigned char bytes[HASH], hash[HASH];
    char line[NAME + 2 * HASH + 4];
    size_t length = strlen(name);
    if (length == 0 || length >= NAME || strcspn(name, " \t\r\n#") != length)
        return fail(error, ASSAY_E_ARGUMENT, name, 0,
                    "the name of a key has 1 to 63 bytes, no space and no '#'");
    if (RAND_bytes(bytes, HASH) != 1)
        return fail(error, ASSAY_E_IO, "key", 0, "no random bytes to be had");
    char *at = text + snprintf(text, 64, "ak-");
    for (size_t i = 0; i < 24; i++)
        at += snprintf(at, 3, "%02x", bytes[i]);
    if (!hash_of(text, strlen(text), hash))
        return fail(error, ASSAY_E_INTERNAL, "key", 0, "SHA-256 failed");
    at = line + snprintf(line, sizeof line, "%s ", name);
    for (size_t i = 0; i < HASH; i++)
        at += snprintf(at, 3, "%02x", hash[i]);
    snprintf(at, 2, "\n");
    return append_line(file, line, error);
}
