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

enum { HASH = 32, NAME = 64, MOST_KEYS = 10000 };

typedef struct key {
    char name[NAME];
    unsigned char hash[HASH];
    double rate; /* requests a minute; 0: no limit */
    bool writes; /* may put and delete documents */
    double left, seen;
} key;

struct assay_keys {
    char *path;
    pthread_mutex_t lock;
    key *keys;
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

/* What stands behind the hash: a rate, "write", or both. */
static bool read_rights(const char *text, key *out)
{
    char word[16], rest[2];
    int used = 0;
    if (sscanf(text, "%lf %n", &out->rate, &used) == 1)
        text += used;
    int words = sscanf(text, "%15s %1s", word, rest);
    out->writes = words == 1 && strcmp(word, "write") == 0;
    return words < 1 || out->writes;
}

/* NULL, or what is wrong with the line. */
static const char *read_line(const char *line, key *out)
{
    char hex[2 * HASH + 2] = "";
    int used = 0;
    *out = (key){0};
    if (sscanf(line, "%63s %65s %n", out->name, hex, &used) < 2 || !read_rights(line + used, out))
        return "expected NAME, the SHA-256 of the key in hex, and perhaps requests a minute and "
               "'write'";
    if (!read_hex(hex, out->hash))
        return "expected a SHA-256 of 64 hex digits after the name";
    if (!(out->rate >= 0 && out->rate <= 1e9))
        return "requests a minute must be from 0 (no limit) to 1000000000";
    out->left = out->rate;
    return NULL;
}

static assay_status read_file(const char *path, key **out, size_t *count, assay_error *error)
{
    char line[512];
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
        if (line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#')
            continue;
        key one;
        const char *wrong = read_line(line, &one);
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

assay_status assay_keys_reload(assay_keys *keys, assay_error *error)
{
    key *fresh = NULL;
    size_t count;
    assay_status status = read_file(keys->path, &fresh, &count, error);
    if (status != ASSAY_OK)
        return status;
    pthread_mutex_lock(&keys->lock);
    free(keys->keys);
    keys->keys = fresh;
    keys->count = count;
    pthread_mutex_unlock(&keys->lock);
    return ASSAY_OK;
}

static assay_key_answer take_one(key *k, double now, unsigned *retry_after)
{
    if (k->rate <= 0)
        return ASSAY_KEY_KNOWN;
    if (k->seen > 0)
        k->left += (now - k->seen) * k->rate / 60;
    if (k->left > k->rate)
        k->left = k->rate;
    k->seen = now;
    if (k->left >= 1) {
        k->left -= 1;
        return ASSAY_KEY_KNOWN;
    }
    double wait = (1 - k->left) * 60 / k->rate;
    *retry_after = wait < 1 ? 1 : wait > 3600 ? 3600 : (unsigned)(wait + 1);
    return ASSAY_KEY_LIMITED;
}

assay_key_answer assay_keys_ask(assay_keys *keys, const char *text, double now,
                                char name[NAME], bool *writes, unsigned *retry_after)
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
        snprintf(name, NAME, "%s", found->name);
        *writes = found->writes;
        answer = take_one(found, now, retry_after);
    }
    pthread_mutex_unlock(&keys->lock);
    return answer;
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
