/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h: one HTTP request on its way: what came, what is asked of the engine,
 * what goes back. A dialect reads the body with the functions here, submits a
 * job, and writes the answer when the job is done; how an error looks is the
 * dialect's, which error it is says assay_fault.
 */
#ifndef ASSAY_SERVER_CALL_H
#define ASSAY_SERVER_CALL_H

#include <jansson.h>

#include "server/engine.h"
#include "server/server.h"
#include "server/writer.h"

typedef enum assay_fault {
    ASSAY_FAULT_NONE,
    ASSAY_FAULT_JSON,       /* the body is not JSON, or not UTF-8, or too deep */
    ASSAY_FAULT_FIELD,      /* a field is missing, of a wrong type, or out of range */
    ASSAY_FAULT_EMPTY,      /* nothing to work on */
    ASSAY_FAULT_TOO_MANY,   /* documents */
    ASSAY_FAULT_TOO_LONG,   /* a text, for the model */
    ASSAY_FAULT_TOO_LARGE,  /* the body */
    ASSAY_FAULT_MEDIA,      /* the body is said to be something else than JSON */
    ASSAY_FAULT_KEY,        /* no API key, or a wrong one */
    ASSAY_FAULT_FORBIDDEN,  /* the server does not do that */
    ASSAY_FAULT_RATE,       /* the key's limit */
    ASSAY_FAULT_PATH,
    ASSAY_FAULT_METHOD,
    ASSAY_FAULT_MODEL,      /* no such model, or collection */
    ASSAY_FAULT_OVERLOADED,
    ASSAY_FAULT_EXPIRED,    /* the deadline passed */
    ASSAY_FAULT_DRAINING,
    ASSAY_FAULT_INTERNAL,
    ASSAY_FAULTS,
} assay_fault;

typedef struct assay_route assay_route;

/* A list of documents against a query: the shape of every rerank request. */
typedef struct assay_ranking {
    const json_t *documents; /* as they came */
    size_t count, shown;     /* of order, to be answered */
    size_t *order;           /* [count] best first */
} assay_ranking;

/* A hit, from which of the job's results. */
typedef struct assay_answer_hit {
    const assay_hit *hit;
    bool second;
} assay_answer_hit;

typedef struct assay_call {
    /* What came. */
    assay_server *server;
    void *connection;         /* libmicrohttpd's */
    const char *method, *path;
    char id[65];
    char remote[64];
    assay_grant grant;        /* of its API key */
    char traceparent[64];     /* the header, where spans are sent; "" for none */
    const assay_route *route; /* NULL for a path that is not known */
    const struct assay_dialect *dialect;
    bool shared;              /* a path of several dialects, without the name of one */
    const char *rest;         /* of the path, behind a route that ends in "*" */
    char allowed[64];         /* the methods that the path has, where this one is not */
    char *body;
    size_t body_length, body_capacity;
    uint64_t body_expected;   /* Content-Length; 0 when it was not said */
    json_t *json;             /* the body, read */
    double begun;

    /* What is asked of the engine. */
    assay_job job;
    bool submitted; /* and taken by the engine */
    bool suspended;
    assay_models *models;     /* taken until the call is freed; NULL: not needed yet */
    const assay_served *model;
    assay_pair *pairs;        /* owned */
    assay_text *texts;        /* owned */
    void **kept;              /* owned: texts made of documents */
    size_t kept_count;
    assay_ranking ranking;

    /* Settings that a dialect notes for its answer. */
    bool raw, echo, single, base64, truncate, left;
    uint64_t number, cut;

    /* Of a search, and of any call what a clerk does of it. */
    assay_shelved *shelved;   /* taken until the call is freed */
    const char *collection, *pipeline, *rival, *session;
    assay_trial trial;
    bool sampled;             /* to be recorded */
    assay_answer_hit *hits;   /* [hit_count], of which [shown] are answered */
    size_t hit_count, shown;
    void *work;

    /* What goes back. */
    unsigned status;
    const char *type;         /* of the content */
    assay_writer out;
    assay_writer headers;     /* "Name: value\n" lines */
    assay_fault fault;
    char field[128];          /* that the fault is about; "" for none */
    char message[512];
    bool close;
} assay_call;

typedef struct assay_dialect {
    const char *name;
    /* Writes the body of an error, and may change call->status, which is set to
     * what most would say. */
    void (*fail)(assay_call *call);
    const assay_route *routes;
} assay_dialect;

/* A method and path. begin reads the body and submits, or answers at once; finish
 * writes the answer when the job is done. Both return false after a fault. */
struct assay_route {
    const char *method; /* NULL ends a table */
    const char *path;   /* may end in "*" */
    bool (*begin)(assay_call *call);
    bool (*finish)(assay_call *call); /* NULL where begin answers */
    unsigned flags;                   /* of ASSAY_ROUTE_* */
};

