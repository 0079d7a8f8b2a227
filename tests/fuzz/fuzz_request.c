/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_request.c: any bytes as the body of a request, on any path that takes one (the
 * first byte chooses), through dialect, queue and a small model. The answer is JSON, or
 * text that says so, and never the server's fault. libmicrohttpd is not there: what
 * calls ask of it is answered by stubs. */
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "server/http.h"
#include "server/microhttp.h"
#include "server/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODELS "tests/golden/models/"

static const char *const paths[] = {
    "/rerank", "/predict", "/embed", "/v1/embeddings", "/v1/rerank", "/v2/rerank", "/score",
    "/v1/reranking", "/reranking", "/_inference/rerank/x", "/v1/search",
    "/v1/collections/x/search", "/v1/collections/x/documents", "/v1/events", "/tei/rerank", "/cohere/v1/rerank", "/jina/v1/rerank",
    "/voyage/v1/rerank", "/vllm/rerank", "/infinity/rerank", "/mixedbread/v1/reranking",
    "/weaviate/rerank",
};

static assay_server server;
static sem_t resumed;

static const union MHD_ConnectionInfo *no_info(struct MHD_Connection *connection,
                                               enum MHD_ConnectionInfoType type, ...)
{
    (void)connection;
    (void)type;
    return NULL;
}

static const char *no_header(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                             const char *name)
{
    (void)connection;
    (void)kind;
    (void)name;
    return NULL;
}

static void suspend(struct MHD_Connection *connection)
{
    (void)connection;
}

static void resume(struct MHD_Connection *connection)
{
    (void)connection;
    sem_post(&resumed);
}

static void serve_model(const char *folder, const char *name, bool reranks)
{
    assay_served *served = &server.models[server.model_count++];
    char path[128];
    snprintf(path, sizeof path, MODELS "%s", folder);
    snprintf(served->name, sizeof served->name, "%s", name);
    if (assay_model_open(path, NULL, &served->model, NULL) != ASSAY_OK)
        abort();
    assay_model_describe(served->model, &served->info);
    for (int role = 0; role < (reranks ? 1 : 3); role++) {
        served->lanes[role] = &server.lanes[server.lane_count++];
        *served->lanes[role] = (assay_lane){
            .kind = reranks ? ASSAY_JOB_RERANK : ASSAY_JOB_EMBED, .model = served->model,
            .role = (assay_role)role};
    }
}

static void start(void)
{
    static assay_served models[2];
    static assay_lane lanes[8];
    assay_http.MHD_get_connection_info = no_info;
    assay_http.MHD_lookup_connection_value = no_header;
    assay_http.MHD_suspend_connection = suspend;
    assay_http.MHD_resume_connection = resume;
    sem_init(&resumed, 0, 0);
    server.models = models;
    server.lanes = lanes;
    server.options = (assay_serve_options){.max_documents = 20, .timeout_ms = 60000};
    serve_model("cross-f32", "cross", true);
    serve_model("dense-mean", "dense", false);
    setenv("ASSAY_HOME", "/nonexistent", 1);
    if (assay_shelf_open(&server.options, &server.shelf, NULL) != ASSAY_OK ||
        assay_desk_open(&server, NULL) != ASSAY_OK)
        abort();
    if (assay_engine_open(lanes, server.lane_count, &(assay_engine_options){.workers = 1},
                          &server.engine, NULL) != ASSAY_OK)
        abort();
}

static void check(const assay_call *call)
{
    if (call->out.failed || call->status < 200 || call->status >= 500)
        __builtin_trap();
    if (strncmp(call->type, "application/json", 16) != 0)
        return;
    json_t *read = json_loadb(call->out.data, call->out.length, JSON_ALLOW_NUL, NULL);
    if (read == NULL)
        __builtin_trap();
    json_decref(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (server.engine == NULL)
        start();
    if (size == 0)
        return 0;
    assay_call *call =
        assay_http_call(&server, NULL, "POST", paths[data[0] % (sizeof paths / sizeof *paths)]);
    if (call == NULL || !assay_route_find(call))
        abort();
    call->body = malloc(size);
    memcpy(call->body, data + 1, size - 1);
    call->body_length = size - 1;
    assay_http_begin(call);
    while (call->suspended && sem_wait(&resumed) != 0) {
        /* libFuzzer's timer interrupts */
    }
    assay_http_finish(call);
    check(call);
    assay_http_free(call);
    return 0;
}
