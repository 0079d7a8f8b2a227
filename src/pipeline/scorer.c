/* SPDX-License-Identifier: Apache-2.0 */
/* scorer.c: see scorer.h. */
#include "pipeline/scorer.h"

assay_status assay_scorer_open(assay_scorer *scorer, assay_store *store, assay_model *model,
                               uint32_t threads, assay_error *error)
{
    *scorer = (assay_scorer){.store = store};
    assay_passage_tokenizer_open(&scorer->maker, assay_model_tokenizer(model));
    return assay_session_open(model, &(assay_session_options){.threads = threads},
                              &scorer->session, error);
}

void assay_scorer_close(assay_scorer *scorer)
{
    assay_session_close(scorer->session);
    assay_passage_tokenizer_close(&scorer->maker);
    *scorer = (assay_scorer){0};
}

/* What the model reads of a passage: the ids that were kept, or made now. */
static assay_status read_passage(assay_scorer *scorer, const assay_passage_view *view,
                                 assay_arena *arena, assay_token_ids *out,
                                 assay_score_sources *sources, assay_error *error)
{
    ASSAY_TRY(assay_tokens_get(scorer->store, view->passage, &scorer->maker.digest, arena, out,
                               error));
    bool enough = out->count == out->total || out->count >= assay_cross_room(scorer->session);
    if (out->ids == NULL || !enough) {
        sources->tokenized++;
        ASSAY_TRY(assay_passage_tokenizer_encode(&scorer->maker, view->title, view->heading,
                                                 view->text, arena, out, error));
    }
    assay_cross_cut(scorer->session, out);
    return ASSAY_OK;
}

assay_status assay_scorer_score(assay_scorer *scorer, assay_text query,
                                const assay_passage_view *const *passages, size_t count,
                                assay_arena *arena, assay_score *scores,
                                assay_score_sources *sources, assay_error *error)
{
    assay_token_ids *ids = assay_arena_small(arena, count * sizeof *ids);
    if (ids == NULL)
        return assay_fail_memory(error, count * sizeof *ids);
    *sources = (assay_score_sources){0};
    ASSAY_TRY(assay_cross_query(scorer->session, query, error));
    for (size_t i = 0; i < count; i++)
        ASSAY_TRY(read_passage(scorer, passages[i], arena, &ids[i], sources, error));
    return assay_cross_score(scorer->session, ids, count, scores, error);
}
