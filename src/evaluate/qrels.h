/* SPDX-License-Identifier: Apache-2.0 */
/* qrels.h: what measures need to know of judgments; the rest is in assay.h. */
#ifndef ASSAY_QRELS_H
#define ASSAY_QRELS_H

#include "base/status.h"

/* Reads judgments from memory; `name` is what errors call the file. */
assay_status assay_qrels_parse(const char *data, size_t length, const char *name,
                               assay_qrels **out, assay_error *error);

/* Grade of a document for query number `query`; 0 when it was not judged. */
int32_t assay_qrels_grade(const assay_qrels *qrels, size_t query, const char *document);

/* How many judgments a query has, and the k-th, in no promised order. */
size_t assay_qrels_depth(const assay_qrels *qrels, size_t query);
int32_t assay_qrels_grade_at(const assay_qrels *qrels, size_t query, size_t k);
const char *assay_qrels_document_at(const assay_qrels *qrels, size_t query, size_t k);

#endif
