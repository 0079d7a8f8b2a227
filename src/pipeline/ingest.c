/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest.c: assay_index: documents out of files into a collection.
 *
 * Changed documents gather in a batch until it holds enough passages to keep
 * the encoder busy; then all its passages are embedded and the documents
 * written, with passages, BM25 and vectors, in one transaction. What is written
 * is whole, so resuming needs no bookkeeping: a second call finds the digests
 * of what is there and takes the rest.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "pipeline/late.h"
#include "pipeline/vector_choice.h"
#include "pipeline/vectors.h"
#include "text/context.h"
#include "text/passages.h"
#include "text/walk.h"

enum {
    BATCH_PASSAGES = 64,            /* written in one transaction, at least */
    SLICE_PASSAGES = 16,            /* embedded between two looks at the progress callback */
    BATCH_BYTES = 4 << 20,          /* of text */
    MAX_DOCUMENT = 512 << 20,       /* bytes; what the readers let through */
    TOKENIZE_PASSAGES = 256,        /* completed in one transaction */
};

typedef struct ingest {
    assay_store *store;
    assay_collection collection;
    const assay_index_options *options;
    assay_model *model; /* NULL: BM25 only */
    assay_session *session;
    assay_passage_tokenizer maker;
    assay_progress_fn progress;
    void *user;
    assay_index_report *report;
    assay_reader *reader;

    /* The batch. Documents and their strings lie in the arena. */
    assay_arena *arena;
    assay_stored_document *documents; /* [capacity] */
    size_t count, capacity;
    size_t passages, bytes;
    uint64_t added, changed, empty; /* of the batch; reported when it is written */
    assay_passage_list split;
    float *vectors; /* [passages][dimensions] */
    size_t vectors_capacity;
    assay_buffer context;
} ingest;

/* ---------------------------------------------------------------- set up */

static bool all_beir(const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!assay_is_beir_folder(paths[i]))
            return false;
    return count > 0;
}

static assay_status check_options(const assay_index_options *options, assay_error *error)
{
    if (options->overlap_tokens > 0 && options->passage_tokens == ASSAY_WHOLE_DOCUMENT)
        return assay_fail(error, ASSAY_E_ARGUMENT, "overlap_tokens",
                          "passages that are whole documents cannot overlap");
    uint32_t budget = options->passage_tokens > 0 ? options->passage_tokens
                                                  : ASSAY_PASSAGE_TOKENS;
    if (options->overlap_tokens >= budget)
        return assay_fail(error, ASSAY_E_ARGUMENT, "overlap_tokens",
                          "%" PRIu32 " must be less than the passage budget of %" PRIu32,
                          options->overlap_tokens, budget);
    if ((unsigned)options->vectors > ASSAY_VECTORS_IVF)
        return assay_fail(error, ASSAY_E_ARGUMENT, "vectors", "%d is no kind of index",
                          (int)options->vectors);
    if ((unsigned)options->codes > ASSAY_CODES_B1)
        return assay_fail(error, ASSAY_E_ARGUMENT, "codes", "%d is no kind of code",
                          (int)options->codes);
    if ((unsigned)options->late_codes > ASSAY_LATE_CODES_F16)
        return assay_fail(error, ASSAY_E_ARGUMENT, "late_codes", "%d is no kind of code",
                          (int)options->late_codes);
    if (options->late_pool > ASSAY_LATE_POOL_MAX)
        return assay_fail(error, ASSAY_E_ARGUMENT, "late_pool", "%" PRIu32 ", expected at most %d",
                          options->late_pool, ASSAY_LATE_POOL_MAX);
    return ASSAY_OK;
}

static assay_status open_model(ingest *in, const char *name, assay_error *error)
{
    ASSAY_TRY(assay_model_open(name, NULL, &in->model, error));
    assay_model_info info;
    assay_model_describe(in->model, &info);
    if (info.kind != ASSAY_MODEL_BI_ENCODER)
        return assay_fail(error, ASSAY_E_ARGUMENT, info.path,
                          "is %s (%s); an index needs a bi-encoder",
                          info.kind == ASSAY_MODEL_LATE ? "for late interaction"
                                                        : "a cross-encoder",
                          info.architecture);
    assay_session_options options = {.threads = in->options->threads,
                                     .role = ASSAY_ROLE_PASSAGE};
    return assay_session_open(in->model, &options, &in->session, error);
}

