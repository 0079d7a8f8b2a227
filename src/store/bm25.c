/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bm25.c: BM25 over an FTS5 table (Robertson & Zaragoza 2009).
 *
 *   score = sum over the question's terms of
 *           count in question * ln(1 + (N - n + 0.5) / (n + 0.5))
 *                             * tf / (tf + k1 * (1 - b + b * dl / avgdl))
 *
 * as Lucene 8 and later have it: no factor (k1 + 1), which changes no order.
 * Departures from Lucene: lengths are exact, not rounded to a byte, and stop
 * words count in dl, for FTS5 keeps them. Title, heading and body are three
 * columns that score as one text.
 *
 * The question. It is cut by the table's own tokenizer, so terms are stems;
 * equal stems are one term that counts as often as it stands there. Lucene's 33
 * English stop words are left out unless nothing else is left. The MATCH
 * expression holds each term as a quoted string of its first appearance; a
 * token has no quote or NUL in it, so nothing of FTS5's syntax gets through. Of
 * more than TERMS_MAX distinct terms the first ones are taken.
 *
 * The ranking. FTS5 calls an auxiliary function for every row it finds, after
 * merging all terms' lists, and ORDER BY then sorts them; most of that work is
 * for rows that cannot be among the best k. Here the function is called once,
 * for the first row, and walks each term's list by itself (xQueryPhrase), which
 * gives n and all tf. A row's score is bounded by taking tf for dl; rows are
 * then scored exactly, best bound first, until no bound reaches the k-th best
 * score. Only those need their length looked up. The result is exactly the top
 * k of the formula above.
 */
#include "store/database.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TERMS_MAX = ASSAY_TERMS_MAX,
    TERM_SLOTS = 4 * TERMS_MAX,        /* of the table that finds equal stems */
    QUESTION_MAX = 16 * 1024 * 1024,   /* bytes looked at */
};

/* ---- The question's terms ------------------------------------------------------ */

typedef struct term {
    uint64_t hash;  /* of the stem */
    size_t stem;    /* where it lies in stems */
    size_t length;  /* of the stem */
    size_t begin, end; /* first appearance in the question */
    uint32_t count;
    bool stop;
} term;

typedef struct question {
    const char *text;
    assay_buffer stems;
    term terms[TERMS_MAX];
    size_t count;
    uint16_t slots[TERM_SLOTS]; /* 1 + index into terms; 0: free */
} question;

static int compare_words(const void *a, const void *b)
{
    return strcmp(a, *(const char *const *)b);
}

