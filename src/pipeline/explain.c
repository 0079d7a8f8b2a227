/* SPDX-License-Identifier: Apache-2.0 */
/* explain.c: late interaction's account of a hit; see assay_pipeline_explain. */
#include <string.h>

#include "pipeline/late.h"
#include "pipeline/pipeline.h"

/* The session of the pipeline's own late interaction, or one of the default model,
 * opened when it is first asked for. */
static assay_status find_session(assay_pipeline *p, assay_session **out, assay_error *error)
{
    for (size_t i = 0; i < p->settings.options.stage_count; i++)
        if (p->settings.options.stages[i].kind == ASSAY_RERANKER_LATE) {
            *out = assay_reranker_late_session(p->rerankers[i]);
            return ASSAY_OK;
        }
    if (p->explainer.session == NULL) {
        const assay_late_options options = {.model = "late",
                                            .threads = p->settings.options.threads};
        ASSAY_TRY(assay_late_begin(&p->explainer, p->store, &options, error));
    }
    *out = p->explainer.session;
    return ASSAY_OK;
}

/* Places in what the model read, as places in the passage's text, which stands at its
 * end. What matched in title or heading has none. */
static void place_matches(assay_explanation *explanation, size_t before)
{
    for (size_t i = 0; i < explanation->count; i++) {
        assay_match *match = &explanation->matches[i];
        match->in_title = match->end > 0 && match->begin < before;
        bool inside = match->begin >= before && match->end > before;
        match->begin = inside ? match->begin - (uint32_t)before : 0;
        match->end = inside ? match->end - (uint32_t)before : 0;
    }
}

assay_status assay_pipeline_explain(assay_pipeline *pipeline, assay_text query,
                                    const assay_hit *hit, assay_explanation *out,
                                    assay_error *error)
{
    assay_session *session;
    ASSAY_TRY(find_session(pipeline, &session, error));
    assay_buffer context;
    assay_buffer_init(&context, 0);
    assay_passage_context(ASSAY_CONTEXT_SENTENCES, hit->title, hit->heading, hit->text, &context);
    assay_status status = assay_buffer_status(&context, hit->document, error);
    if (status == ASSAY_OK)
        status = assay_explain(session, query, (assay_text){context.data, context.length}, out,
                               error);
    if (status == ASSAY_OK)
        place_matches(out, context.length - hit->text.length);
    assay_buffer_free(&context);
    return status;
}
