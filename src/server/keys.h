/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.h: who may ask.
 *
 * A file of lines "NAME SHA256 [RATE] [WORD...]": the hash, in hex, of a key, how many
 * requests a minute it may make (none given: no limit), and what else it may:
 *
 *     write             put and delete documents
 *     report            read what users do (/v1/report)
 *     admin             all of it
 *     at-once=N         requests under way at a time
 *     requests-a-day=N  from midnight to midnight, UTC
 *     tokens-a-day=N    that models read, of questions and passages (what is known from an
 *                       earlier search is not read again); documents put count as requests
 *
 * Tokens are known when the work is done: a request is refused when the day's are used up,
 * and what was under way then is still answered. What was used is kept in memory, so a
 * restart forgets it; reading the file again does not. Keys are 24 random bytes
 * (assay serve --add-key), so their plain hash tells nothing. Empty lines and those that
 * begin with # are passed over.
 */
#ifndef ASSAY_SERVER_KEYS_H
#define ASSAY_SERVER_KEYS_H

#include <assay.h>

typedef struct assay_keys assay_keys; /* shared */

typedef enum assay_key_answer {
    ASSAY_KEY_UNKNOWN,
    ASSAY_KEY_KNOWN,
    ASSAY_KEY_RATE, /* known, and over its requests a minute */
    ASSAY_KEY_BUSY, /* or at a time */
    ASSAY_KEY_REQUESTS, /* or of the day */
    ASSAY_KEY_TOKENS,
} assay_key_answer;

/* What a request may do, and by whose key; zero: nothing, by none. */
typedef struct assay_grant {
    char name[64]; /* of the key; "" for none */
    bool writes, reports;
    bool held; /* to be given back: assay_keys_done */
    unsigned char hash[32];
} assay_grant;

assay_status assay_keys_open(const char *path, assay_keys **out, assay_error *error);
void assay_keys_close(assay_keys *keys);
/* Reads the file again; on an error the old keys stay. */
assay_status assay_keys_reload(assay_keys *keys, assay_error *error);
/* Looks the key up and takes a request from its allowance; *retry_after, in seconds, is
 * for those refused. now: assay_now(); wall: seconds since 1970. The time that this takes
 * does not depend on how much of a key is right. */
assay_key_answer assay_keys_ask(assay_keys *keys, const char *key, double now, int64_t wall,
                                assay_grant *grant, unsigned *retry_after);
/* The request is over, and took so many tokens. Does nothing for a grant that isn't held. */
void assay_keys_done(assay_keys *keys, assay_grant *grant, uint64_t tokens);

#endif