static void close_model(ingest *in)
{
    assay_session_close(in->session);
    assay_model_close(in->model);
    in->session = NULL;
    in->model = NULL;
}

/* Makes the collection that does not exist yet. */
static assay_status create_collection(ingest *in, const char *name, const char *const *paths,
                                      size_t count, assay_error *error)
{
    const assay_index_options *options = in->options;
    const char *model = options->model != NULL ? options->model : "dense";
    assay_collection_config config = {.overlap_tokens = options->overlap_tokens};
    config.passage_tokens = options->passage_tokens;
    if (config.passage_tokens == 0)
        config.passage_tokens =
            all_beir(paths, count) ? ASSAY_WHOLE_DOCUMENT : ASSAY_PASSAGE_TOKENS;
    if (config.passage_tokens == ASSAY_WHOLE_DOCUMENT && config.overlap_tokens > 0)
        config.passage_tokens = ASSAY_PASSAGE_TOKENS;
    if (strcmp(model, "none") != 0) {
        ASSAY_TRY(open_model(in, model, error));
        assay_model_info info;
        assay_model_describe(in->model, &info);
        snprintf(config.model, sizeof config.model, "%s", model);
        memcpy(config.model_digest, info.digest, sizeof config.model_digest);
        config.dimensions = info.dimensions;
    }
    return assay_collection_create(in->store, name, &config, &in->collection, error);
}

static assay_status conflict(const ingest *in, const char *what, const char *is,
                             const char *asked, assay_error *error)
{
    return assay_fail(error, ASSAY_E_ARGUMENT, in->collection.name,
                      "the collection was made with %s %s, not %s; leave the option out, or "
                      "index into another collection",
                      what, is, asked);
}

/* A number of tokens as the option that sets it is written. */
static const char *budget_name(uint32_t tokens, char name[16])
{
    if (tokens == ASSAY_WHOLE_DOCUMENT)
        return "all";
    snprintf(name, 16, "%" PRIu32, tokens);
    return name;
}

/* Opens the model that an existing collection was made with, and refuses
 * options that ask for something else. */
static assay_status adopt_collection(ingest *in, assay_error *error)
{
    const assay_collection_config *config = &in->collection.config;
    const assay_index_options *options = in->options;
    char is[16], asked[16];
    if (options->passage_tokens > 0 && options->passage_tokens != config->passage_tokens)
        return conflict(in, "passage tokens", budget_name(config->passage_tokens, is),
                        budget_name(options->passage_tokens, asked), error);
    if (options->overlap_tokens > 0 && options->overlap_tokens != config->overlap_tokens)
        return conflict(in, "overlap tokens", budget_name(config->overlap_tokens, is),
                        budget_name(options->overlap_tokens, asked), error);
    bool has_model = config->model[0] != '\0';
    const char *model = options->model != NULL ? options->model
                        : has_model            ? config->model
                                               : "none";
    if ((strcmp(model, "none") != 0) != has_model)
        return conflict(in, "model", has_model ? config->model : "none", model, error);
    if (!has_model)
        return ASSAY_OK;
    ASSAY_TRY(open_model(in, model, error));
    assay_model_info info;
    assay_model_describe(in->model, &info);
    if (strcmp(info.digest, config->model_digest) != 0)
        return conflict(in, "model", config->model,
                        options->model != NULL ? model : "the weights that it has now", error);
    return ASSAY_OK;
}

static assay_status open_collection(ingest *in, const char *name, const char *const *paths,
                                    size_t count, assay_error *error)
{
    assay_error problem;
    assay_status status = assay_collection_open(in->store, name, &in->collection, &problem);
    if (status == ASSAY_E_NOT_FOUND) {
        status = create_collection(in, name, paths, count, &problem);
        if (status == ASSAY_OK)
            return ASSAY_OK;
        /* Another process may have made it between the two calls. */
        if (assay_collection_open(in->store, name, &in->collection, NULL) == ASSAY_OK) {
            close_model(in);
            status = ASSAY_OK;
        }
    }
    if (status == ASSAY_OK)
        return adopt_collection(in, error);
    if (error != NULL)
        *error = problem;
    return status;
}

