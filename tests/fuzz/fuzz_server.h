/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_server.h: a server with small models that writes documents and records answers, in
 * a folder that goes when the fuzzer ends. */
#ifndef ASSAY_FUZZ_SERVER_H
#define ASSAY_FUZZ_SERVER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/own.h"

static char fuzz_home[] = "/tmp/fuzz-server.XXXXXX";

static int fuzz_remove(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

static void fuzz_leave(void)
{
    nftw(fuzz_home, fuzz_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void fuzz_server_open(assay_server *server, const char *keys)
{
    static const char *const models[] = {"cross=tests/golden/models/cross-f32",
                                         "dense=tests/golden/models/dense-mean"};
    assay_error error;
    if (mkdtemp(fuzz_home) == NULL || atexit(fuzz_leave) != 0 ||
        setenv("ASSAY_HOME", fuzz_home, 1) != 0 ||
        setenv("ASSAY_MODELS", "tests/golden/models", 1) != 0)
        abort();
    server->options = (assay_serve_options){
        .models = {2, models},
        .reranker = "cross-f32",
        .record = 1,
        .writable = true,
        .keys = keys,
        .traces = "http://127.0.0.1:9",
        .workers = 1,
        .max_body = 1 << 20,
        .max_documents = 20,
        .quiet = true,
    };
    if (assay_server_open(server, &error) != ASSAY_OK) {
        fprintf(stderr, "%s: %s\n", error.where, error.message);
        abort();
    }
}

#endif
