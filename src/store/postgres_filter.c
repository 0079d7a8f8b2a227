/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_filter.c: a filter's program (text/filter.h) as a query for documents.
 *
 * A comparison is a SELECT of one range of assay.attributes, and, or and not are
 * INTERSECT, UNION and EXCEPT. Only these few words are put together; field names and
 * what is compared with are parameters.
 */
#include <stdlib.h>
#include <string.h>

#include "store/postgres.h"

enum { PARAMETERS = 60000 }; /* PostgreSQL takes 65535 */

/* A set on the stack: its text, and the operator that it has outermost. */
typedef struct set {
    assay_buffer sql;
    const char *operator; /* NULL: it is one SELECT */
} set;

typedef struct writing {
    assay_pg_query *q;
    set stack[ASSAY_FILTER_STACK];
    size_t depth;
} writing;

/* The number of the value just added. */
static int last(const assay_pg_query *q)
{
    return (int)assay_pg_count(q);
}

/* " AND value >= $4" */
static void write_end(writing *w, assay_buffer *sql, const assay_value *value, bool low,
                      bool open)
{
    bool text = value->kind == ASSAY_VALUE_TEXT;
    if (text)
        assay_pg_string(w->q, value->text);
    else if (value->kind == ASSAY_VALUE_NUMBER && !value->is_whole)
        assay_pg_real(w->q, value->real);
    else
        assay_pg_int(w->q, value->whole);
    assay_buffer_format(sql, " AND %s %s%s $%d%s", text ? "value" : "number", low ? ">" : "<",
                        open ? "" : "=", last(w->q), text ? "" : "::numeric");
}

static void write_select(writing *w, const assay_filter_step *step)
{
    set *top = &w->stack[w->depth++];
    assay_buffer_init(&top->sql, 0);
    top->operator = NULL;
    assay_pg_text(w->q, step->field);
    assay_buffer_format(&top->sql, "SELECT document FROM assay.attributes WHERE collection = $1"
                        " AND field = $%d", last(w->q));
    if (step->op == ASSAY_FILTER_EXISTS)
        return;
    assay_value_kind kind = step->has_low ? step->low.kind : step->high.kind;
    assay_pg_int(w->q, (int)kind);
    assay_buffer_format(&top->sql, " AND kind = $%d::bigint", last(w->q));
    if (step->has_low)
        write_end(w, &top->sql, &step->low, true, step->low_open);
    if (step->has_high)
        write_end(w, &top->sql, &step->high, false, step->high_open);
}

static void append_set(assay_buffer *out, const set *s, bool bare)
{
    assay_buffer_string(out, bare ? "" : "(");
    assay_buffer_append(out, s->sql.data, s->sql.length);
    assay_buffer_string(out, bare ? "" : ")");
}

/* The two on top become one. A long list is one operator all along, and only grows. */
static void join(writing *w, const char *operator)
{
    set *left = &w->stack[w->depth - 2], *right = &w->stack[w->depth - 1];
    if (left->operator != NULL && strcmp(left->operator, operator) != 0) {
        assay_buffer whole;
        assay_buffer_init(&whole, 0);
        append_set(&whole, left, false);
        assay_buffer_free(&left->sql);
        left->sql = whole;
    }
    assay_buffer_string(&left->sql, operator);
    append_set(&left->sql, right, right->operator == NULL);
    left->operator = operator;
    assay_buffer_free(&right->sql);
    w->depth--;
}

static void negate(writing *w)
{
    set *top = &w->stack[w->depth - 1];
    assay_buffer whole;
    assay_buffer_init(&whole, 0);
    assay_buffer_string(&whole, "SELECT key FROM assay.documents WHERE collection = $1 EXCEPT ");
    append_set(&whole, top, top->operator == NULL);
    assay_buffer_free(&top->sql);
    top->sql = whole;
    top->operator = " EXCEPT ";
}

assay_status assay_pg_filter_write(const assay_filter *filter, assay_pg_query *q,
                                   assay_buffer *sql, assay_error *error)
{
    writing w = {.q = q};
    size_t count;
    const assay_filter_step *steps = assay_filter_steps(filter, &count);
    for (size_t i = 0; i < count; i++) {
        if (steps[i].op == ASSAY_FILTER_RANGE || steps[i].op == ASSAY_FILTER_EXISTS)
            write_select(&w, &steps[i]);
        else if (steps[i].op == ASSAY_FILTER_NOT)
            negate(&w);
        else
            join(&w, steps[i].op == ASSAY_FILTER_AND ? " INTERSECT " : " UNION ");
    }
    append_set(sql, &w.stack[0], false);
    assay_status status = assay_buffer_status(&w.stack[0].sql, "filter", error);
    for (size_t i = 0; i < w.depth; i++)
        assay_buffer_free(&w.stack[i].sql);
    if (status == ASSAY_OK && assay_pg_count(q) > PARAMETERS)
        status = assay_fail(error, ASSAY_E_LIMIT, "filter",
                            "compares with more than %d values", PARAMETERS);
    return status;
}
