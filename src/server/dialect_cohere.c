/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_cohere.c: Cohere's rerank, v1 (documents may be objects, of which "text" or
 * the rank_fields are read; return_documents) and v2 (max_tokens_per_doc), as its
 * reference and its SDKs have them.
 *
 * Departs: max_chunks_per_doc changes nothing: a document is one passage, cut at what
 * the model takes.
 */
#include <stdlib.h>
#include <string.h>

#include "server/call.h"

static void fail(assay_call *call)
{
    if (call->fault == ASSAY_FAULT_FIELD || call->fault == ASSAY_FAULT_TOO_MANY ||
        call->fault == ASSAY_FAULT_TOO_LONG)
        call->status = 400;
    assay_write_mark(&call->out, '{');
    assay_write_name(&call->out, "message");
    assay_write_string(&call->out, call->fault == ASSAY_FAULT_KEY ? "invalid api token"
                                                                  : call->message);
    assay_write_mark(&call->out, '}');
}

static bool v1_begin(assay_call *call)
{
    static const assay_ranking_form form = {.query = "query", .documents = "documents",
                                            .top = "top_n", .echo = "return_documents",
                                            .objects = true};
    call->number = 1;
    return assay_ranking_begin(call, &form);
}

static bool v2_begin(assay_call *call)
{
    static const assay_ranking_form form = {.query = "query", .documents = "documents",
                                            .top = "top_n", .echo = "return_documents",
                                            .objects = true};
    call->number = 2;
    return assay_call_cut(call, "max_tokens_per_doc") && assay_ranking_begin(call, &form);
}

/* Cohere counts a search unit for every hundred documents. */
static void write_meta(assay_call *call)
{
    assay_write_name(&call->out, "meta");
    assay_write_format(&call->out,
                       "{\"api_version\":{\"version\":\"%llu\"},\"billed_units\":"
                       "{\"search_units\":%zu}}",
                       (unsigned long long)call->number, (call->ranking.count + 99) / 100);
}

static bool finish(assay_call *call)
{
    assay_writer *out = &call->out;
    if (!assay_ranking_finish(call))
        return false;
    assay_write_mark(out, '{');
    assay_write_name(out, "id");
    assay_write_uuid(out, "");
    assay_write_name(out, "results");
    assay_write_mark(out, '[');
    for (size_t i = 0; i < call->ranking.shown; i++) {
        size_t document = call->ranking.order[i];
        assay_write_mark(out, '{');
        if (call->echo) {
            assay_write_name(out, "document");
            assay_write_document(call, document);
        }
        assay_write_name(out, "index");
        assay_write_count(out, document);
        assay_write_name(out, "relevance_score");
        assay_write_float(out, assay_ranking_score(call, document));
        assay_write_mark(out, '}');
    }
    assay_write_mark(out, ']');
    write_meta(call);
    assay_write_mark(out, '}');
    return true;
}

static const assay_route routes[] = {
    {"POST", "/v1/rerank", v1_begin, finish, 0},
    {"POST", "/v2/rerank", v2_begin, finish, 0},
    {0},
};

const assay_dialect assay_dialect_cohere = {"cohere", fail, routes};
