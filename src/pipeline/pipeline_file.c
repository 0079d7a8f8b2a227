/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline_file.c: a pipeline as JSON: read, written, and its schema.
 *
 * Two tables say what fields there are; reading, writing and the schema go by
 * them, so they cannot disagree. A file is small: more than 1 MiB is none.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "pipeline/pipeline.h"
#include "pipeline/presets.h"

enum { FILE_LIMIT = 1 << 20 };

struct assay_pipeline_file {
    assay_settings settings; /* as the file has it; strings point into json */
    json_t *json;
};

/* ---------------------------------------------------------------- fields */

typedef enum field_kind { WORD, TEXT, COUNT, NUMBER, FLAG } field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    size_t offset;     /* WORD, COUNT: uint32_t; TEXT: const char *; NUMBER: assay_setting */
    const char *words; /* of WORD, "a|b", in the order of the enum */
    double low, high;
    const char *help;
    unsigned kinds;    /* bits of the rerankers that have it; 0: all */
} field;

#define IN_PIPELINE(member) offsetof(assay_pipeline_options, member)
#define IN_STAGE(member) offsetof(assay_stage_options, member)
#define OF_CROSS (1u << ASSAY_RERANKER_CROSS | 1u << ASSAY_RERANKER_SPLIT)
#define OF_MODELS (OF_CROSS | 1u << ASSAY_RERANKER_LATE)
#define OF_LLM (1u << ASSAY_RERANKER_LLM)
#define OF_VISION (1u << ASSAY_RERANKER_VISION)
#define OF_APIS (OF_LLM | OF_VISION)

static const field pipeline_fields[] = {
    {"retriever", WORD, IN_PIPELINE(retriever), "auto|bm25|dense|hybrid|late", 0, 0,
     "what finds candidates; auto: hybrid where there are vectors, else bm25", 0},
    {"retrieve", COUNT, IN_PIPELINE(retrieve), NULL, 1, 100000, "how many passages it finds", 0},
    {"fusion", WORD, IN_PIPELINE(fusion), "zscore|rrf|minmax", 0, 0, "how hybrid joins its two lists", 0},
    {"weight_bm25", NUMBER, IN_PIPELINE(bm25_weight), NULL, 0, 1e6, "of BM25 in hybrid", 0},
    {"weight_dense", NUMBER, IN_PIPELINE(dense_weight), NULL, 0, 1e6, "of the vectors in hybrid", 0},
    {"k1", NUMBER, IN_PIPELINE(k1), NULL, 0, 1e3,
     "BM25: how soon repeated words stop counting", 0},
    {"b", NUMBER, IN_PIPELINE(b), NULL, 0, 1, "BM25: how much long passages are held back", 0},
    {"ef", COUNT, IN_PIPELINE(ef), NULL, 1, 65536,
     "vectors that a search of an hnsw index keeps on its way; when absent as the index was tuned, "
     "else retrieve + 100", 0},
    {"nprobe", COUNT, IN_PIPELINE(nprobe), NULL, 1, 65536,
     "lists of an ivf index that a search looks into; when absent as the index was tuned, else one "
     "in 24", 0},
    {"exact", FLAG, IN_PIPELINE(exact), NULL, 0, 0,
     "compare with all vectors, whatever index there is", 0},
    {"deadline_ms", COUNT, IN_PIPELINE(deadline_ms), NULL, 1, 3600000,
     "milliseconds that a search may take; none when absent", 0},
    {"min_probability", NUMBER, IN_PIPELINE(min_probability), NULL, 0, 1,
     "hits that are less probable than this are withheld; none when absent", 0},
    {"keep", COUNT, IN_PIPELINE(rerank), NULL, 1, 100000,
     "how many passages go on to the first stage; all when absent", 0},
};

