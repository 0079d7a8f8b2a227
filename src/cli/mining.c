/* SPDX-License-Identifier: Apache-2.0 */
/* mining.c: see mining.h. */
#include "cli/mining.h"

#include "cli/progress.h"

int assay_mining_run(assay_store *store, const char *collection, const assay_queries *queries,
                     const assay_qrels *qrels, const char *output,
                     const assay_mine_options *options, assay_mine_report *report)
{
    assay_error error;
    assay_bar bar = assay_bar_new("Mining", "queries");
    assay_status status = assay_mine(store, collection, queries, qrels, output, options,
                                     assay_bar_update, &bar, report, &error);
    assay_bar_clear(&bar);
    if (status == ASSAY_OK)
        return ASSAY_EXIT_OK;
    return assay_report(&error);
}

bool assay_mining_partly(const assay_mine_report *r)
{
    return r->missing_documents + r->missing_queries + r->refused + r->unscored > 0;
}

void assay_mining_print(FILE *stream, const char *output, const assay_mine_report *r)
{
    fprintf(stream, "%s: %llu queries", output, (unsigned long long)(r->queries + r->resumed));
    if (r->resumed)
        fprintf(stream, " (%llu of them from before; the rest:)", (unsigned long long)r->resumed);
    fprintf(stream, "\n  relevant     %llu, of which %llu were not retrieved\n",
            (unsigned long long)r->positives, (unsigned long long)r->missed);
    fprintf(stream, "  not relevant %llu retrieved, %llu drawn at random, %llu judged\n",
            (unsigned long long)r->hard, (unsigned long long)r->random,
            (unsigned long long)r->judged);
    fprintf(stream, "  left out     %llu scored too high, %llu nearly the text of a relevant one\n",
            (unsigned long long)r->suspects, (unsigned long long)r->near_duplicates);
    if (r->unscored)
        fprintf(stream, "  no score     %llu passages, left out\n",
                (unsigned long long)r->unscored);
    if (r->cut)
        fprintf(stream, "  cut          the query out of %llu relevant passages\n",
                (unsigned long long)r->cut);
    if (r->missing_documents + r->missing_queries + r->without_positive + r->refused)
        fprintf(stream,
                "  missing      %llu judged documents, %llu judged queries; %llu queries have "
                "nothing relevant, %llu cannot be searched for\n",
                (unsigned long long)r->missing_documents, (unsigned long long)r->missing_queries,
                (unsigned long long)r->without_positive, (unsigned long long)r->refused);
}