enum {
    ASSAY_ROUTE_OPEN = 1, /* needs no API key */
    ASSAY_ROUTE_LIST = 2, /* the body may be a list */
    ASSAY_ROUTE_REPORT = 4, /* tells what users do: keys need the right to it */
};

extern const assay_dialect assay_dialect_own, assay_dialect_tei, assay_dialect_openai,
    assay_dialect_cohere, assay_dialect_jina, assay_dialect_voyage, assay_dialect_vllm,
    assay_dialect_llama, assay_dialect_infinity, assay_dialect_mixedbread,
    assay_dialect_elastic, assay_dialect_weaviate;

/* The web page and its parts (page.c). */
bool assay_page_html_begin(assay_call *call);
bool assay_page_css_begin(assay_call *call);
bool assay_page_js_begin(assay_call *call);
bool assay_page_report_begin(assay_call *call);
bool assay_page_openapi_begin(assay_call *call);

/* ---- Faults. All return false. */
bool assay_call_fail(assay_call *call, assay_fault fault, const char *field,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
bool assay_call_fail_memory(assay_call *call);
/* What the library said: an error of the job's. */
bool assay_call_fail_error(assay_call *call, const assay_error *error);

/* ---- Fields of the body, or of an object in it. An absent or null field leaves
 * *out as it is, unless it is required. */
bool assay_call_text(assay_call *call, const char *name, bool required, assay_text *out);
/* A text without a zero in it, as a string: */
bool assay_call_name(assay_call *call, const char *name, const char **out);
bool assay_call_flag(assay_call *call, const json_t *object, const char *name, bool *out);
bool assay_call_count(assay_call *call, const json_t *object, const char *name, uint64_t low,
                      uint64_t high, uint64_t *out);
bool assay_call_number(assay_call *call, const char *name, double low, double high,
                       assay_setting *out);
const json_t *assay_call_list(assay_call *call, const char *name); /* NULL: after a fault */
assay_text assay_json_text_of(const json_t *string);

/* Memory that lives as long as the call; NULL after a fault. */
void *assay_call_keep(assay_call *call, size_t bytes);

/* ---- Work. */

/* The served model that the field `model` names, or the only one of its kind, which
 * embeds or reranks: call->model. Where one is served, any name means it, as clients name models
 * of the service that they were written for. */
bool assay_call_model(assay_call *call, bool embeds);
/* All that are served, the same ones until the call's end. */
const assay_models *assay_call_models(assay_call *call);

typedef struct assay_ranking_form {
    const char *query, *documents, *top, *echo; /* names of the fields; top, echo: NULL */
    enum { ASSAY_TOP_ONE, ASSAY_TOP_NONE, ASSAY_TOP_ALL } zero; /* what a count of 0 means:
                                                     ONE, that it has to be at least one */
    bool objects; /* documents may be objects, of which "text" or rank_fields count */
} assay_ranking_form;

/* Reads a rerank request of this form and submits it. */
bool assay_ranking_begin(assay_call *call, const assay_ranking_form *form);
/* Sorts: by logit, ties by input order, failed passages last. False: fault. */
bool assay_ranking_finish(assay_call *call);
/* Score of a document: the probability, or the logit where raw is asked for. */
float assay_ranking_score(const assay_call *call, size_t document);
assay_text assay_ranking_text(const assay_call *call, size_t document);

/* {"text": ..} of a document that came as a string, else the object that came. */
void assay_write_document(assay_call *call, size_t document);
/* The member "usage" as OpenAI has it: tokens of prompt and total, the same here. */
void assay_write_usage(assay_call *call);
/* The field says how many tokens of each document count; read before the ranking
 * begins. */
bool assay_call_cut(assay_call *call, const char *field);

/* Submits pairs of which call->pairs [count] is filled. */
bool assay_call_score(assay_call *call, size_t count);
/* Reads the texts in the field (a string or a list of strings: call->single tells)
 * and submits them to be embedded. */
bool assay_call_embed(assay_call *call, const char *field, assay_role role);

/* Vector i of the answer, cut to call->number dimensions; with unit, of length 1. */
const float *assay_embedding_of(assay_call *call, size_t i, bool unit);

bool assay_call_submit(assay_call *call);
/* Whether the job came to its end; a fault otherwise. */
bool assay_call_check(assay_call *call);

/* A new UUID (RFC 9562, version 4) as a JSON string, after a prefix. */
void assay_write_uuid(assay_writer *out, const char *prefix);

/* "Name: value" among the headers of the answer. */
void assay_call_header(assay_call *call, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A header of the request; NULL when it is not there. */
const char *assay_call_asked(const assay_call *call, const char *name);
/* A parameter in the address, decoded; NULL when it is not there. */
const char *assay_call_parameter(const assay_call *call, const char *name);

#endif