static const field stage_fields[] = {
    {"kind", WORD, IN_STAGE(kind), assay_reranker_names, 0, 0, "the reranker", 0},
    {"model", TEXT, IN_STAGE(model), NULL, 0, 0, "its model: a name or a folder; of llm and vision as the API calls it, $ASSAY_LLM_MODEL when absent", 0},
    {"precision", WORD, IN_STAGE(precision), "auto|fp32|int8|bf16", 0, 0, "of its arithmetic", OF_MODELS},
    {"keep", COUNT, IN_STAGE(keep), NULL, 1, 100000,
     "how many passages go on to the next stage; all when absent", 0},
    {"max_tokens", COUNT, IN_STAGE(max_tokens), NULL, 5, 1000000,
     "cuts passages earlier than the model does; query and special tokens are counted", OF_MODELS},
    {"rerank_long", FLAG, IN_STAGE(rerank_long), NULL, 0, 0,
     "work on queries longer than the model was trained on, too", OF_CROSS},
    {"weight", NUMBER, IN_STAGE(weight), NULL, 0, 1e6,
     "of the stage's z-normalised score in the order after it", 0},
    {"spread", NUMBER, IN_STAGE(spread), NULL, 0, 1e6,
     "the least that the stage's scores are divided by when they are normalised", 0},
    {"weight_before", NUMBER, IN_STAGE(weight_before), NULL, 0, 1e6,
     "of the score that the stages before it came to", 0},
    {"probability_slope", NUMBER, IN_STAGE(probability_slope), NULL, 0, 1e3,
     "probability = 1 / (1 + exp(-slope * logit - offset)); the reranker's own when absent", 0},
    {"probability_offset", NUMBER, IN_STAGE(probability_offset), NULL, -1e3, 1e3,
     "see probability_slope", 0},
    {"within", NUMBER, IN_STAGE(within), NULL, 0, 1e6,
     "only passages at most so many standard deviations behind the best are scored; all when "
     "absent", 0},
    {"within_agreed", NUMBER, IN_STAGE(within_agreed), NULL, 0, 1e6,
     "the same where BM25 and the vectors have the same passage first; within when absent", 0},
    {"hope", NUMBER, IN_STAGE(hope), NULL, 0, 1e3,
     "stop when the next passage would have to be so many standard deviations better than the "
     "best to come among the first; never when absent", 0},
    {"url", TEXT, IN_STAGE(llm.url), NULL, 0, 0,
     "an OpenAI-compatible chat API, up to and with /v1; $ASSAY_LLM_URL when absent", OF_APIS},
    {"mode", WORD, IN_STAGE(llm.mode), "listwise|pointwise|yesno|pairwise", 0, 0,
     "what the model is asked for: an order, a grade each, a yes or no each, the better of two",
     OF_LLM},
    {"key_env", TEXT, IN_STAGE(llm.key_env), NULL, 0, 0,
     "environment variable that holds the key; ASSAY_LLM_KEY when absent", OF_APIS},
    {"key_file", TEXT, IN_STAGE(llm.key_file), NULL, 0, 0, "a file that holds the key", OF_APIS},
    {"passage_tokens", COUNT, IN_STAGE(llm.passage_tokens), NULL, 8, 100000,
     "what is shown of a passage; 300 when absent", OF_LLM},
    {"tokenizer", TEXT, IN_STAGE(llm.tokenizer), NULL, 0, 0,
     "a model or file whose tokens those are; that of cross when absent", OF_LLM},
    {"window", COUNT, IN_STAGE(llm.window), NULL, 2, 1000,
     "listwise: passages at a time; 20 when absent", OF_LLM},
    {"step", COUNT, IN_STAGE(llm.step), NULL, 1, 1000,
     "listwise: how far the window moves; half of it when absent", OF_LLM},
    {"parallel", COUNT, IN_STAGE(llm.parallel), NULL, 1, 256,
     "requests at a time; 4 when absent", OF_APIS},
    {"timeout_ms", COUNT, IN_STAGE(llm.timeout_ms), NULL, 1, 3600000,
     "of one attempt; 60000 when absent", OF_APIS},
    {"attempts", COUNT, IN_STAGE(llm.attempts), NULL, 1, 20, "of one request; 4 when absent",
     OF_APIS},
    {"answer_tokens", COUNT, IN_STAGE(llm.answer_tokens), NULL, 1, 1000000,
     "longest answer; as the mode needs when absent, which is too few for a model that thinks "
     "first", OF_APIS},
    {"seed", COUNT, IN_STAGE(llm.seed), NULL, 0, 2147483647, "sent with temperature 0", OF_APIS},
    {"plain", FLAG, IN_STAGE(llm.plain), NULL, 0, 0, "never ask for structured output", OF_APIS},
    {"price_input", NUMBER, IN_STAGE(llm.price_input), NULL, 0, 1e9,
     "of a million tokens read, for the account", OF_APIS},
    {"price_output", NUMBER, IN_STAGE(llm.price_output), NULL, 0, 1e9,
     "of a million tokens written", OF_APIS},
    {"image_field", TEXT, IN_STAGE(page.image_field), NULL, 0, 0,
     "metadata field that names the image of a document's page; image when absent", OF_VISION},
    {"image_folder", TEXT, IN_STAGE(page.image_folder), NULL, 0, 0,
     "folder below which images are files; no other is read", OF_VISION},
    {"image_urls", TEXT, IN_STAGE(page.image_urls), NULL, 0, 0,
     "what an image's URL has to begin with, host and a / at the end included; the API fetches "
     "it", OF_VISION},
    {"image_bytes", COUNT, IN_STAGE(page.image_bytes), NULL, 1, 67108864,
     "of an image file at most; 10485760 when absent", OF_VISION},
    {"rejected", WORD, IN_STAGE(page.rejected), "demote|drop", 0, 0,
     "what is done with a page that does not answer: it goes behind the others that were looked "
     "at, or out", OF_VISION},
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Members that are no settings: of the file, and of the list of stages. */
static const char *const own_names[] = {"name", "description", "stages"};

/* --------------------------------------------------------------- reading */

static assay_status wrong(assay_error *error, const char *where, const char *name,
                          const char *message)
{
    assay_fail(error, ASSAY_E_FORMAT, name, "%s", message);
    assay_error_prefix(error, where);
    return ASSAY_E_FORMAT;
}

/* The place of a word in "a|b|c"; -1: none. */
static int place_of(const char *words, const char *word)
{
    size_t length = strlen(word);
    int place = 0;
    for (const char *at = words; *at != '\0'; place++) {
        size_t size = strcspn(at, "|");
        if (size == length && memcmp(at, word, size) == 0)
            return place;
        at += size + (at[size] == '|');
    }
    return -1;
}

static assay_status read_word(const json_t *object, const field *f, const char *where,
                              uint32_t *value, assay_error *error)
{
    const char *word = NULL;
    char message[256];
    ASSAY_TRY(assay_json_string(object, f->name, where, &word, error));
    if (word == NULL)
        return ASSAY_OK;
    int place = place_of(f->words, word);
    snprintf(message, sizeof message, "\"%.60s\" is not one of %s", word, f->words);
    if (place < 0)
        return wrong(error, where, f->name, message);
    *value = (uint32_t)place;
    return ASSAY_OK;
}

static assay_status read_field(const json_t *object, const field *f, const char *where,
                               void *target, assay_error *error)
{
    void *value = (char *)target + f->offset;
    uint64_t count = *(const uint32_t *)value;
    double number = NAN;
    switch (f->kind) {
    case WORD:
        return read_word(object, f, where, value, error);
    case TEXT:
        return assay_json_string(object, f->name, where, value, error);
    case FLAG:
        return assay_json_bool(object, f->name, where, value, error);
    case COUNT:
        ASSAY_TRY(assay_json_uint(object, f->name, where, (uint64_t)f->low, (uint64_t)f->high,
                                  &count, error));
        *(uint32_t *)value = (uint32_t)count;
        return ASSAY_OK;
    case NUMBER:
        ASSAY_TRY(assay_json_double(object, f->name, where, f->low, f->high, &number, error));
        if (!isnan(number))
            *(assay_setting *)value = (assay_setting){true, number};
        return ASSAY_OK;
    }
    return ASSAY_OK;
}

/* The fields of something: of the pipeline, or of a stage of some kind. */
typedef struct table {
    const field *fields; /* [count] */
    size_t count;
    unsigned kinds;      /* bit of the stage's kind; 0: the pipeline's own */
} table;

static const table of_pipeline = {pipeline_fields, COUNT_OF(pipeline_fields), 0};

static table of_stage(assay_reranker_kind kind)
{
    return (table){stage_fields, COUNT_OF(stage_fields), 1u << kind};
}

static bool has_field(const table *t, const field *f)
{
    return f->kinds == 0 || (f->kinds & t->kinds) != 0;
}

static bool known(const table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->fields[i].name, name) == 0)
            return has_field(t, &t->fields[i]);
    for (size_t i = 0; t->kinds == 0 && i < COUNT_OF(own_names); i++)
        if (strcmp(own_names[i], name) == 0)
            return true;
    return false;
}