static bool is_stop_word(const char *text, size_t length)
{
    static const char *const words[] = { /* sorted */
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is",
        "it", "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there",
        "these", "they", "this", "to", "was", "will", "with",
    };
    char word[8];
    if (length >= sizeof word)
        return false;
    for (size_t i = 0; i < length; i++)
        word[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
    word[length] = '\0';
    return bsearch(word, words, sizeof words / sizeof *words, sizeof *words, compare_words) !=
           NULL;
}

/* The slot of a stem, or the free one where it belongs. */
static size_t find_slot(const question *q, uint64_t hash, const char *stem, size_t length)
{
    size_t slot = hash % TERM_SLOTS;
    for (; q->slots[slot] != 0; slot = (slot + 1) % TERM_SLOTS) {
        const term *t = &q->terms[q->slots[slot] - 1];
        if (t->hash == hash && t->length == length &&
            memcmp(q->stems.data + t->stem, stem, length) == 0)
            break;
    }
    return slot;
}

/* FTS5's tokenizer calls this for each token. */
static int add_token(void *user, int flags, const char *token, int length, int begin, int end)
{
    question *q = user;
    (void)flags;
    if (length <= 0 || begin < 0 || end <= begin)
        return SQLITE_OK;
    uint64_t hash = assay_hash64(token, (size_t)length);
    size_t slot = find_slot(q, hash, token, (size_t)length);
    if (q->slots[slot] != 0) {
        q->terms[q->slots[slot] - 1].count++;
        return SQLITE_OK;
    }
    if (q->count == TERMS_MAX)
        return SQLITE_OK;
    term *t = &q->terms[q->count++];
    *t = (term){.hash = hash, .stem = q->stems.length, .length = (size_t)length, .count = 1,
                .begin = (size_t)begin, .end = (size_t)end,
                .stop = is_stop_word(q->text + begin, (size_t)(end - begin))};
    q->slots[slot] = (uint16_t)q->count;
    assay_buffer_append(&q->stems, token, (size_t)length);
    return q->stems.failed == ASSAY_OK ? SQLITE_OK : SQLITE_NOMEM;
}

static void drop_stop_words(question *q)
{
    size_t kept = 0;
    for (size_t i = 0; i < q->count; i++)
        if (!q->terms[i].stop)
            q->terms[kept++] = q->terms[i];
    if (kept > 0)
        q->count = kept;
}

static assay_status read_question(assay_store *store, assay_text text, question *q,
                                  assay_error *error)
{
    size_t length = text.length < QUESTION_MAX ? text.length : QUESTION_MAX;
    q->text = text.data;
    if (length == 0)
        return ASSAY_OK;
    int code = store->tokenizer_calls.xTokenize(store->tokenizer, q, FTS5_TOKENIZE_QUERY,
                                                text.data, (int)length, add_token);
    if (code != SQLITE_OK)
        return assay_fail(error, code == SQLITE_NOMEM ? ASSAY_E_MEMORY : ASSAY_E_INTERNAL,
                          "question", "cannot cut it into terms: %s", sqlite3_errstr(code));
    drop_stop_words(q);
    return ASSAY_OK;
}

static void write_match(const question *q, assay_buffer *out)
{
    for (size_t i = 0; i < q->count; i++) {
        assay_buffer_string(out, i > 0 ? " OR \"" : "\"");
        assay_buffer_append(out, q->text + q->terms[i].begin,
                            q->terms[i].end - q->terms[i].begin);
        assay_buffer_byte(out, '"');
    }
}

/* ---- Ranking -------------------------------------------------------------------- */

typedef struct posting {
    int64_t row;
    uint32_t tf;
} posting;

typedef struct bound {
    int64_t row;
    double value;
} bound;

typedef struct ranking {
    const question *question;
    double k1, b;
    const assay_bits *allowed; /* NULL: all rows */
    sqlite3_stmt *sizes; /* looks a row's length up */
    assay_best best;
    double average; /* length of a row */
    posting *postings; /* of all terms, one after the other, each by row */
    size_t count, capacity;
    size_t ends[TERMS_MAX]; /* into postings */
    double weights[TERMS_MAX];
} ranking;

static double saturate(const ranking *r, double tf, double length)
{
    return tf / (tf + r->k1 * (1 - r->b + r->b * length / r->average));
}

/* xQueryPhrase calls this for each row of one term. */
static int add_posting(const Fts5ExtensionApi *api, Fts5Context *fts, void *user)
{
    ranking *r = user;
    Fts5PhraseIter place;
    int column, offset;
    uint32_t tf = 0;
    if (r->count == r->capacity) {
        size_t capacity = r->capacity > 0 ? r->capacity * 2 : 1024;
        posting *grown = realloc(r->postings, capacity * sizeof *grown);
        if (grown == NULL)
            return SQLITE_NOMEM;
        r->postings = grown;
        r->capacity = capacity;
    }
    int code = api->xPhraseFirst(fts, 0, &place, &column, &offset);
    for (; code == SQLITE_OK && column >= 0; api->xPhraseNext(fts, &place, &column, &offset))
        tf++;
    if (tf > 0)
        r->postings[r->count++] = (posting){api->xRowid(fts), tf};
    return code;
}

static int read_postings(const Fts5ExtensionApi *api, Fts5Context *fts, ranking *r)
{
    sqlite3_int64 rows = 0, tokens = 0;
    int code = api->xRowCount(fts, &rows);
    if (code == SQLITE_OK)
        code = api->xColumnTotalSize(fts, -1, &tokens);
    r->average = rows > 0 && tokens > 0 ? (double)tokens / (double)rows : 1;
    for (size_t t = 0; t < r->question->count && code == SQLITE_OK; t++) {
        size_t begin = r->count;
        code = api->xQueryPhrase(fts, (int)t, r, add_posting);
        r->ends[t] = r->count;
        double n = (double)(r->count - begin);
        double others = (double)rows > n ? (double)rows - n : 0;
        r->weights[t] = r->question->terms[t].count * log(1 + (others + 0.5) / (n + 0.5));
    }
    return code;
}

/* Adds the bounds of rows that two neighbouring runs share. Returns the end. */
static size_t merge_two(const bound *left, size_t lefts, const bound *right, size_t rights,
                        bound *out)
{
    size_t i = 0, j = 0, n = 0;
    while (i < lefts && j < rights) {
        if (left[i].row < right[j].row) {
            out[n++] = left[i++];
        } else if (left[i].row > right[j].row) {
            out[n++] = right[j++];
        } else {
            out[n++] = (bound){left[i].row, left[i].value + right[j].value};
            i++, j++;
        }
    }
    memcpy(out + n, left + i, (lefts - i) * sizeof *out);
    n += lefts - i;
    memcpy(out + n, right + j, (rights - j) * sizeof *out);
    return n + rights - j;
}

/* Merges neighbouring runs by pairs until one is left, to and fro between two
 * arrays. Returns the one that has it; ends[] is used up. */
static bound *merge_runs(bound *from, bound *to, size_t *ends, size_t runs, size_t *count)
{
    while (runs > 1) {
        size_t begin = 0, written = 0;
        for (size_t r = 0; r < runs; r += 2) {
            size_t middle = ends[r];
            size_t end = r + 1 < runs ? ends[r + 1] : middle;
            written += merge_two(from + begin, middle - begin, from + middle, end - middle,
                                 to + written);
            ends[r / 2] = written;
            begin = end;
        }
        runs = (runs + 1) / 2;
        bound *other = from;
        from = to;
        to = other;
    }
    *count = runs > 0 ? ends[0] : 0;
    return from;
}

/* A heap whose root has the highest bound. */
static void sift_down(bound *heap, size_t count, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= count)
            return;
        if (child + 1 < count && heap[child + 1].value > heap[child].value)
            child++;
        if (heap[i].value >= heap[child].value)
            return;
        bound moved = heap[i];
        heap[i] = heap[child];
        heap[child] = moved;
        i = child;
    }
}