/* --------------------------------------------------------------- progress */

static assay_status tell(ingest *in, const char *item, const assay_error *problem,
                         assay_error *error)
{
    if (in->progress == NULL)
        return ASSAY_OK;
    assay_progress step = {.phase = ASSAY_PHASE_INDEX, .item = item, .problem = problem};
    assay_reader_progress(in->reader, &step.done, &step.total);
    if (!in->progress(&step, in->user))
        return assay_fail(error, ASSAY_E_INTERRUPTED, in->collection.name,
                          "interrupted; what is finished is kept, and the same call resumes");
    return ASSAY_OK;
}

/* ------------------------------------------------------------------ batch */

static void batch_clear(ingest *in)
{
    assay_arena_reset(in->arena);
    in->count = in->passages = in->bytes = 0;
    in->added = in->changed = in->empty = 0;
}

/* What the bi-encoder reads of passage p, appended to the context buffer. */
static assay_status context_of(ingest *in, const assay_stored_document *d,
                               const assay_stored_passage *p, assay_error *error)
{
    assay_text text = {d->text.data + p->offset, (size_t)p->length};
    assay_passage_context(ASSAY_CONTEXT_WORDS, d->title, p->heading, text, &in->context);
    return assay_buffer_status(&in->context, d->id, error);
}

/* Embeds passages[count] of one batch; a slice, so that progress is told. */
static assay_status embed_slice(ingest *in, assay_stored_document *const *owners,
                                assay_stored_passage *const *passages, size_t count,
                                float *vectors, assay_error *error)
{
    size_t offsets[SLICE_PASSAGES + 1] = {0};
    assay_text texts[SLICE_PASSAGES];
    assay_embedding_info infos[SLICE_PASSAGES];
    assay_buffer_clear(&in->context);
    for (size_t i = 0; i < count; i++) {
        ASSAY_TRY(context_of(in, owners[i], passages[i], error));
        offsets[i + 1] = in->context.length;
    }
    for (size_t i = 0; i < count; i++)
        texts[i] = (assay_text){in->context.data + offsets[i], offsets[i + 1] - offsets[i]};
    ASSAY_TRY(assay_embed(in->session, texts, count, vectors, infos, error));
    size_t d = in->collection.config.dimensions;
    for (size_t i = 0; i < count; i++) {
        assay_vector_scale(vectors + i * d, d);
        passages[i]->vector = vectors + i * d;
        passages[i]->truncated = infos[i].truncated;
    }
    return ASSAY_OK;
}

static assay_status embed_batch(ingest *in, assay_error *error)
{
    size_t d = in->collection.config.dimensions;
    if (in->passages > in->vectors_capacity) {
        float *vectors = realloc(in->vectors, in->passages * d * sizeof *vectors);
        if (vectors == NULL)
            return assay_fail_memory(error, in->passages * d * sizeof *vectors);
        in->vectors = vectors;
        in->vectors_capacity = in->passages;
    }
    assay_stored_document *owners[SLICE_PASSAGES];
    assay_stored_passage *slice[SLICE_PASSAGES];
    size_t filled = 0, done = 0;
    for (size_t i = 0; i < in->count; i++) {
        assay_stored_document *document = &in->documents[i];
        for (size_t j = 0; j < document->passage_count; j++) {
            owners[filled] = document;
            slice[filled++] = (assay_stored_passage *)&document->passages[j];
            if (filled < SLICE_PASSAGES && done + filled < in->passages)
                continue;
            ASSAY_TRY(embed_slice(in, owners, slice, filled, in->vectors + done * d, error));
            done += filled;
            filled = 0;
            ASSAY_TRY(tell(in, document->id, NULL, error));
        }
    }
    return ASSAY_OK;
}