static assay_status unknown_field(const table *t, const char *name, const char *where,
                                  assay_error *error)
{
    assay_buffer message;
    assay_buffer_init(&message, 0);
    assay_buffer_string(&message, "there is no such field; there are:");
    for (size_t i = 0; t->kinds == 0 && i < COUNT_OF(own_names); i++)
        assay_buffer_format(&message, " %s", own_names[i]);
    for (size_t i = 0; i < t->count; i++)
        if (has_field(t, &t->fields[i]))
            assay_buffer_format(&message, " %s", t->fields[i].name);
    assay_status status = assay_buffer_status(&message, where, error);
    if (status == ASSAY_OK)
        status = wrong(error, where, name, message.data);
    assay_buffer_free(&message);
    return status;
}

static assay_status read_fields(const json_t *object, const table *t, const char *where,
                                void *target, assay_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        if (!known(t, name))
            return unknown_field(t, name, where, error);
    }
    for (size_t i = 0; i < t->count; i++)
        if (has_field(t, &t->fields[i]))
            ASSAY_TRY(read_field(object, &t->fields[i], where, target, error));
    return ASSAY_OK;
}

/* The kind says which other fields there are. */
static assay_status read_kind(const json_t *item, const char *place, assay_stage_options *stage,
                              assay_error *error)
{
    if (json_object_get(item, "kind") == NULL) {
        char message[160];
        snprintf(message, sizeof message, "is missing; it is one of %.120s",
                 assay_reranker_names);
        return wrong(error, place, "kind", message);
    }
    return read_field(item, &stage_fields[0], place, stage, error);
}

