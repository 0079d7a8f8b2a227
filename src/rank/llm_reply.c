/* SPDX-License-Identifier: Apache-2.0 */
/* llm_reply.c: see llm_reply.h. What is missing is taken as not said: servers
 * differ in all but choices[0].message.content. */
#include "rank/llm_reply.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* ---- What was said ------------------------------------------------------------ */

/* A string, or the first text of a list of parts. */
static const json_t *content_of(const json_t *message)
{
    const json_t *content = json_object_get(message, "content"), *part;
    size_t i;
    if (!json_is_array(content))
        return content;
    json_array_foreach((json_t *)content, i, part)
    {
        const json_t *text = json_object_get(part, "text");
        if (json_is_string(text))
            return text;
    }
    return NULL;
}

static assay_status nothing_said(const json_t *choice, assay_error *error)
{
    const json_t *message = json_object_get(choice, "message");
    const char *refusal = json_string_value(json_object_get(message, "refusal"));
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    if (refusal != NULL)
        return assay_fail(error, ASSAY_E_FORMAT, "answer", "the model refused: %.200s", refusal);
    if (reason != NULL && strcmp(reason, "length") == 0)
        return assay_fail(error, ASSAY_E_FORMAT, "answer", "the model came to no answer within "
                          "answer_tokens; one that thinks first needs more");
    return assay_fail(error, ASSAY_E_FORMAT, "answer", "the model said nothing (%.60s)",
                      reason != NULL ? reason : "no reason told");
}

/* ---- Odds of yes -------------------------------------------------------------- */

/* 1 for a token that begins a yes, -1 for a no, else 0. */
static int side_of(const json_t *entry)
{
    const char *token = json_string_value(json_object_get(entry, "token"));
    if (token == NULL)
        return 0;
    token += strspn(token, " \t\r\n\"'*");
    size_t length = strcspn(token, " \t\r\n\"'*.!");
    if (length == 3 && strncasecmp(token, "yes", 3) == 0)
        return 1;
    return length == 2 && strncasecmp(token, "no", 2) == 0 ? -1 : 0;
}

/* Adds P(yes) and P(no) among the tokens that could have stood in one place. */
static void add_chances(const json_t *entries, double chance[2])
{
    const json_t *entry;
    size_t i;
    json_array_foreach((json_t *)entries, i, entry)
    {
        const json_t *logarithm = json_object_get(entry, "logprob");
        int side = side_of(entry);
        if (side != 0 && json_is_number(logarithm))
            chance[side < 0] += exp(json_number_value(logarithm));
    }
}

static void read_odds(const json_t *choice, assay_llm_reply *out)
{
    const json_t *tokens = json_object_get(json_object_get(choice, "logprobs"), "content"), *token;
    size_t i;
    json_array_foreach((json_t *)tokens, i, token)
    {
        double chance[2] = {0, 0};
        if (side_of(token) == 0)
            continue;
        add_chances(json_object_get(token, "top_logprobs"), chance);
        /* what is not among the few that are told is less likely than all these */
        const double least = 1e-6;
        out->has_odds = chance[0] + chance[1] > 0;
        out->odds = log(fmax(chance[0], least)) - log(fmax(chance[1], least));
        return;
    }
}

/* ---- The whole ---------------------------------------------------------------- */

static uint64_t count_of(const json_t *usage, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(usage, name));
    return value > 0 && value < (json_int_t)1 << 40 ? (uint64_t)value : 0;
}

static assay_status read_json(assay_llm_reply *out, assay_error *error)
{
    const json_t *choice = json_array_get(json_object_get(out->json, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const json_t *usage = json_object_get(out->json, "usage");
    if (!json_is_object(message))
        return assay_fail(error, ASSAY_E_FORMAT, "answer", "has no choices[0].message: not a "
                          "chat API's");
    out->input_tokens = count_of(usage, "prompt_tokens");
    out->output_tokens = count_of(usage, "completion_tokens");
    const json_t *content = content_of(message);
    if (!json_is_string(content) || json_string_length(content) == 0)
        return nothing_said(choice, error);
    out->text = (assay_text){json_string_value(content), json_string_length(content)};
    read_odds(choice, out);
    return ASSAY_OK;
}

assay_status assay_llm_reply_read(const char *data, size_t length, assay_llm_reply *out,
                                  assay_error *error)
{
    json_error_t reason;
    *out = (assay_llm_reply){0};
    out->json = length > 0 ? json_loadb(data, length, JSON_ALLOW_NUL, &reason) : NULL;
    if (out->json == NULL)
        return assay_fail(error, ASSAY_E_FORMAT, "answer", "is no JSON%s%.100s",
                          length > 0 ? ": " : ", but empty", length > 0 ? reason.text : "");
    return read_json(out, error);
}

void assay_llm_reply_free(assay_llm_reply *reply)
{
    json_decref(reply->json);
    *reply = (assay_llm_reply){0};
}