static int read_length(ranking *r, int64_t row, double *out)
{
    sqlite3_bind_int64(r->sizes, 1, row);
    int code = sqlite3_step(r->sizes);
    if (code != SQLITE_ROW) {
        sqlite3_reset(r->sizes);
        return code == SQLITE_DONE ? SQLITE_CORRUPT_VTAB : code;
    }
    uint64_t tokens;
    bool whole = assay_docsize_read(r->sizes, 0, &tokens);
    sqlite3_reset(r->sizes);
    *out = (double)tokens;
    return whole ? SQLITE_OK : SQLITE_CORRUPT_VTAB;
}

static uint32_t find_tf(const posting *list, size_t count, int64_t row)
{
    size_t low = 0;
    while (count > 0) {
        size_t half = count / 2;
        if (list[low + half].row < row) {
            low += half + 1;
            count -= half + 1;
        } else if (list[low + half].row > row) {
            count = half;
        } else {
            return list[low + half].tf;
        }
    }
    return 0;
}

/* The exact score, its terms added in the question's order. */
static int score_row(ranking *r, int64_t row)
{
    double length = 0, score = 0;
    int code = read_length(r, row, &length);
    if (code != SQLITE_OK)
        return code;
    for (size_t t = 0; t < r->question->count; t++) {
        size_t begin = t > 0 ? r->ends[t - 1] : 0;
        uint32_t tf = find_tf(r->postings + begin, r->ends[t] - begin, row);
        if (tf > 0)
            score += r->weights[t] * saturate(r, tf, length);
    }
    assay_best_add(&r->best, (assay_candidate){.passage = (uint64_t)row, .score = (float)score});
    return SQLITE_OK;
}

static int score_best(ranking *r, bound *heap, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(heap, count, i);
    while (count > 0) {
        /* The bound was added up in another order: a hair more is allowed. An
         * equal score may still win by its key. */
        float limit = (float)(heap[0].value * (1 + 1e-9));
        if (r->best.count == r->best.limit && limit < r->best.items[0].score)
            break;
        int code = score_row(r, heap[0].row);
        if (code != SQLITE_OK)
            return code;
        heap[0] = heap[--count];
        sift_down(heap, count, 0);
    }
    return SQLITE_OK;
}

static int rank_rows(ranking *r)
{
    if (r->count == 0)
        return SQLITE_OK;
    size_t ends[TERMS_MAX], count;
    bound *memory = malloc(2 * r->count * sizeof *memory);
    if (memory == NULL)
        return SQLITE_NOMEM;
    for (size_t t = 0, i = 0, n = 0; t < r->question->count; t++) {
        for (; i < r->ends[t]; i++) {
            posting one = r->postings[i];
            if (r->allowed == NULL || assay_bits_has(r->allowed, (uint64_t)one.row))
                memory[n++] = (bound){one.row, r->weights[t] * saturate(r, one.tf, one.tf)};
        }
        ends[t] = n;
    }
    bound *heap = merge_runs(memory, memory + r->count, ends, r->question->count, &count);
    int code = score_best(r, heap, count);
    free(memory);
    return code;
}

