/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_keys.c: a file of API keys, read and read again: a refusal says where and why, and
 * nobody has the key that nobody was given. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(assay_keys *keys)
{
    assay_grant grant = {0};
    unsigned retry_after;
    if (assay_keys_ask(keys, "a key that is nobody's", 1, 1, &grant, &retry_after) !=
            ASSAY_KEY_UNKNOWN || grant.held || grant.writes || grant.reports)
        __builtin_trap();
    /* "alice", whose hash the seeds have */
    assay_key_answer answer = assay_keys_ask(keys, "alice", 2, 2, &grant, &retry_after);
    if (grant.held != (answer == ASSAY_KEY_KNOWN) || strlen(grant.name) >= sizeof grant.name)
        __builtin_trap();
    assay_keys_done(keys, &grant, 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    assay_keys *keys;
    assay_error error = {0};
    int file = memfd_create("keys", MFD_CLOEXEC);
    if (file < 0 || write(file, data, size) != (ssize_t)size)
        __builtin_trap();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (assay_keys_open(path, &keys, &error) == ASSAY_OK) {
        ask(keys);
        if (assay_keys_reload(keys, &error) != ASSAY_OK)
            __builtin_trap();
        ask(keys);
        assay_keys_close(keys);
    } else if (error.code == ASSAY_OK || error.where[0] == '\0' || error.message[0] == '\0') {
        __builtin_trap();
    }
    close(file);
    return 0;
}
