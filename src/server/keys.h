/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys.h: who may ask.
 *
 * A file of lines "NAME SHA256 [RATE] [write]": the hash, in hex, of a key, how many
 * requests a minute it may make (none given: no limit), and whether documents may be
 * put and deleted with it. Keys are 24 random bytes
 * (assay serve --add-key), so their plain hash tells nothing. Empty lines and
 * those that begin with # are passed over.
 */
#ifndef ASSAY_SERVER_KEYS_H
#define ASSAY_SERVER_KEYS_H

#include <assay.h>

typedef struct assay_keys assay_keys; /* shared */

typedef enum assay_key_answer {
    ASSAY_KEY_UNKNOWN,
    ASSAY_KEY_KNOWN,
    ASSAY_KEY_LIMITED, /* known, and over its rate */
} assay_key_answer;

assay_status assay_keys_open(const char *path, assay_keys **out, assay_error *error);
void assay_keys_close(assay_keys *keys);
/* Reads the file again; on an error the old keys stay. */
assay_status assay_keys_reload(assay_keys *keys, assay_error *error);
/* Looks the key up and takes one request from its allowance. name[64] gets whose
 * it is, *writes what it may; *retry_after, in seconds, is for LIMITED. The time that this takes does
 * not depend on how much of a key is right. */
assay_key_answer assay_keys_ask(assay_keys *keys, const char *key, double now, char name[64],
                                bool *writes, unsigned *retry_after);

#endif
