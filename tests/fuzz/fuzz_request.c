/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_request.c: any bytes as the body of a request, on any path that takes one (the
 * first byte chooses), through dialect, queue and small models, with documents written and
 * answers recorded. The answer is JSON, or text that says so, and never the server's fault.
 * What calls ask of libmicrohttpd is answered by stubs. */
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_server.h"
#include "server/http.h"
#include "server/microhttp.h"
#include "server/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paths[] = {
    "/rerank", "/predict", "/embed", "/v1/embeddings", "/v1/rerank", "/v2/rerank", "/score",
    "/v1/reranking", "/reranking", "/_inference/rerank/x", "/v1/search",
    "/v1/collections/x/search", "/v1/collections/x/documents", "/v1/events", "/tei/rerank",
    "/cohere/v1/rerank", "/jina/v1/rerank", "/voyage/v1/rerank", "/vllm/rerank",
    "/infinity/rerank", "/mixedbread/v1/reranking", "/weaviate/rerank",
    "/v1/collections/x/documents/delete", "/llama/v1/rerank", "/elastic/_inference/rerank/x",
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

static void start(void)
{
    fuzz_server_open(&server, NULL);
    assay_http.MHD_get_connection_info = no_info;
    assay_http.MHD_lookup_connection_value = no_header;
    assay_http.MHD_suspend_connection = suspend;
    assay_http.MHD_resume_connection = resume;
    sem_init(&resumed, 0, 0);
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
    if (!assay_recording_take(call))
        assay_http_free(call);
    return 0;
}