static assay_status read_stage(const json_t *item, const char *where, size_t i,
                               assay_stage_options *stage, assay_error *error)
{
    char place[1200];
    snprintf(place, sizeof place, "%.1100s: stages[%zu]", where, i);
    if (!json_is_object(item))
        return wrong(error, where, strrchr(place, ' ') + 1, "expected an object");
    ASSAY_TRY(read_kind(item, place, stage, error));
    const table fields = of_stage(stage->kind);
    return read_fields(item, &fields, place, stage, error);
}

static assay_status read_pipeline(assay_pipeline_file *file, const char *where,
                                  assay_error *error)
{
    assay_pipeline_options *o = &file->settings.options;
    const char *text = NULL;
    if (!json_is_object(file->json))
        return assay_fail(error, ASSAY_E_FORMAT, where, "expected an object with the fields of "
                          "a pipeline");
    o->rerank = UINT32_MAX; /* all that were retrieved */
    ASSAY_TRY(read_fields(file->json, &of_pipeline, where, o, error));
    ASSAY_TRY(assay_json_string(file->json, "name", where, &text, error));
    ASSAY_TRY(assay_json_string(file->json, "description", where, &text, error));
    const json_t *stages = json_object_get(file->json, "stages");
    if (stages != NULL && !json_is_array(stages))
        return wrong(error, where, "stages", "expected a list");
    if (json_array_size(stages) > ASSAY_STAGES_MAX)
        return wrong(error, where, "stages", "there are more than 8");
    o->stage_count = json_array_size(stages);
    o->stages = file->settings.stages;
    for (size_t i = 0; i < o->stage_count; i++)
        ASSAY_TRY(read_stage(json_array_get(stages, i), where, i, &file->settings.stages[i],
                             error));
    return ASSAY_OK;
}