static assay_status put_batch(ingest *in, assay_error *error)
{
    ASSAY_TRY(assay_store_begin(in->store, error));
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < in->count && status == ASSAY_OK; i++)
        status = assay_document_put(in->store, &in->collection, &in->documents[i], error);
    if (status == ASSAY_OK)
        status = assay_store_commit(in->store, error);
    if (status != ASSAY_OK)
        assay_store_rollback(in->store);
    return status;
}

/* Token ids of all passages, for the rerankers to come. */
static assay_status tokenize_batch(ingest *in, assay_error *error)
{
    if (in->maker.tokenizer == NULL)
        return ASSAY_OK;
    for (size_t i = 0; i < in->count; i++) {
        assay_stored_document *d = &in->documents[i];
        d->tokenizer = &in->maker.digest;
        for (size_t j = 0; j < d->passage_count; j++) {
            assay_stored_passage *p = (assay_stored_passage *)&d->passages[j];
            assay_text text = {d->text.data + p->offset, (size_t)p->length};
            assay_token_ids ids;
            ASSAY_TRY(assay_passage_tokenizer_encode(&in->maker, d->title, p->heading, text,
                                             in->arena, &ids, error));
            p->ids = ids.ids;
            p->id_count = ids.count;
        }
    }
    return ASSAY_OK;
}

/* Embeds and writes what has gathered. */
static assay_status batch_flush(ingest *in, assay_error *error)
{
    if (in->count == 0)
        return ASSAY_OK;
    ASSAY_TRY(tokenize_batch(in, error));
    if (in->session != NULL)
        ASSAY_TRY(embed_batch(in, error));
    ASSAY_TRY(put_batch(in, error));
    in->report->added += in->added;
    in->report->changed += in->changed;
    in->report->empty += in->empty;
    for (size_t i = 0; i < in->count; i++) {
        const assay_stored_document *d = &in->documents[i];
        for (size_t j = 0; j < d->passage_count; j++)
            in->report->truncated += d->passages[j].truncated;
        in->report->passages += d->passage_count;
        in->report->bytes += d->text.length;
    }
    batch_clear(in);
    return ASSAY_OK;
}

static assay_status batch_reserve(ingest *in, assay_error *error)
{
    if (in->count < in->capacity)
        return ASSAY_OK;
    size_t capacity = in->capacity > 0 ? 2 * in->capacity : 64;
    assay_stored_document *documents = realloc(in->documents, capacity * sizeof *documents);
    if (documents == NULL)
        return assay_fail_memory(error, capacity * sizeof *documents);
    in->documents = documents;
    in->capacity = capacity;
    return ASSAY_OK;
}

/* Copies the document and its passages, which end with the reader's next call,
 * into the batch. */
static assay_status batch_add(ingest *in, const assay_document *document, assay_digest digest,
                              assay_error *error)
{
    ASSAY_TRY(batch_reserve(in, error));
    size_t n = in->split.count;
    assay_arena *arena = in->arena;
    const char *metadata = document->metadata;
    assay_stored_passage *passages = assay_arena_small(arena, n * sizeof *passages);
    assay_stored_document stored = {
        .id = assay_arena_copy(arena, document->id, strlen(document->id)),
        .title = assay_arena_copy(arena, document->title, strlen(document->title)),
        .source = assay_arena_copy(arena, document->source, strlen(document->source)),
        .metadata = metadata ? assay_arena_copy(arena, metadata, strlen(metadata)) : NULL,
        .text = {assay_arena_copy(arena, document->text.data, document->text.length),
                 document->text.length},
        .digest = digest,
        .passages = passages,
        .passage_count = n,
    };
    bool whole = passages && stored.id && stored.title && stored.source && stored.text.data &&
                 (stored.metadata || metadata == NULL);
    for (size_t i = 0; i < n && whole; i++) {
        const assay_passage *p = &in->split.items[i];
        passages[i] = (assay_stored_passage){
            .offset = p->offset,
            .length = p->length,
            .heading = assay_arena_copy(arena, p->heading, strlen(p->heading)),
            .tokens = p->tokens,
        };
        whole = passages[i].heading != NULL;
    }
    if (!whole)
        return assay_fail_memory(error, document->text.length);
    in->documents[in->count++] = stored;
    in->passages += n;
    in->bytes += document->text.length;
    return ASSAY_OK;
}