/* assay_bm25(table, pointer): ranks all rows of the MATCH at its first. The
 * pointer type keeps other SQL from calling it. */
static void rank_all(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *context,
                     int count, sqlite3_value **values)
{
    ranking *r = count == 1 ? sqlite3_value_pointer(values[0], "assay_ranking") : NULL;
    int code = SQLITE_MISUSE;
    if (r != NULL && api->xPhraseCount(fts) == (int)r->question->count)
        code = read_postings(api, fts, r);
    if (code == SQLITE_OK)
        code = rank_rows(r);
    if (code != SQLITE_OK)
        sqlite3_result_error_code(context, code);
    else
        sqlite3_result_null(context);
}

static assay_status run_match(assay_store *store, const assay_collection *collection, ranking *r,
                              const assay_buffer *match, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    long long key = collection->key;
    ASSAY_TRY(assay_sql_prepare(store, &r->sizes, error,
                                "SELECT sz FROM fts_%lld_docsize WHERE id = ?1", key));
    ASSAY_TRY(assay_sql_prepare(store, &select, error, "SELECT assay_bm25(fts_%lld, ?2)"
                                " FROM fts_%lld WHERE fts_%lld MATCH ?1 LIMIT 1", key, key, key));
    sqlite3_bind_text64(select, 1, match->data, match->length, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_pointer(select, 2, r, "assay_ranking", NULL);
    assay_status status = assay_sql_step(store, select, "cannot search", &row, error);
    sqlite3_reset(select);
    sqlite3_clear_bindings(select);
    return status;
}

static assay_status rank_question(assay_store *store, const assay_collection *collection,
                                  const question *q, ranking *r, assay_error *error)
{
    assay_buffer match;
    assay_buffer_init(&match, 0);
    write_match(q, &match);
    assay_status status = assay_buffer_status(&match, "question", error);
    if (status == ASSAY_OK)
        status = run_match(store, collection, r, &match, error);
    assay_buffer_free(&match);
    return status;
}

assay_status assay_sqlite_bm25(assay_store *store, const assay_collection *collection,
                               assay_text text, double k1, double b,
                               const assay_selection *allowed, size_t k, assay_candidate *out,
                               size_t *count, assay_error *error)
{
    struct work {
        question question;
        ranking ranking;
    } *work = calloc(1, sizeof *work);
    if (work == NULL)
        return assay_fail_memory(error, sizeof *work);
    question *q = &work->question;
    ranking *r = &work->ranking;
    assay_buffer_init(&q->stems, 0);
    *r = (ranking){.question = q, .k1 = k1, .b = b,
                   .allowed = allowed != NULL ? &allowed->passages : NULL,
                   .best = {.items = out, .limit = k}};
    assay_status status = read_question(store, text, q, error);
    if (status == ASSAY_OK && q->count > 0 && k > 0)
        status = assay_collection_gone(store, collection,
                                       rank_question(store, collection, q, r, error), error);
    if (status == ASSAY_OK) {
        *count = r->best.count;
        assay_best_sort(&r->best);
    }
    assay_buffer_free(&q->stems);
    free(r->postings);
    free(work);
    return status;
}

/* The question's terms, in the order in which their parts of a score are added. */
static assay_status copy_terms(const question *q, assay_arena *arena, const assay_term **out,
                               size_t *count, assay_error *error)
{
    assay_term *terms = assay_arena_small(arena, (q->count + 1) * sizeof *terms);
    char *stems = assay_arena_copy(arena, q->stems.data != NULL ? q->stems.data : "",
                                   q->stems.length);
    if (terms == NULL || stems == NULL)
        return assay_fail_memory(error, q->stems.length);
    for (size_t i = 0; i < q->count; i++)
        terms[i] = (assay_term){{stems + q->terms[i].stem, q->terms[i].length}, q->terms[i].count};
    *out = terms;
    *count = q->count;
    return ASSAY_OK;
}

assay_status assay_store_terms(assay_store *store, assay_text text, assay_arena *arena,
                               const assay_term **out, size_t *count, assay_error *error)
{
    question *q = calloc(1, sizeof *q);
    if (q == NULL)
        return assay_fail_memory(error, sizeof *q);
    assay_buffer_init(&q->stems, 0);
    assay_status status = read_question(store, text, q, error);
    if (status == ASSAY_OK)
        status = copy_terms(q, arena, out, count, error);
    assay_buffer_free(&q->stems);
    free(q);
    return status;
}

/* ---- The words of a passage ----------------------------------------------------------- */

typedef struct reading {
    assay_passage_terms *terms;
    size_t most;
    assay_status status;
    assay_error *error;
} reading;

static int count_token(void *user, int flags, const char *token, int length, int begin, int end)
{
    reading *r = user;
    uint32_t index, one = 1;
    bool added;
    (void)flags, (void)begin, (void)end;
    if (length <= 0)
        return SQLITE_OK;
    r->terms->length++;
    size_t kept = (size_t)length < r->most ? (size_t)length : r->most;
    r->status = assay_string_map_add(r->terms->map, token, kept, &index, &added, r->error);
    if (r->status != ASSAY_OK)
        return SQLITE_NOMEM;
    if (added)
        assay_buffer_append(&r->terms->times, &one, sizeof one);
    else
        ((uint32_t *)(void *)r->terms->times.data)[index]++;
    return SQLITE_OK;
}

assay_status assay_passage_terms_read(assay_store *store, const assay_text *texts, size_t count,
                                      size_t most, assay_passage_terms *out, assay_error *error)
{
    *out = (assay_passage_terms){.map = assay_string_map_new()};
    assay_buffer_init(&out->times, 0);
    reading r = {.terms = out, .most = most, .error = error};
    if (out->map == NULL)
        return assay_fail_memory(error, 1024);
    for (size_t i = 0; i < count && r.status == ASSAY_OK; i++) {
        if (texts[i].length == 0)
            continue;
        if (texts[i].length > INT32_MAX)
            r.status = assay_fail(error, ASSAY_E_LIMIT, "passage", "is longer than %d bytes",
                                  INT32_MAX);
        else if (store->tokenizer_calls.xTokenize(store->tokenizer, &r, FTS5_TOKENIZE_DOCUMENT,
                                                  texts[i].data, (int)texts[i].length,
                                                  count_token) != SQLITE_OK &&
                 r.status == ASSAY_OK)
            r.status = assay_fail_memory(error, texts[i].length);
    }
    if (r.status == ASSAY_OK)
        r.status = assay_buffer_status(&out->times, "words", error);
    if (r.status != ASSAY_OK)
        assay_passage_terms_free(out);
    return r.status;
}

void assay_passage_terms_free(assay_passage_terms *terms)
{
    assay_string_map_free(terms->map);
    assay_buffer_free(&terms->times);
    *terms = (assay_passage_terms){0};
}

/* ---- Registering ------------------------------------------------------------------- */

static assay_status find_fts5(assay_store *store, fts5_api **out, assay_error *error)
{
    sqlite3_stmt *select;
    bool row;
    *out = NULL;
    ASSAY_TRY(assay_sql_prepare(store, &select, error, "SELECT fts5(?1)"));
    sqlite3_bind_pointer(select, 1, out, "fts5_api_ptr", NULL);
    ASSAY_TRY(assay_sql_step(store, select, "this SQLite has no FTS5", &row, error));
    sqlite3_reset(select);
    if (*out == NULL)
        return assay_fail(error, ASSAY_E_UNSUPPORTED, store->path,
                          "this SQLite (%s) has no FTS5; assay needs one that has",
                          sqlite3_libversion());
    return ASSAY_OK;
}

assay_status assay_bm25_register(assay_store *store, assay_error *error)
{
    fts5_api *fts5;
    ASSAY_TRY(find_fts5(store, &fts5, error));
    int code = fts5->xCreateFunction(fts5, "assay_bm25", NULL, rank_all, NULL);
    void *factory;
    /* As schema.c has it: tokenize = 'porter unicode61 remove_diacritics 2'. */
    const char *arguments[] = {"unicode61", "remove_diacritics", "2"};
    if (code == SQLITE_OK)
        code = fts5->xFindTokenizer(fts5, "porter", &factory, &store->tokenizer_calls);
    if (code == SQLITE_OK)
        code = store->tokenizer_calls.xCreate(factory, arguments, 3, &store->tokenizer);
    if (code != SQLITE_OK)
        return assay_sql_fail(store, code, "cannot set up the search", error);
    return ASSAY_OK;
}

void assay_bm25_release(assay_store *store)
{
    if (store->tokenizer != NULL)
        store->tokenizer_calls.xDelete(store->tokenizer);
    store->tokenizer = NULL;
}