/* Whether the values fit together, told before a collection is there. */
static assay_status try_settings(const assay_pipeline_options *options, const char *where,
                                 assay_error *error)
{
    assay_settings filled;
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return assay_fail_memory(error, 1024);
    assay_status status = assay_settings_fill(options, arena, &filled, error);
    assay_arena_free(arena);
    if (status != ASSAY_OK)
        assay_error_prefix(error, where);
    return status;
}

static assay_status read_json(const char *name, json_t **out, assay_error *error)
{
    if (strpbrk(name, "/.") != NULL)
        return assay_json_read(name, FILE_LIMIT, out, error);
    const assay_preset *preset = assay_preset_find(name);
    if (preset != NULL)
        return assay_json_parse(preset->json, strlen(preset->json), name, out, error);
    assay_buffer names;
    assay_buffer_init(&names, 0);
    const char *one;
    for (size_t i = 0; (one = assay_pipeline_preset(i, NULL)) != NULL; i++)
        assay_buffer_format(&names, "%s%s", i > 0 ? ", " : "", one);
    assay_status status = assay_buffer_status(&names, name, error);
    if (status == ASSAY_OK)
        status = assay_fail(error, ASSAY_E_NOT_FOUND, name,
                            "is no preset; there are: %s. A file is named with its ending or "
                            "its folder (./%.40s)", names.data, name);
    assay_buffer_free(&names);
    return status;
}

assay_status assay_pipeline_file_open(const char *name, assay_pipeline_file **out,
                                      assay_error *error)
{
    assay_pipeline_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return assay_fail_memory(error, sizeof *file);
    assay_status status = read_json(name, &file->json, error);
    if (status == ASSAY_OK)
        status = read_pipeline(file, name, error);
    if (status == ASSAY_OK)
        status = try_settings(&file->settings.options, name, error);
    if (status != ASSAY_OK) {
        assay_pipeline_file_close(file);
        return status;
    }
    *out = file;
    return ASSAY_OK;
}

void assay_pipeline_file_close(assay_pipeline_file *file)
{
    if (file == NULL)
        return;
    json_decref(file->json);
    free(file);
}

void assay_pipeline_file_options(const assay_pipeline_file *file, assay_pipeline_options *out)
{
    *out = file->settings.options;
}

/* --------------------------------------------------------------- writing */

static json_t *word_json(const char *words, uint32_t place)
{
    while (place > 0 && *words != '\0') {
        size_t size = strcspn(words, "|");
        words += size + (words[size] == '|');
        place--;
    }
    return json_stringn(words, strcspn(words, "|"));
}

/* NULL: memory, or nothing to write (*absent). */
static json_t *field_json(const field *f, const void *source, bool *absent)
{
    const void *value = (const char *)source + f->offset;
    const char *text;
    *absent = false;
    switch (f->kind) {
    case WORD:
        return word_json(f->words, *(const uint32_t *)value);
    case TEXT:
        memcpy(&text, value, sizeof text);
        *absent = text == NULL;
        return text != NULL ? json_string(text) : NULL;
    case FLAG:
        return json_boolean(*(const bool *)value);
    case COUNT:
        *absent = *(const uint32_t *)value == 0;
        return *absent ? NULL : json_integer(*(const uint32_t *)value);
    case NUMBER:
        *absent = !((const assay_setting *)value)->set;
        return *absent ? NULL : json_real(((const assay_setting *)value)->value);
    }
    return NULL;
}

/* Whether all could be added. */
static bool write_fields(json_t *object, const table *t, const void *source)
{
    bool whole = object != NULL;
    for (size_t i = 0; i < t->count && whole; i++) {
        bool absent;
        if (!has_field(t, &t->fields[i]))
            continue;
        json_t *value = field_json(&t->fields[i], source, &absent);
        whole = absent || json_object_set_new(object, t->fields[i].name, value) == 0;
    }
    return whole;
}

