/* SPDX-License-Identifier: Apache-2.0 */
/* test_model.c: opening, describing and finding models; and every way in which
 * a folder can be wrong, with what the error must name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "golden_model.h"

static char folder[64];

static void shell(const char *format, const char *a, const char *b)
{
    char command[600];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/assay-model-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    shell("chmod -R u+rwX '%s'; rm -rf '%s'", folder, folder);
    return 0;
}

/* A fresh copy of a golden model in the temporary folder. */
static void copy_model(const char *name)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'/* && cp -R " GOLDEN_MODELS "%s/. '%s'", folder,
             name, folder);
    assert_int_equal(system(command), 0);
}

static char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void fails(assay_status status, const char *named)
{
    assay_model *model = NULL;
    assay_error error = {0};
    assay_status found = assay_model_open(folder, NULL, &model, &error);
    char all[800];
    snprintf(all, sizeof all, "%s: %s", error.where, error.message);
    if (found != status || strstr(all, named) == NULL)
        fail_msg("status %d, \"%s\"; expected %d, \"%s\"", found, all, status, named);
    assert_null(model);
}

static void opens(void)
{
    assay_model *model = NULL;
    assay_error error = {0};
    if (assay_model_open(folder, NULL, &model, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    assay_model_close(model);
}

/* Sets (value is JSON) or, with NULL, removes a field of a JSON file. */
static void set_in(const char *file, const char *field, const char *value)
{
    char *path = in_folder(file);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    if (value == NULL)
        json_object_del(root, field);
    else
        json_object_set_new(root, field, json_loads(value, JSON_DECODE_ANY, NULL));
    assert_int_equal(json_dump_file(root, path, JSON_INDENT(1)), 0);
    json_decref(root);
}

static void config_of_fails(const char *model, const char *field, const char *value,
                            assay_status status, const char *named)
{
    copy_model(model);
    set_in("config.json", field, value);
    fails(status, named);
}

static void config_fails(const char *field, const char *value, assay_status status,
                         const char *named)
{
    config_of_fails("cross-f32", field, value, status, named);
}

static void put(const char *file, const char *text)
{
    FILE *stream = fopen(in_folder(file), "wb");
    assert_non_null(stream);
    fputs(text, stream);
    fclose(stream);
}

static void models_describe_themselves(void **state)
{
    (void)state;
    assay_model_info info;
    assay_model *model = golden_open("cross-f32");
    assay_model_describe(model, &info);
    assert_string_equal(info.architecture, "BertForSequenceClassification");
    assert_string_equal(info.name, "cross-f32");
    assert_string_equal(info.precision, "fp32");
    assert_string_equal(info.stored, "F32");
    assert_string_equal(info.pooling, "");
    assert_int_equal(info.kind, ASSAY_MODEL_CROSS_ENCODER);
    assert_int_equal(info.layers, 2);
    assert_int_equal(info.hidden, 36);
    assert_int_equal(info.heads, 3);
    assert_int_equal(info.intermediate, 53);
    assert_int_equal(info.max_tokens, 96);
    assert_int_equal(info.query_words, 0);
    assert_int_equal(info.dimensions, 0);
    assert_false(info.normalized);
    assert_int_equal(strlen(info.digest), 32);
    struct stat status;
    assert_int_equal(stat(GOLDEN_MODELS "cross-f32/model.safetensors", &status), 0);
    assert_int_equal(info.file_bytes, status.st_size);
    assert_true(info.parameters * 4 < info.file_bytes && info.parameters * 5 > info.file_bytes);
    assert_non_null(assay_model_tokenizer(model));
    assay_model_close(model);

    model = golden_open("dense-mean");
    assay_model_describe(model, &info);
    assert_string_equal(info.pooling, "mean");
    assert_int_equal(info.kind, ASSAY_MODEL_BI_ENCODER);
    assert_int_equal(info.dimensions, 40);
    assert_int_equal(info.max_tokens, 64); /* max_seq_length, below the 96 positions */
    assert_true(info.normalized);
    assay_model_close(model);

    static const char *const stored[][2] = {
        {"cross-int8", "I8"}, {"cross-f16", "F16"}, {"dense-plain", "BF16"}, {"dense-cls", "F32"}};
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        model = golden_open(stored[i][0]);
        assay_model_describe(model, &info);
        assert_string_equal(info.stored, stored[i][1]);
        assay_model_close(model);
    }
}

/* Equal for equal content wherever it lies, different for any change. */
static void digest_follows_the_content(void **state)
{
    (void)state;
    assay_model_info first, info;
    copy_model("cross-f32");
    for (int step = 0; step < 4; step++) {
        if (step == 2) { /* one weight */
            FILE *file = fopen(in_folder("model.safetensors"), "r+b");
            fseek(file, -4, SEEK_END);
            fputs("x", file);
            fclose(file);
        } else if (step == 3) {
            copy_model("cross-f32");
            set_in("config.json", "layer_norm_eps", "1e-5");
        }
        assay_model *model = step == 0 ? golden_open("cross-f32") : NULL;
        if (model == NULL)
            assert_int_equal(assay_model_open(folder, NULL, &model, NULL), ASSAY_OK);
        assay_model_describe(model, &info);
        assay_model_close(model);
        if (step == 0)
            first = info;
        assert_int_equal(strcmp(first.digest, info.digest) == 0, step < 2);
    }
}

static void bad_folders_are_refused(void **state)
{
    (void)state;
    fails(ASSAY_E_NOT_FOUND, "config.json");
    copy_model("cross-f32");
    opens();
    unlink(in_folder("tokenizer.json"));
    fails(ASSAY_E_NOT_FOUND, folder);
    copy_model("cross-f32");
    unlink(in_folder("model.safetensors"));
    fails(ASSAY_E_NOT_FOUND, "model.safetensors");
    put("pytorch_model.bin", "PK");
    fails(ASSAY_E_UNSUPPORTED, "convert them to safetensors");
    copy_model("cross-f32");
    put("config.json", "{\"model_type\": \"bert\",\n oops");
    fails(ASSAY_E_FORMAT, "line 2");
    put("config.json", "");
    fails(ASSAY_E_FORMAT, "config.json");
    put("config.json", "[]");
    fails(ASSAY_E_FORMAT, "config.json");
    assay_model *model;
    assay_error error;
    assert_int_equal(assay_model_open("no-such-model", NULL, &model, &error), ASSAY_E_NOT_FOUND);
    assert_string_equal(error.where, "no-such-model");
    assert_int_equal(assay_model_open(NULL, NULL, &model, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_model_open(folder, &(assay_model_options){.precision = 7}, &model,
                                      &error), ASSAY_E_ARGUMENT);
    assert_string_equal(error.where, "precision");
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    config_fails("model_type", "\"llama\"", ASSAY_E_UNSUPPORTED, "llama");
    config_fails("model_type", NULL, ASSAY_E_UNSUPPORTED, "model_type");
    config_fails("model_type", "7", ASSAY_E_FORMAT, "model_type");
    config_fails("architectures", "[\"BertForQuestionAnswering\"]", ASSAY_E_UNSUPPORTED,
                 "BertForQuestionAnswering");
    config_fails("id2label", "{\"0\":\"a\",\"1\":\"b\",\"2\":\"c\"}", ASSAY_E_UNSUPPORTED,
                 "3 labels");
    config_fails("hidden_size", NULL, ASSAY_E_FORMAT, "hidden_size");
    config_fails("hidden_size", "-36", ASSAY_E_FORMAT, "hidden_size");
    config_fails("hidden_size", "\"36\"", ASSAY_E_FORMAT, "hidden_size");
    config_fails("hidden_size", "1000000", ASSAY_E_FORMAT, "16384");
    config_fails("hidden_size", "39", ASSAY_E_FORMAT, "expected [");
    config_fails("num_hidden_layers", "257", ASSAY_E_FORMAT, "256");
    config_fails("num_hidden_layers", "0", ASSAY_E_FORMAT, "num_hidden_layers");
    config_fails("num_hidden_layers", "3", ASSAY_E_FORMAT, "encoder.layer.2.");
    config_fails("num_attention_heads", "5", ASSAY_E_FORMAT, "does not divide");
    config_fails("vocab_size", "4194305", ASSAY_E_FORMAT, "vocab_size");
    config_fails("vocab_size", "17", ASSAY_E_FORMAT, "word_embeddings");
    config_fails("max_position_embeddings", "97", ASSAY_E_FORMAT, "position_embeddings");
    config_fails("type_vocab_size", "1", ASSAY_E_FORMAT, "token_type_embeddings");
    config_fails("intermediate_size", "54", ASSAY_E_FORMAT, "intermediate.dense");
    config_fails("hidden_act", "\"gelu_new\"", ASSAY_E_UNSUPPORTED, "gelu_new");
    config_fails("layer_norm_eps", "-1", ASSAY_E_FORMAT, "layer_norm_eps");
    config_fails("position_embedding_type", "\"relative_key\"", ASSAY_E_UNSUPPORTED,
                 "relative_key");
    config_fails("is_decoder", "true", ASSAY_E_UNSUPPORTED, "is_decoder");
    config_fails("assay_query_words", "0", ASSAY_E_FORMAT, "assay_query_words");
    config_fails("assay_query_words", "\"32\"", ASSAY_E_FORMAT, "assay_query_words");
    config_fails("assay_split", "-1", ASSAY_E_FORMAT, "assay_split");
    config_fails("assay_split", "2", ASSAY_E_FORMAT, "2 of 2 layers leave none");
    config_of_fails("dense-cls", "assay_split", "1", ASSAY_E_UNSUPPORTED, "assay_split");
    config_of_fails("cross-roberta", "assay_split", "1", ASSAY_E_UNSUPPORTED, "assay_split");
    config_fails("quantization_config", "{\"quant_method\":\"gptq\"}", ASSAY_E_UNSUPPORTED,
                 "gptq");
    config_fails("quantization_config", "[]", ASSAY_E_FORMAT, "quantization_config");
    config_fails("quantization_config",
                 "{\"config_groups\":{\"g\":{\"weights\":{\"num_bits\":4}}}}",
                 ASSAY_E_UNSUPPORTED, "8 bits");
    config_fails("quantization_config",
                 "{\"config_groups\":{\"g\":{\"weights\":{\"strategy\":\"group\"}}}}",
                 ASSAY_E_UNSUPPORTED, "strategy");
}

static void bad_roberta_configurations_are_refused(void **state)
{
    (void)state;
    const char *model = "cross-roberta";
    copy_model(model);
    opens();
    config_of_fails(model, "model_type", "\"bert\"", ASSAY_E_UNSUPPORTED,
                    "expected BertModel or BertForSequenceClassification");
    config_of_fails(model, "model_type", "\"xlm-roberta\"", ASSAY_E_UNSUPPORTED,
                    "XLMRobertaForSequenceClassification");
    config_of_fails(model, "model_type", "\"xlm\"", ASSAY_E_UNSUPPORTED,
                    "bert, roberta or xlm-roberta");
    config_of_fails(model, "architectures", "[\"RobertaForTokenClassification\"]",
                    ASSAY_E_UNSUPPORTED, "RobertaForTokenClassification");
    set_in("config.json", "architectures", "[\"RobertaForMaskedLM\"]");
    opens();
    config_of_fails(model, "id2label", "{\"0\":\"a\",\"1\":\"b\"}", ASSAY_E_UNSUPPORTED,
                    "2 labels");
    config_of_fails(model, "position_embedding_type", "\"relative_key_query\"",
                    ASSAY_E_UNSUPPORTED, "relative_key_query");
    config_of_fails(model, "max_position_embeddings", "2", ASSAY_E_FORMAT, "pad_token_id + 1");
    config_of_fails(model, "max_position_embeddings", "64", ASSAY_E_FORMAT,
                    "position_embeddings");
    config_of_fails(model, "pad_token_id", "65", ASSAY_E_FORMAT, "pad_token_id + 1");
    config_of_fails(model, "pad_token_id", "-1", ASSAY_E_FORMAT, "pad_token_id");
    config_of_fails(model, "type_vocab_size", "2", ASSAY_E_FORMAT, "token_type_embeddings");
    /* Positions behind the padding token's limit the input, whatever else says. */
    copy_model(model);
    set_in("tokenizer_config.json", "model_max_length", "66");
    set_in("config.json", "pad_token_id", "60");
    assay_model *open = NULL;
    assay_model_info info;
    assert_int_equal(assay_model_open(folder, NULL, &open, NULL), ASSAY_OK);
    assay_model_describe(open, &info);
    assert_int_equal(info.max_tokens, 5);
    assert_string_equal(info.architecture, "RobertaForSequenceClassification");
    assay_model_close(open);
}

/* What stands between the texts is the tokenizer's to say, within reason. */
static void bad_layouts_are_refused(void **state)
{
    (void)state;
    copy_model("cross-roberta");
    char *path = in_folder("tokenizer.json");
    json_t *root = json_load_file(path, 0, NULL);
    json_t *pair = json_object_get(json_object_get(root, "post_processor"), "pair");
    json_t *first = json_incref(json_array_get(pair, 0));
    json_array_remove(pair, 0);
    json_dump_file(root, path, 0);
    fails(ASSAY_E_UNSUPPORTED, "special token");
    json_array_insert_new(pair, 0, first);
    json_object_set_new(json_object_get(first, "SpecialToken"), "type_id", json_integer(1));
    json_dump_file(root, path, 0);
    fails(ASSAY_E_UNSUPPORTED, "0, then 1");
    json_decref(root);
}

static void sentence_settings_fail(const char *file, const char *field, const char *value,
                                   assay_status status, const char *named)
{
    copy_model("dense-mean");
    set_in(file, field, value);
    fails(status, named);
}

static void bad_sentence_settings_are_refused(void **state)
{
    (void)state;
    const char *pooling = "1_Pooling/config.json";
    sentence_settings_fail(pooling, "pooling_mode", "\"lasttoken\"", ASSAY_E_UNSUPPORTED,
                           "lasttoken");
    sentence_settings_fail(pooling, "pooling_mode", "[\"mean\",\"cls\"]", ASSAY_E_UNSUPPORTED,
                           "pooling_mode");
    sentence_settings_fail(pooling, "embedding_dimension", "41", ASSAY_E_FORMAT, "41");
    sentence_settings_fail("sentence_bert_config.json", "max_seq_length", "\"many\"",
                           ASSAY_E_FORMAT, "max_seq_length");
    copy_model("dense-cls");
    set_in(pooling, "pooling_mode_max_tokens", "true");
    fails(ASSAY_E_UNSUPPORTED, "pooling_mode_max_tokens");
    set_in(pooling, "pooling_mode_cls_token", "false");
    fails(ASSAY_E_UNSUPPORTED, "pooling_mode_max_tokens");
    unlink(in_folder(pooling));
    fails(ASSAY_E_NOT_FOUND, "1_Pooling");
    copy_model("dense-mean");
    put("modules.json", "{}");
    fails(ASSAY_E_FORMAT, "modules.json");
    put("modules.json", "[{\"type\":\"a.b.Transformer\",\"path\":\"../..\"}]");
    fails(ASSAY_E_FORMAT, "module 0");
    put("modules.json", "[{\"type\":\"a.b.CLIPModel\",\"path\":\"\"}]");
    fails(ASSAY_E_UNSUPPORTED, "CLIPModel");
    put("modules.json", "[{\"type\":\"a.Transformer\",\"path\":\"\"},"
                        "{\"type\":\"a.LSTM\",\"path\":\"\"}]");
    fails(ASSAY_E_UNSUPPORTED, "LSTM");
    copy_model("dense-mean");
    set_in("sentence_bert_config.json", "do_lower_case", "true");
    opens(); /* an uncased tokenizer lowers anyway */
    set_in("tokenizer_config.json", "do_lower_case", "false");
    fails(ASSAY_E_UNSUPPORTED, "do_lower_case");
}

static void prompts_fail(const char *settings, assay_status status, const char *named)
{
    put("config_sentence_transformers.json", settings);
    fails(status, named);
}

/* The prompt that a role gets with these settings. */
static void prompts_are(const char *settings, const char *query, const char *passage)
{
    put("config_sentence_transformers.json", settings);
    assay_model *model = NULL;
    assay_model_info info;
    assert_int_equal(assay_model_open(folder, NULL, &model, NULL), ASSAY_OK);
    assay_model_describe(model, &info);
    assay_model_close(model);
    assert_string_equal(info.query_prompt, query);
    assert_string_equal(info.passage_prompt, passage);
}

static void prompts_are_heeded_or_refused(void **state)
{
    (void)state;
    copy_model("dense-mean");
    prompts_are("{\"default_prompt_name\": null}", "", "");
    prompts_are("{\"prompts\": null}", "", "");
    prompts_are("{\"prompts\": {\"query\": \"q: \", \"other\": \"o: \"}}", "q: ", "");
    prompts_are("{\"prompts\": {\"corpus\": \"c: \", \"passage\": \"p: \"}}", "", "p: ");
    prompts_are("{\"prompts\": {\"document\": null, \"passage\": \"p: \"}}", "", "");
    prompts_are("{\"prompts\": {\"corpus\": \"c: \"}, \"default_prompt_name\": \"corpus\"}", "",
                "c: ");
    prompts_fail("{\"default_prompt_name\": \"query\"}", ASSAY_E_FORMAT, "default_prompt_name");
    prompts_fail("{\"prompts\": {\"a\": \"\"}, \"default_prompt_name\": \"b\"}", ASSAY_E_FORMAT,
                 "\"b\" is not among the prompts");
    prompts_fail("{\"prompts\": [\"query: \"]}", ASSAY_E_FORMAT, "expected an object");
    prompts_fail("{\"prompts\": {\"query\": 7}}", ASSAY_E_FORMAT, "query");
    char text[700];
    snprintf(text, sizeof text, "{\"prompts\": {\"query\": \"%0512d\"}}", 0);
    prompts_fail(text, ASSAY_E_LIMIT, "512 bytes");
    snprintf(text, sizeof text, "{\"prompts\": {\"query\": \"%0511d\"}}", 0);
    put("config_sentence_transformers.json", text);
    opens();
    /* Prompts that are read and not pooled over: only where there are none. */
    set_in("1_Pooling/config.json", "include_prompt", "false");
    fails(ASSAY_E_UNSUPPORTED, "include_prompt");
    put("config_sentence_transformers.json", "{\"prompts\": {\"query\": \"\"}}");
    opens();
    copy_model("cross-f32");
    put("config_sentence_transformers.json", "{\"prompts\": {\"query\": \"q: \"}}");
    opens();
    prompts_fail("{\"prompts\": {\"query\": \"q: \"}, \"default_prompt_name\": \"query\"}",
                 ASSAY_E_UNSUPPORTED, "default_prompt_name");
}

/* As encode() of sentence-transformers puts it before texts of no role. */
static void the_default_prompt_is_put_before_texts(void **state)
{
    (void)state;
    float vectors[2][28];
    for (int prompted = 0; prompted < 2; prompted++) {
        assay_model *model = NULL;
        assay_text text = golden_text(prompted ? "leave" : "passage: leave");
        copy_model("dense-prompts");
        if (prompted)
            set_in("config_sentence_transformers.json", "default_prompt_name", "\"document\"");
        assert_int_equal(assay_model_open(folder, NULL, &model, NULL), ASSAY_OK);
        assay_session *session = golden_session(model, 1);
        assert_int_equal(assay_embed(session, &text, 1, vectors[prompted], NULL, NULL), ASSAY_OK);
        assay_session_close(session);
        assay_model_close(model);
    }
    assert_memory_equal(vectors[0], vectors[1], sizeof vectors[0]);
}

/* ---- Weights ----------------------------------------------------------------- */

/* Rewrites one entry of model.safetensors' header: another name, or another
 * value of a field. The data stays. */
static void edit_tensor(const char *name, const char *field, const char *value)
{
    FILE *file = fopen(in_folder("model.safetensors"), "rb");
    static char bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint64_t length;
    memcpy(&length, bytes, 8);
    json_t *header = json_loadb(bytes + 8, length, 0, NULL);
    json_t *entry = json_object_get(header, name);
    assert_non_null(entry);
    if (strcmp(field, "name") == 0) {
        json_object_set(header, value, entry);
        json_object_del(header, name);
    } else {
        json_object_set_new(entry, field, json_loads(value, JSON_DECODE_ANY, NULL));
    }
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t new_length = strlen(text);
    file = fopen(in_folder("model.safetensors"), "wb");
    fwrite(&new_length, 1, 8, file);
    fwrite(text, 1, new_length, file);
    fwrite(bytes + 8 + length, 1, size - 8 - length, file);
    fclose(file);
    free(text);
    json_decref(header);
}

static void tensor_fails(const char *model, const char *name, const char *field,
                         const char *value, assay_status status, const char *named)
{
    copy_model(model);
    edit_tensor(name, field, value);
    fails(status, named);
}

static void bad_weights_are_refused(void **state)
{
    (void)state;
    const char *query = "bert.encoder.layer.1.attention.self.query.weight";
    tensor_fails("cross-f32", query, "name", "gone", ASSAY_E_FORMAT, query);
    tensor_fails("cross-f32", query, "name", "gone", ASSAY_E_FORMAT, "missing");
    tensor_fails("cross-f32", query, "shape", "[1296]", ASSAY_E_FORMAT,
                 "shape [1296], expected [36,36]");
    tensor_fails("cross-f32", query, "dtype", "\"I32\"", ASSAY_E_UNSUPPORTED, "I32");
    tensor_fails("cross-f32", query, "dtype", "\"F16\"", ASSAY_E_FORMAT, "data_offsets");
    tensor_fails("cross-f32", "bert.encoder.layer.0.intermediate.dense.weight", "shape",
                 "[36,53]", ASSAY_E_FORMAT, "shape [36,53], expected [53,36]");
    tensor_fails("cross-f32", "classifier.weight", "name", "score.weight", ASSAY_E_FORMAT,
                 "classifier.weight");
    tensor_fails("cross-f32", "bert.pooler.dense.bias", "name", "gone", ASSAY_E_FORMAT,
                 "bert.pooler.dense.bias");
    tensor_fails("cross-f32", "bert.embeddings.word_embeddings.weight", "name", "gone",
                 ASSAY_E_FORMAT, "word_embeddings");
    tensor_fails("cross-roberta", "classifier.dense.weight", "name", "gone", ASSAY_E_FORMAT,
                 "classifier.dense.weight");
    tensor_fails("cross-roberta", "classifier.out_proj.bias", "name", "classifier.bias",
                 ASSAY_E_FORMAT, "classifier.out_proj.bias");
    tensor_fails("cross-roberta", "classifier.dense.weight", "shape", "[1600]", ASSAY_E_FORMAT,
                 "shape [1600], expected [40,40]");
    tensor_fails("cross-roberta", "roberta.encoder.layer.0.output.dense.bias", "name", "gone",
                 ASSAY_E_FORMAT, "roberta.encoder.layer.0.output.dense.bias");
    tensor_fails("cross-int8", "bert.pooler.dense.weight_scale", "name", "gone", ASSAY_E_FORMAT,
                 "bert.pooler.dense.weight_scale");
    tensor_fails("cross-int8", "bert.pooler.dense.weight_scale", "shape", "[1,48]",
                 ASSAY_E_FORMAT, "expected [48,1]");
    tensor_fails("cross-int8", "bert.pooler.dense.weight_scale", "dtype", "\"I32\"",
                 ASSAY_E_UNSUPPORTED, "I32");
    tensor_fails("cross-int8", "bert.pooler.dense.bias", "name",
                 "bert.pooler.dense.weight_zero_point", ASSAY_E_UNSUPPORTED, "zero");
    copy_model("cross-f32");
    assert_int_equal(truncate(in_folder("model.safetensors"), 100000), 0);
    fails(ASSAY_E_FORMAT, "outside the file");
    assert_int_equal(truncate(in_folder("model.safetensors"), 20), 0);
    fails(ASSAY_E_FORMAT, "cut off");
    assert_int_equal(truncate(in_folder("model.safetensors"), 0), 0);
    fails(ASSAY_E_FORMAT, "too short");
}

/* Puts a value into a float tensor of model.safetensors. */
static void put_value(const char *name, size_t at, float value)
{
    FILE *file = fopen(in_folder("model.safetensors"), "r+b");
    static char header[1 << 20];
    uint64_t length;
    assert_int_equal(fread(&length, 8, 1, file), 1);
    assert_int_equal(fread(header, 1, length, file), length);
    json_t *root = json_loadb(header, length, 0, NULL);
    const json_t *entry = json_object_get(root, name);
    assert_non_null(entry);
    assert_string_equal(json_string_value(json_object_get(entry, "dtype")), "F32");
    json_int_t begin = json_integer_value(json_array_get(json_object_get(entry, "data_offsets"), 0));
    fseek(file, (long)(8 + length + (uint64_t)begin + 4 * at), SEEK_SET);
    fwrite(&value, sizeof value, 1, file);
    fclose(file);
    json_decref(root);
}

static void damage_is_told_with_the_tensor(void **state)
{
    (void)state;
    static const struct {
        const char *model, *tensor;
    } cases[] = {
        {"cross-f32", "bert.encoder.layer.1.attention.self.value.weight"},
        {"cross-f32", "bert.encoder.layer.0.intermediate.dense.bias"},
        {"cross-f32", "bert.encoder.layer.0.output.LayerNorm.weight"},
        {"cross-f32", "bert.pooler.dense.weight"},
        {"cross-f32", "classifier.bias"},
        {"dense-mean", "encoder.layer.1.output.dense.weight"},
        {"cross-int8", "bert.embeddings.word_embeddings.weight_scale"},
        {"cross-int8", "bert.encoder.layer.2.output.dense.weight_scale"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int precision = ASSAY_PRECISION_FP32; precision <= ASSAY_PRECISION_INT8;
             precision++) {
            copy_model(cases[i].model);
            put_value(cases[i].tensor, 0, precision % 2 != 0 ? NAN : -INFINITY);
            assay_model *model = NULL;
            assay_error error = {0};
            const assay_model_options options = {.precision = (assay_precision)precision};
            assert_int_equal(assay_model_open(folder, &options, &model, &error),
                             ASSAY_E_CORRUPT);
            assert_non_null(strstr(error.where, cases[i].tensor));
            assert_non_null(strstr(error.message, precision % 2 != 0 ? "is NaN" : "is infinite"));
        }
}

/* Words are read when they are met: a passage with such a word has no score,
 * at any precision, the others have theirs; a text no vector. */
static void damaged_words_fail_their_texts_alone(void **state)
{
    (void)state;
    for (int precision = ASSAY_PRECISION_FP32; precision <= ASSAY_PRECISION_INT8; precision++) {
        const assay_model_options options = {.precision = (assay_precision)precision};
        assay_text texts[2] = {golden_text("leave"), golden_text("notice")};
        assay_encoding encoding;
        assay_model *model = golden_open("cross-f32");
        assert_int_equal(assay_tokenize(assay_model_tokenizer(model), texts[1], NULL, NULL,
                                        &encoding, NULL), ASSAY_OK);
        size_t word = (size_t)encoding.ids[0] * 36 + 5;
        assay_encoding_free(&encoding);
        assay_model_close(model);

        copy_model("cross-f32");
        put_value("bert.embeddings.word_embeddings.weight", word, NAN);
        assert_int_equal(assay_model_open(folder, &options, &model, NULL), ASSAY_OK);
        assay_model_info info;
        assay_model_describe(model, &info);
        assert_string_equal(info.notice, ""); /* the self-check's text has no such word */
        assay_session *session = golden_session(model, 1);
        assay_score scores[2];
        assert_int_equal(assay_rerank(session, golden_text("leave"), texts, 2, scores, NULL),
                         ASSAY_OK);
        assert_int_equal(scores[0].status, ASSAY_OK);
        assert_true(isfinite(scores[0].logit));
        assert_int_equal(scores[1].status, ASSAY_E_CORRUPT);
        assert_true(scores[1].logit == -INFINITY);
        assay_session_close(session);
        assay_model_close(model);

        copy_model("dense-mean");
        put_value("embeddings.word_embeddings.weight", word / 36 * 40, INFINITY);
        assert_int_equal(assay_model_open(folder, &options, &model, NULL), ASSAY_OK);
        session = golden_session(model, 1);
        float vectors[80];
        assay_error error;
        assert_int_equal(assay_embed(session, texts, 1, vectors, NULL, NULL), ASSAY_OK);
        assert_int_equal(assay_embed(session, texts, 2, vectors, NULL, &error), ASSAY_E_CORRUPT);
        assert_non_null(strstr(error.message, "text 1"));
        assay_session_close(session);
        assay_model_close(model);
    }
}

/* A channel of the activations of 10000 that no weight reads changes nothing at
 * fp32, and drowns the others when a row is rounded to 8 bits: told, and fp32. */
static void outliers_are_run_at_fp32(void **state)
{
    (void)state;
    static const char layer[] = "bert.encoder.layer.1.output.dense.weight";
    assay_text passage = golden_text("days");
    assay_score scores[2];
    assay_model_info info;
    copy_model("cross-f32");
    for (size_t row = 0; row < 36; row++)
        put_value(layer, row * 53 + 7, 0);
    for (int outlier = 0; outlier < 2; outlier++) {
        put_value("bert.encoder.layer.1.intermediate.dense.bias", 7, outlier ? 1e4f : 0);
        for (int precision = ASSAY_PRECISION_FP32; precision <= ASSAY_PRECISION_INT8;
             precision++) {
            const assay_model_options options = {.precision = (assay_precision)precision};
            assay_model *model;
            assert_int_equal(assay_model_open(folder, &options, &model, NULL), ASSAY_OK);
            assay_model_describe(model, &info);
            assay_session *session = golden_session(model, 1);
            assert_int_equal(assay_rerank(session, golden_text("leave"), &passage, 1,
                                          &scores[precision - ASSAY_PRECISION_FP32], NULL),
                             ASSAY_OK);
            assay_session_close(session);
            assay_model_close(model);
            bool fell = outlier && precision == ASSAY_PRECISION_INT8;
            assert_string_equal(info.precision,
                                precision == ASSAY_PRECISION_INT8 && !fell ? "int8" : "fp32");
            assert_true((info.notice[0] != '\0') == fell);
            assert_true(!fell || strstr(info.notice, layer) != NULL);
        }
        assert_true((scores[0].logit == scores[1].logit) == (outlier == 1));
    }
}

typedef struct told {
    size_t problems, calls;
    char where[4][256];
} told;

static bool take_told(const assay_progress *progress, void *user)
{
    told *list = user;
    list->calls++;
    if (progress->problem != NULL && list->problems < 4)
        strcpy(list->where[list->problems++], progress->problem->where);
    return list->calls < 1000;
}

static void a_check_reads_every_value(void **state)
{
    (void)state;
    uint64_t problems = 9;
    told list = {0};
    copy_model("cross-f32");
    assert_int_equal(assay_model_check(folder, take_told, &list, &problems, NULL), ASSAY_OK);
    assert_true(problems == 0 && list.problems == 0 && list.calls > 30);
    put_value("bert.embeddings.word_embeddings.weight", 116 * 36 - 1, NAN);
    put_value("bert.embeddings.position_embeddings.weight", 7, NAN);
    assert_int_equal(assay_model_check(folder, take_told, &list, &problems, NULL),
                     ASSAY_E_CORRUPT);
    assert_true(problems == 2 && list.problems == 2);
    assert_non_null(strstr(list.where[0], "position_embeddings"));
    assert_non_null(strstr(list.where[1], "word_embeddings"));
    list.calls = 999;
    assert_int_equal(assay_model_check(folder, take_told, &list, &problems, NULL),
                     ASSAY_E_INTERRUPTED);
    list = (told){0};
    assert_int_equal(truncate(in_folder("model.safetensors"), 1000), 0);
    assert_int_equal(assay_model_check(folder, take_told, &list, &problems, NULL),
                     ASSAY_E_CORRUPT);
    assert_true(problems == 1 && list.problems == 1);
    assert_int_equal(assay_model_check("/nowhere", NULL, NULL, NULL, NULL), ASSAY_E_NOT_FOUND);
}

static void names_are_found(void **state)
{
    (void)state;
    char path[1024];
    assay_error error;
    setenv("ASSAY_MODELS", "tests/golden/models", 1);
    assert_int_equal(assay_model_find("cross-f32", path, sizeof path, &error), ASSAY_OK);
    assert_string_equal(path, "tests/golden/models/cross-f32");
    assert_int_equal(assay_model_find("cross-f32", path, 10, &error), ASSAY_E_LIMIT);
    assert_int_equal(assay_model_find("../models/cross-f32", path, sizeof path, &error),
                     ASSAY_E_NOT_FOUND);
    assert_int_equal(assay_model_find(GOLDEN_MODELS "dense-cls", path, sizeof path, &error),
                     ASSAY_OK);
    assert_string_equal(path, GOLDEN_MODELS "dense-cls");
    setenv("ASSAY_HOME", folder, 1);
    shell("mkdir -p '%s/models/org' && cp -R " GOLDEN_MODELS "cross-f16 '%s/models/org/'", folder,
          folder);
    assert_int_equal(assay_model_find("org/cross-f16", path, sizeof path, &error), ASSAY_OK);
    assert_non_null(strstr(path, folder));
    assert_int_equal(assay_model_find("nothing", path, sizeof path, &error), ASSAY_E_NOT_FOUND);
    assert_non_null(strstr(error.message, folder));
    assert_non_null(strstr(error.message, "tests/golden/models"));
    assert_int_equal(assay_model_find("", path, sizeof path, &error), ASSAY_E_ARGUMENT);
    assert_int_equal(assay_model_find(folder, path, sizeof path, &error), ASSAY_OK);
    unsetenv("ASSAY_MODELS");
    unsetenv("ASSAY_HOME");
}

static void home_follows_the_environment(void **state)
{
    (void)state;
    char path[1024];
    assay_error error;
    setenv("ASSAY_HOME", "/a/b", 1);
    assert_int_equal(assay_home(path, sizeof path, &error), ASSAY_OK);
    assert_string_equal(path, "/a/b");
    assert_int_equal(assay_home(path, 4, &error), ASSAY_E_LIMIT);
    assert_int_equal(assay_home(path, 5, &error), ASSAY_OK);
    unsetenv("ASSAY_HOME");
    setenv("XDG_DATA_HOME", "/x", 1);
    assert_int_equal(assay_home(path, sizeof path, &error), ASSAY_OK);
    assert_string_equal(path, "/x/assay");
    setenv("XDG_DATA_HOME", "relative", 1);
    setenv("HOME", "/h", 1);
    assert_int_equal(assay_home(path, sizeof path, &error), ASSAY_OK);
    assert_string_equal(path, "/h/.local/share/assay");
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    assert_int_equal(assay_home(path, sizeof path, &error), ASSAY_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "ASSAY_HOME"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_describe_themselves),
        cmocka_unit_test_setup_teardown(digest_follows_the_content, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(bad_folders_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(bad_configurations_are_refused, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(bad_roberta_configurations_are_refused, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(bad_layouts_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(bad_sentence_settings_are_refused, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(prompts_are_heeded_or_refused, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_default_prompt_is_put_before_texts, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(bad_weights_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damage_is_told_with_the_tensor, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(damaged_words_fail_their_texts_alone, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(outliers_are_run_at_fp32, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_check_reads_every_value, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(names_are_found, make_folder, remove_folder),
        cmocka_unit_test(home_follows_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