/* -------------------------------------------------------------- documents */

/* What a stored document, its passages and vectors depend on; not its source:
 * what has only moved is not embedded again. */
static assay_status digest_of(const assay_document *document, assay_digest *out,
                              assay_error *error)
{
    assay_hasher *hasher = assay_hasher_new();
    if (hasher == NULL)
        return assay_fail_memory(error, 1024);
    const char *const strings[] = {document->title,
                                   document->metadata ? document->metadata : ""};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        assay_hasher_add(hasher, strings[i], strlen(strings[i]));
    assay_hasher_add(hasher, document->text.data, document->text.length);
    for (size_t i = 0; i < document->heading_count; i++) {
        const assay_heading *heading = &document->headings[i];
        uint64_t offset = heading->offset;
        assay_hasher_add(hasher, &offset, sizeof offset);
        assay_hasher_add(hasher, heading->path, strlen(heading->path));
    }
    *out = assay_hasher_finish(hasher);
    return ASSAY_OK;
}

static assay_status take_document(ingest *in, const assay_document *document,
                                  assay_error *error)
{
    in->report->seen++;
    bool again = false;
    ASSAY_TRY(assay_scan_mark(in->store, &in->collection, document->id, document->source,
                              &again, error));
    if (again)
        return assay_fail(error, ASSAY_E_FORMAT, document->source,
                          "a second document with the id \"%s\"; the first is kept",
                          document->id);
    assay_digest digest, stored;
    bool found;
    ASSAY_TRY(digest_of(document, &digest, error));
    ASSAY_TRY(assay_document_digest(in->store, &in->collection, document->id, &found, &stored,
                                    error));
    if (found && !in->options->rebuild &&
        memcmp(stored.bytes, digest.bytes, sizeof digest.bytes) == 0) {
        in->report->unchanged++;
        return ASSAY_OK;
    }
    const assay_tokenizer *tokenizer = in->model ? assay_model_tokenizer(in->model) : NULL;
    ASSAY_TRY(assay_split_passages(tokenizer, document, in->collection.config.passage_tokens,
                                   in->collection.config.overlap_tokens, &in->split, error));
    ASSAY_TRY(batch_add(in, document, digest, error));
    in->added += !found;
    in->changed += found;
    in->empty += in->split.count == 0;
    return ASSAY_OK;
}

/* Whether a failure is the document's own, so that the others go on. */
static bool own_fault(assay_status status)
{
    return status == ASSAY_E_FORMAT || status == ASSAY_E_LIMIT || status == ASSAY_E_UNSUPPORTED;
}

static assay_status read_all(ingest *in, assay_error *error)
{
    for (;;) {
        assay_document document;
        assay_error problem;
        assay_status status = ASSAY_OK;
        assay_reading reading = assay_reader_next(in->reader, &document, &problem);
        if (reading == ASSAY_READ_END)
            return batch_flush(in, error);
        if (reading == ASSAY_READ_DOCUMENT)
            status = take_document(in, &document, &problem);
        bool failed = reading == ASSAY_READ_FAILURE || own_fault(status);
        if (status != ASSAY_OK && !failed) {
            if (error != NULL)
                *error = problem;
            return status;
        }
        in->report->failed += failed;
        ASSAY_TRY(tell(in, failed ? NULL : document.id, failed ? &problem : NULL, error));
        if (in->passages >= BATCH_PASSAGES || in->bytes >= BATCH_BYTES)
            ASSAY_TRY(batch_flush(in, error));
    }
}

static assay_status prune_path(ingest *in, const char *path, assay_error *error)
{
    char *clean = strdup(path);
    if (clean == NULL)
        return assay_fail_memory(error, strlen(path) + 1);
    assay_path_clean(clean);
    uint64_t removed = 0;
    assay_status status =
        assay_scan_prune(in->store, &in->collection, clean, &removed, error);
    in->report->removed += removed;
    free(clean);
    return status;
}