static assay_status print_json(json_t *json, bool whole, char **out, assay_error *error)
{
    *out = whole ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(json);
    return *out != NULL ? ASSAY_OK : assay_fail_memory(error, FILE_LIMIT);
}

static assay_status write_settings(const assay_settings *s, char **out, assay_error *error)
{
    json_t *root = json_object(), *stages = json_array();
    bool whole = write_fields(root, &of_pipeline, &s->options);
    for (size_t i = 0; i < s->options.stage_count && whole; i++) {
        json_t *one = json_object();
        const table fields = of_stage(s->stages[i].kind);
        whole = write_fields(one, &fields, &s->stages[i]);
        whole = json_array_append_new(stages, one) == 0 && whole;
    }
    whole = json_object_set_new(root, "stages", stages) == 0 && whole;
    return print_json(root, whole, out, error);
}

assay_status assay_pipeline_text(const assay_pipeline_options *options, char **out,
                                 assay_error *error)
{
    assay_settings settings;
    assay_arena *arena = assay_arena_new(0);
    if (arena == NULL)
        return assay_fail_memory(error, 1024);
    assay_status status = assay_settings_fill(options, arena, &settings, error);
    if (status == ASSAY_OK) {
        settings.options.ef = options->ef; /* the collection's, where it is not given */
        status = write_settings(&settings, out, error);
    }
    assay_arena_free(arena);
    return status;
}

/* ---------------------------------------------------------------- schema */

static json_t *words_json(const char *words)
{
    json_t *list = json_array();
    while (*words != '\0') {
        size_t size = strcspn(words, "|");
        json_array_append_new(list, json_stringn(words, size));
        words += size + (words[size] == '|');
    }
    return list;
}

static json_t *field_schema(const field *f)
{
    switch (f->kind) {
    case WORD:
        return json_pack("{s:o, s:s}", "enum", words_json(f->words), "description", f->help);
    case TEXT:
        return json_pack("{s:s, s:s}", "type", "string", "description", f->help);
    case FLAG:
        return json_pack("{s:s, s:s}", "type", "boolean", "description", f->help);
    case COUNT:
        return json_pack("{s:s, s:I, s:I, s:s}", "type", "integer", "minimum",
                         (json_int_t)f->low, "maximum", (json_int_t)f->high, "description",
                         f->help);
    case NUMBER:
        return json_pack("{s:s, s:f, s:f, s:s}", "type", "number", "minimum", f->low, "maximum",
                         f->high, "description", f->help);
    }
    return NULL;
}

static json_t *fields_schema(const field *fields, size_t count)
{
    json_t *properties = json_object();
    for (size_t i = 0; i < count; i++)
        json_object_set_new(properties, fields[i].name, field_schema(&fields[i]));
    return properties;
}

assay_status assay_pipeline_schema(char **out, assay_error *error)
{
    json_t *stage = json_pack("{s:s, s:o, s:[s], s:b}", "type", "object", "properties",
                              fields_schema(stage_fields, COUNT_OF(stage_fields)), "required",
                              "kind", "additionalProperties", 0);
    json_t *properties = fields_schema(pipeline_fields, COUNT_OF(pipeline_fields));
    json_object_set_new(properties, "name", json_pack("{s:s}", "type", "string"));
    json_object_set_new(properties, "description", json_pack("{s:s}", "type", "string"));
    json_object_set_new(properties, "stages",
                        json_pack("{s:s, s:o, s:i}", "type", "array", "items", stage, "maxItems",
                                  (int)ASSAY_STAGES_MAX));
    json_t *root = json_pack("{s:s, s:s, s:s, s:o, s:b}", "$schema",
                             "https://json-schema.org/draft/2020-12/schema", "title",
                             "a pipeline of assay", "type", "object", "properties", properties,
                             "additionalProperties", 0);
    return print_json(root, root != NULL, out, error);
}
