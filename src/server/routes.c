/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.c: which dialect a request is of.
 *
 * Every dialect's paths are found under its name ("/voyage/v1/rerank"), exactly as
 * it has them: a client whose base URL ends in the name gets that dialect and no
 * other, and OpenAI's embeddings and /health, which most have beside it. Without the
 * name, the first dialect in the list that has the path answers; on the paths that
 * several have, the body decides, by the fields that only one of them knows. "vllm"
 * answers what is left on /rerank, as its answer holds what clients of the others
 * read; "jina" on /v1/rerank.
 */
#include <stdio.h>
#include <string.h>

#include "server/http.h"

static const assay_dialect *const dialects[] = {
    &assay_dialect_own,  &assay_dialect_tei,      &assay_dialect_openai,
    &assay_dialect_cohere, &assay_dialect_jina,   &assay_dialect_voyage,
    &assay_dialect_vllm, &assay_dialect_llama,    &assay_dialect_infinity,
    &assay_dialect_mixedbread, &assay_dialect_elastic, &assay_dialect_weaviate,
};
enum { DIALECTS = sizeof dialects / sizeof *dialects };

/* The paths that several have. */
static const char *const shared_paths[] = {"/rerank", "/v1/rerank", "/v2/rerank",
                                           "/v1/reranking", "/reranking"};

static bool is_shared(const char *path)
{
    for (size_t i = 0; i < sizeof shared_paths / sizeof *shared_paths; i++) {
        if (strcmp(path, shared_paths[i]) == 0)
            return true;
    }
    return false;
}

static bool path_fits(const assay_route *route, const char *path, const char **rest)
{
    size_t length = strlen(route->path);
    if (route->path[length - 1] != '*')
        return strcmp(route->path, path) == 0;
    if (strncmp(route->path, path, length - 1) != 0 || path[length - 1] == '\0')
        return false;
    *rest = path + length - 1;
    return true;
}

static bool method_fits(const assay_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* Adds a method to those that the path has. */
static void allow(assay_call *call, const char *method)
{
    size_t length = strlen(call->allowed);
    if (strstr(call->allowed, method) == NULL)
        snprintf(call->allowed + length, sizeof call->allowed - length, "%s%s",
                 length > 0 ? ", " : "", method);
}

/* Looks in one dialect's table. */
static bool find_in(assay_call *call, const assay_dialect *dialect, const char *path)
{
    for (const assay_route *route = dialect->routes; route->method != NULL; route++) {
        if (!path_fits(route, path, &call->rest))
            continue;
        if (call->dialect == NULL)
            call->dialect = dialect;
        if (!method_fits(route, call->method)) {
            allow(call, route->method);
            continue;
        }
        call->dialect = dialect;
        call->route = route;
        return true;
    }
    return false;
}

/* The path behind "/name"; NULL where it does not begin so. */
static const char *path_behind(const char *path, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(path + 1, name, length) != 0)
        return NULL;
    const char *behind = path + length + 1;
    return *behind == '\0' ? "/" : *behind == '/' ? behind : NULL;
}

/* What servers have beside their dialect: embeddings, the list of models, health. */
static bool find_beside(assay_call *call, const char *path)
{
    if (call->allowed[0] != '\0')
        return false;
    return find_in(call, strcmp(path, "/health") == 0 ? &assay_dialect_own : &assay_dialect_openai,
                   path);
}

bool assay_route_find(assay_call *call)
{
    const char *path = call->path;
    if (path[0] != '/')
        return false;
    for (size_t i = 0; i < DIALECTS; i++) {
        const char *behind = path_behind(path, dialects[i]->name);
        if (behind == NULL)
            continue;
        call->dialect = dialects[i]; /* even where it has no such path: its words for that */
        return find_in(call, dialects[i], behind) || find_beside(call, behind);
    }
    call->shared = is_shared(path);
    for (size_t i = 0; i < DIALECTS; i++) {
        if (find_in(call, dialects[i], path))
            return true;
    }
    return false;
}

/* ------------------------------------------------------------ by the body */

static bool has(const json_t *body, const char *field)
{
    return json_object_get(body, field) != NULL;
}

/* SDKs of Cohere's say which they are. */
static bool from_cohere(const assay_call *call)
{
    return assay_call_asked(call, "X-Fern-Language") != NULL ||
           assay_call_asked(call, "X-Client-Name") != NULL;
}

static const assay_dialect *dialect_of(const assay_call *call)
{
    const json_t *body = call->json;
    if (has(body, "texts"))
        return &assay_dialect_tei;
    if (has(body, "input"))
        return &assay_dialect_mixedbread;
    if (has(body, "top_k") || has(body, "truncation"))
        return &assay_dialect_voyage;
    if (from_cohere(call) || has(body, "rank_fields") || has(body, "max_chunks_per_doc") ||
        has(body, "max_tokens_per_doc"))
        return &assay_dialect_cohere;
    if (has(body, "truncate_prompt_tokens"))
        return &assay_dialect_vllm;
    if (has(body, "raw_scores"))
        return &assay_dialect_infinity;
    if (strcmp(call->path, "/rerank") == 0) {
        if (has(body, "return_documents"))
            return &assay_dialect_infinity;
        bool bare = has(body, "documents") && json_object_size(body) == 2;
        return bare || has(body, "property") ? &assay_dialect_weaviate : &assay_dialect_vllm;
    }
    if (strcmp(call->path, "/v1/rerank") == 0)
        return &assay_dialect_jina;
    return NULL;
}

void assay_route_choose(assay_call *call)
{
    const assay_route *route = call->route;
    const assay_dialect *dialect = call->shared ? dialect_of(call) : NULL;
    if (dialect != NULL && !find_in(call, dialect, call->path))
        call->route = route; /* the dialect does not have this path */
}