/* Where something could not be read, what is missing may only be unreadable:
 * then nothing is removed. */
static assay_status prune(ingest *in, const char *const *paths, size_t count,
                          assay_error *error)
{
    if (in->report->failed == 0) {
        for (size_t i = 0; i < count; i++)
            ASSAY_TRY(prune_path(in, paths[i], error));
        return ASSAY_OK;
    }
    assay_error problem;
    assay_fail(&problem, ASSAY_E_IO, in->collection.name,
               "nothing was pruned, because %" PRIu64 " files or records could not be read",
               in->report->failed);
    return tell(in, NULL, &problem, error);
}

static assay_status finish_scan(ingest *in, const char *const *paths, size_t count,
                                assay_error *error)
{
    ASSAY_TRY(assay_store_begin(in->store, error));
    assay_status status = assay_scan_finish(in->store, &in->collection, error);
    if (status == ASSAY_OK && in->options->prune)
        status = prune(in, paths, count, error);
    if (status == ASSAY_OK)
        status = assay_store_commit(in->store, error);
    if (status != ASSAY_OK) {
        assay_store_rollback(in->store);
        in->report->removed = 0;
    }
    return status;
}

/* ---------------------------------------------- token ids of what was there */

static assay_status tokenize_passage(ingest *in, uint64_t passage, assay_error *error)
{
    assay_passage_view view;
    assay_token_ids ids;
    assay_arena_reset(in->arena);
    assay_status status = assay_passage_get(in->store, passage, in->arena, &view, error);
    if (status == ASSAY_E_NOT_FOUND) /* deleted meanwhile */
        return ASSAY_OK;
    ASSAY_TRY(status);
    ASSAY_TRY(assay_passage_tokenizer_encode(&in->maker, view.title, view.heading, view.text,
                                     in->arena, &ids, error));
    ASSAY_TRY(assay_tokens_put(in->store, passage, &in->maker.digest, ids.ids, ids.count,
                               error));
    in->report->tokenized++;
    return ASSAY_OK;
}

static assay_status tokenize_passages(ingest *in, const uint64_t *passages, size_t count,
                                      assay_error *error)
{
    uint64_t before = in->report->tokenized;
    ASSAY_TRY(assay_store_begin(in->store, error));
    assay_status status = ASSAY_OK;
    for (size_t i = 0; i < count && status == ASSAY_OK; i++)
        status = tokenize_passage(in, passages[i], error);
    if (status == ASSAY_OK)
        status = assay_store_commit(in->store, error);
    if (status != ASSAY_OK) {
        assay_store_rollback(in->store);
        in->report->tokenized = before;
    }
    return status;
}

/* Passages stored before there were token ids, or with those of another
 * tokenizer, get theirs. */
static assay_status complete_tokens(ingest *in, assay_error *error)
{
    uint64_t passages[TOKENIZE_PASSAGES], last = 0;
    size_t count = 0;
    while (in->maker.tokenizer != NULL) {
        ASSAY_TRY(assay_tokens_missing(in->store, &in->collection, &in->maker.digest, last,
                                       passages, TOKENIZE_PASSAGES, &count, error));
        if (count == 0)
            break;
        last = passages[count - 1];
        ASSAY_TRY(tokenize_passages(in, passages, count, error));
        ASSAY_TRY(tell(in, NULL, NULL, error));
    }
    return ASSAY_OK;
}

static assay_status choose_vectors(ingest *in, assay_error *error)
{
    assay_vector_choice choice = assay_vector_choice_read(in->store, &in->collection);
    assay_code_kind codes = (assay_code_kind)in->options->codes;
    if (in->options->choose_vectors)
        choice.kind = in->options->vectors;
    if (codes != 0 && codes != choice.codes)
        choice.tuned = (assay_vector_tuning){0}; /* of other codes */
    if (codes != 0)
        choice.codes = codes;
    return assay_vector_choice_write(in->store, &in->collection, &choice, error);
}

/* The database's own index, where it finds vectors itself. */
static assay_status index_in_store(ingest *in, assay_error *error)
{
    const assay_index_options *o = in->options;
    assay_vector_index choice = o->vectors;
    if (o->codes != ASSAY_CODES_AUTO && o->codes != ASSAY_CODES_F32)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, in->collection.name,
                          "the database keeps vectors as they are; leave the codes out");
    return assay_store_vector_index_update(in->store, &in->collection,
                                           o->choose_vectors ? &choice : NULL,
                                           &in->report->vector_index, &in->report->by_size, error);
}

static assay_status index_vectors(ingest *in, assay_error *error)
{
    if (assay_store_finds_vectors(in->store))
        return index_in_store(in, error);
    assay_vectors vectors = {.verify = true};
    if (in->options->choose_vectors || in->options->codes != ASSAY_CODES_AUTO)
        ASSAY_TRY(choose_vectors(in, error));
    ASSAY_TRY(assay_vectors_open(in->store, &in->collection, &vectors, in->progress, in->user,
                                 error));
    in->report->vector_index = assay_vectors_kind(&vectors);
    in->report->by_size = assay_vector_choice_read(in->store, &in->collection).kind ==
                          ASSAY_VECTORS_AUTO;
    assay_status status = ASSAY_OK;
    if (vectors.notice.code != ASSAY_OK)
        status = tell(in, NULL, &vectors.notice, error);
    assay_vectors_close(&vectors);
    return status;
}

static assay_status run(ingest *in, const char *name, const char *const *paths, size_t count,
                        assay_error *error)
{
    ASSAY_TRY(check_options(in->options, error));
    assay_reader_options fields = {
        .id_field = in->options->id_field,
        .title_field = in->options->title_field,
        .text_field = in->options->text_field,
        .input = in->options->input,
    };
    ASSAY_TRY(assay_reader_open(paths, count, &fields, &in->reader, error));
    ASSAY_TRY(open_collection(in, name, paths, count, error));
    assay_passage_tokenizer_open(&in->maker, in->model ? assay_model_tokenizer(in->model) : NULL);
    in->report->skipped = assay_reader_skipped(in->reader);
    ASSAY_TRY(assay_scan_begin(in->store, error));
    ASSAY_TRY(read_all(in, error));
    ASSAY_TRY(finish_scan(in, paths, count, error));
    ASSAY_TRY(complete_tokens(in, error));
    ASSAY_TRY(assay_late_complete(in->store, &in->collection, in->options, in->progress,
                                  in->user, &in->report->late, error));
    ASSAY_TRY(assay_collection_open(in->store, name, &in->collection, error));
    ASSAY_TRY(assay_word_index_update(in->store, &in->collection, in->options->word_index,
                                      ASSAY_DEFAULT_K1, ASSAY_DEFAULT_B, in->progress, in->user,
                                      error));
    return in->model != NULL ? index_vectors(in, error) : ASSAY_OK;
}

assay_status assay_index(assay_store *store, const char *name, const char *const *paths,
                         size_t count, const assay_index_options *options,
                         assay_progress_fn progress, void *user, assay_index_report *report,
                         assay_error *error)
{
    static const assay_index_options defaults;
    assay_index_report unwanted;
    double begun = assay_seconds();
    ingest in = {
        .store = store,
        .options = options != NULL ? options : &defaults,
        .progress = progress,
        .user = user,
        .report = report != NULL ? report : &unwanted,
        .arena = assay_arena_new(0),
    };
    memset(in.report, 0, sizeof *in.report);
    assay_buffer_init(&in.context, 2 * (size_t)MAX_DOCUMENT);

    assay_status status = in.arena != NULL ? run(&in, name, paths, count, error)
                                           : assay_fail_memory(error, 64 * 1024);
    if (in.options->input > STDIN_FILENO)
        close(in.options->input);

    in.report->seconds = assay_seconds() - begun;
    assay_reader_close(in.reader);
    assay_passage_tokenizer_close(&in.maker);
    close_model(&in);
    assay_passage_list_free(&in.split);
    assay_buffer_free(&in.context);
    assay_arena_free(in.arena);
    free(in.documents);
    free(in.vectors);
    return status;
}
