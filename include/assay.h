/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assay.h: find the passages that answer a question.
 *
 * The one public header of libassay. A data directory ("store") keeps
 * collections of documents, each cut into passages; a pipeline retrieves
 * candidate passages (BM25, dense vectors or both), reranks them with a
 * cross-encoder and returns hits that say where each stood after every stage.
 *
 * Conventions, true of every function unless it says otherwise:
 *  - Functions return an assay_status. Results come back by out-pointer, which
 *    is written only on ASSAY_OK. The last parameter may be NULL, or an
 *    assay_error that is filled in when the status is not ASSAY_OK.
 *  - Text is UTF-8, given as pointer and length in bytes; it need not end in
 *    NUL. Offsets and lengths of text are in bytes. Invalid UTF-8 reads as
 *    U+FFFD where a model sees it and never crashes anything.
 *  - Options structs may be passed as NULL: then every field has its default.
 *    A field that is zero (or NULL) means the default too, unless its comment
 *    says otherwise, so `&(assay_x_options){.field = v}` is how they are used.
 *  - What a function allocates has a matching _close or _free, which takes NULL.
 *  - The library never prints, never exits, and never calls setlocale.
 *  - "Shared": a handle may be used by many threads at once.
 *    "One thread": a handle is used by one thread at a time.
 */
#ifndef ASSAY_H
#define ASSAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASSAY_VERSION "0.1.0"

#define ASSAY_API __attribute__((visibility("default")))

/* ------------------------------------------------------------------ status */

typedef enum assay_status {
    ASSAY_OK = 0,
    ASSAY_E_ARGUMENT,    /* the caller asked for something that makes no sense */
    ASSAY_E_NOT_FOUND,   /* file, model, collection or document does not exist */
    ASSAY_E_IO,          /* the operating system refused to read or write */
    ASSAY_E_FORMAT,      /* a file or a text is not what its format demands */
    ASSAY_E_UNSUPPORTED, /* well-formed, but something assay cannot do */
    ASSAY_E_LIMIT,       /* larger than a stated limit, e.g. a query too long */
    ASSAY_E_MEMORY,      /* out of memory */
    ASSAY_E_BUSY,        /* another process holds the lock; try again */
    ASSAY_E_VERSION,     /* written by a newer assay */
    ASSAY_E_CORRUPT,     /* was right once and is damaged now */
    ASSAY_E_FULL,        /* no space left on the device */
    ASSAY_E_NETWORK,     /* a host could not be reached or refused */
    ASSAY_E_INTERRUPTED, /* the progress callback asked to stop */
    ASSAY_E_INTERNAL,    /* a bug in assay: please report it */
} assay_status;

typedef struct assay_error {
    assay_status code;
    char where[256];   /* file, line or field; "" when there is none */
    char message[512]; /* what is wrong and what would be right */
} assay_error;

/* Name of a status for people and JSON ("not_found"). Never NULL. Shared. */
ASSAY_API const char *assay_status_name(assay_status status);

/* Version of the library at run time, e.g. "0.1.0". */
ASSAY_API const char *assay_version(void);

/* Name of the instruction set in use: "scalar", "avx2", "avxvnni", "avx512",
 * "avx512vnni", "avx512bf16", "amx", "neon" or "neondot". Decided once, at first
 * use, from what the processor has and $ASSAY_CPU (which can only lower it). Linux
 * is then asked for AMX where the processor has it and $ASSAY_CPU allows it. */
ASSAY_API const char *assay_cpu(void);

/* -------------------------------------------------------------------- text */

typedef struct assay_text {
    const char *data; /* may be NULL when length is 0 */
    size_t length;    /* bytes */
} assay_text;

/* A number that may be left to its default: {0} is "default", {true, v} is v. */
typedef struct assay_setting {
    bool set;
    double value;
} assay_setting;

/* ---------------------------------------------------------------- progress */

typedef enum assay_phase {
    ASSAY_PHASE_INDEX,    /* bytes of the sources read, embedded and stored */
    ASSAY_PHASE_VECTORS,  /* writing the vector index file */
    ASSAY_PHASE_TOKENS,   /* passages whose token vectors are computed */
    ASSAY_PHASE_CHECK,    /* checking integrity */
    ASSAY_PHASE_DOWNLOAD, /* bytes of a file */
    ASSAY_PHASE_QUANTIZE, /* bytes of the weights read */
    ASSAY_PHASE_WORDS,    /* writing the word index file */
    ASSAY_PHASE_EXAMPLES, /* bytes of training data read */
    ASSAY_PHASE_MINE,     /* queries that negatives were looked for */
    ASSAY_PHASE_TUNE,     /* searches of a vector index for measuring it */
    ASSAY_PHASE_SYNTH,    /* passages that queries are made of */
} assay_phase;

typedef struct assay_progress {
    assay_phase phase;
    uint64_t done;
    uint64_t total;             /* 0: not known yet */
    const char *item;           /* file or document at hand, or NULL */
    const assay_error *problem; /* not NULL: this item failed and was skipped */
} assay_progress;

/* Called from the thread that made the call. Return false to stop: the call
 * then keeps what is finished and returns ASSAY_E_INTERRUPTED. */
typedef bool (*assay_progress_fn)(const assay_progress *progress, void *user);

/* --------------------------------------------------------------- tokenizer */

typedef struct assay_tokenizer assay_tokenizer; /* immutable; shared */

typedef struct assay_encoding {
    size_t count;
    int32_t *ids;     /* [count] */
    uint8_t *types;   /* [count] of BERT 0 first text, 1 second text of a pair; of
                         XLM-RoBERTa 0 */
    uint32_t *begins; /* [count] byte offset of the token in its text */
    uint32_t *ends;   /* [count] one past its last byte; 0,0 for special tokens */
    bool truncated;   /* the limit cut something off */
} assay_encoding;

typedef enum assay_truncation {
    ASSAY_TRUNCATE_ONLY_SECOND = 0, /* the query is never cut */
    ASSAY_TRUNCATE_LONGEST_FIRST,   /* as Hugging Face tokenizers do by default */
} assay_truncation;

typedef struct assay_tokenize_options {
    bool special;       /* add [CLS] and [SEP], or <s> and </s>; always added
                           for a pair */
    uint32_t max_tokens; /* 0: no limit. Counts special tokens */
    assay_truncation truncation; /* of a pair; a single text is cut at its end */
} assay_tokenize_options;

/* Opens the tokenizer of a model folder (tokenizer.json, else vocab.txt with
 * tokenizer_config.json), or such a file by itself. Two kinds, both equal in ids
 * and offsets to the Hugging Face tokenizers library: BERT WordPiece (Devlin et
 * al. 2019), and the Unigram (Kudo 2018) of SentencePiece as XLM-RoBERTa models
 * have it in tokenizer.json (bge-m3, bge-reranker, multilingual-e5), whose tokens
 * that begin a word may hold the space before it. Invalid UTF-8 reads as U+FFFD.
 * Errors: NOT_FOUND, FORMAT with file and field, UNSUPPORTED for other kinds. */
ASSAY_API assay_status assay_tokenizer_open(const char *path, assay_tokenizer **out,
                                            assay_error *error);
ASSAY_API void assay_tokenizer_close(assay_tokenizer *tokenizer);

/* Tokens of one text, or of a pair when `second` is not NULL. `*out` is owned
 * by the caller: assay_encoding_free. With ASSAY_TRUNCATE_ONLY_SECOND a first
 * text that leaves no room for a token of the second is ASSAY_E_LIMIT. */
ASSAY_API assay_status assay_tokenize(const assay_tokenizer *tokenizer, assay_text first,
                                      const assay_text *second,
                                      const assay_tokenize_options *options,
                                      assay_encoding *out, assay_error *error);
ASSAY_API void assay_encoding_free(assay_encoding *encoding);

/* The text of a token id, NUL-terminated, owned by the tokenizer; NULL when the
 * id is outside the vocabulary. */
ASSAY_API const char *assay_token_text(const assay_tokenizer *tokenizer, int32_t id);

/* ------------------------------------------------------------------ models */

typedef struct assay_model assay_model; /* immutable; shared; files mapped */

typedef enum assay_model_kind {
    ASSAY_MODEL_BI_ENCODER,    /* text -> vector */
    ASSAY_MODEL_CROSS_ENCODER, /* query, passage -> logit */
    ASSAY_MODEL_LATE,          /* text -> a vector of each token; query, passage -> score */
} assay_model_kind;

typedef enum assay_precision {
    ASSAY_PRECISION_AUTO = 0, /* the fastest that keeps rankings: of a cross-encoder int8
                             where its weights are int8, else bf16 where there are
                             instructions for it, else fp32. A bi-encoder's vectors are
                             kept and compared with others: fp32 */
    ASSAY_PRECISION_FP32,
    ASSAY_PRECISION_INT8, /* 8 bits: weights symmetric by output feature, activations
                             by token, with several bytes for inputs that grow large;
                             attention on 16 bits; the head fp32. The same
                             bits with every instruction set, as at fp32. A model
                             whose activations it would ruin, which one short text
                             tells when it is opened, is run at fp32: see `notice` */
    ASSAY_PRECISION_BF16, /* layers on bfloat16 with sums of floats, attention on 16 bits;
                             the head fp32. Only with instructions for it (AVX-512 BF16,
                             AMX), which may differ in the last bits: UNSUPPORTED
                             without them */
} assay_precision;

typedef struct assay_model_options {
    assay_precision precision; /* of the arithmetic, whatever the file holds */
} assay_model_options;

typedef struct assay_model_info {
    char path[1024];
    char name[256];         /* folder name, or _name_or_path of its config */
    char architecture[64];  /* "BertForSequenceClassification" */
    char precision[16];     /* of the arithmetic: "fp32", "int8", "bf16" */
    char notice[512];       /* why that is not the precision asked for; "" when it is */
    char stored[16];        /* of the weights in the file: "F32", "F16", "I8" */
    char pooling[16];       /* "mean", "cls"; "" for a cross-encoder */
    assay_model_kind kind;
    uint32_t layers, hidden, heads, intermediate, vocabulary;
    uint32_t max_tokens;    /* longest input, special tokens counted */
    uint32_t query_words;   /* longest query that a reranker was trained on, as
                               "assay_query_words" of its config.json says, in words
                               between white space; 0: it does not say */
    uint32_t dimensions;    /* of the embedding, or of a token's vector; 0 for a
                               cross-encoder */
    uint32_t split;         /* of a cross-encoder: layers, the lower ones, in which query and
                               passage are apart, as "assay_split" of its config.json says;
                               0: none */
    uint32_t query_tokens;  /* of late interaction: longest query, special tokens
                               counted; 0 for the others */
    bool query_filled;      /* shorter ones are filled up with mask tokens */
    char query_prompt[512];   /* what the model's settings put before a query, and */
    char passage_prompt[512]; /* before a passage; "": nothing */
    uint64_t parameters;
    uint64_t file_bytes;    /* weights on disk */
    bool normalized;        /* embeddings have length 1 */
    char digest[33];        /* XXH3-128 of settings, tokenizer, the tensors' names and
                               shapes and the first 4 KiB of each, hex */
} assay_model_info;

/* Where the model called `name` lies. A folder path is taken as it is; else
 * the name (e.g. "cross", "cross-encoder/ms-marco-MiniLM-L-6-v2") is looked for
 * in $ASSAY_MODELS, in the models/ of the data directory, in the models/ next
 * to the program and in the installed share/assay/models. Writes a
 * NUL-terminated path. Those that assay ships are called "dense", "cross"
 * and "late". NOT_FOUND lists the places. */
ASSAY_API assay_status assay_model_find(const char *name, char *path, size_t path_size,
                                        assay_error *error);

/* Opens a model folder in Hugging Face or sentence-transformers layout, found
 * with assay_model_find: BERT, RoBERTa or XLM-RoBERTa. ColBERT checkpoints (Khattab
 * & Zaharia 2020) are known in the layouts of their authors (HF_ColBERT) and of
 * pylate. "late:NAME" reads the bi-encoder NAME for late interaction: its last
 * hidden states, as they are, are the tokens' vectors; "late" is "late:dense" where
 * no model has that name. Weights are mapped, checked against config.json
 * (every tensor present, every shape right) and packed once. CORRUPT, with its
 * name, for a tensor that holds NaN or infinity; of embedding tables, which stay
 * in the file, only assay_model_check reads all. */
ASSAY_API assay_status assay_model_open(const char *name, const assay_model_options *options,
                                        assay_model **out, assay_error *error);
ASSAY_API void assay_model_close(assay_model *model);
/* Reads every value in the model's files, and opens it. Each problem is told
 * through `progress` (as .problem). Returns ASSAY_E_CORRUPT when there was one
 * and puts their number in *problems. */
ASSAY_API assay_status assay_model_check(const char *name, assay_progress_fn progress,
                                         void *user, uint64_t *problems, assay_error *error);
ASSAY_API void assay_model_describe(const assay_model *model, assay_model_info *out);
ASSAY_API const assay_tokenizer *assay_model_tokenizer(const assay_model *model);

/* ------------------------------------------------------------ quantisation */

typedef enum assay_tensor_kind {
    ASSAY_TENSOR_LINEAR,    /* layers of the trunk: int8 */
    ASSAY_TENSOR_EMBEDDING, /* word embeddings: int8 */
    ASSAY_TENSOR_POSITION,  /* position and type embeddings: float16 */
    ASSAY_TENSOR_KEPT,      /* head, norms, biases: as they were */
    ASSAY_TENSOR_KINDS,
} assay_tensor_kind;

typedef struct assay_quantized {
    uint64_t tensors;
    uint64_t bytes_before, bytes_after; /* scales counted */
    double error;     /* the largest of its tensors: root of the sum of squared
                         differences over that of squares */
    char worst[256];  /* the tensor with it; "" when there is no error */
} assay_quantized;

typedef struct assay_quantize_report {
    assay_quantized kinds[ASSAY_TENSOR_KINDS];
    uint64_t bytes_before, bytes_after; /* of all tensors */
    uint64_t dropped; /* tensors left out, on which no result depends */
    uint64_t files;   /* other files, copied */
    char notice[512]; /* as assay_model_info's: the activations do not suit int8
                         either, and only the file gets smaller; "" when they do */
    double seconds;
} assay_quantize_report;

typedef struct assay_quantize_options {
    bool replace; /* a model folder that is at the target already */
} assay_quantize_options;

/* Writes the model `source` (folder or name; F32, F16 or BF16, sharded or not)
 * as the folder `target` with int8 weights, in the compressed-tensors convention
 * "int-quantized": symmetric, one scale a row. Weights of layers are rounded so that
 * their outputs stay near on texts that the library holds for that, which takes
 * about as long as scoring two hundred pairs at fp32. Everything else in the folder is
 * copied but for weights in other forms; the card (README.md) gets a paragraph
 * on where the weights come from. The folder is written aside, opened once to
 * prove it, and renamed: there is a whole one or none. Errors: NOT_FOUND,
 * UNSUPPORTED (an architecture that assay does not know, or int8 already),
 * CORRUPT (NaN in the weights), ARGUMENT (a target that is there), IO, FULL,
 * INTERRUPTED. */
ASSAY_API assay_status assay_quantize(const char *source, const char *target,
                                      const assay_quantize_options *options,
                                      assay_progress_fn progress, void *user,
                                      assay_quantize_report *report, assay_error *error);

/* ---------------------------------------------------------------- sessions */

/* Scratch memory for forward passes over one model. One thread; several
 * sessions may share a model. The model must outlive it. */
typedef struct assay_session assay_session;

/* What the texts that a bi-encoder embeds are. Some were trained with a prompt
 * before each, "query: " and "passage: ", as their settings say
 * (config_sentence_transformers.json); for others the role changes nothing. */
typedef enum assay_role {
    ASSAY_ROLE_NONE = 0, /* the prompt of default_prompt_name, mostly none */
    ASSAY_ROLE_QUERY,    /* that called "query" */
    ASSAY_ROLE_PASSAGE,  /* that called "document", else "passage", else "corpus" */
} assay_role;

typedef struct assay_session_options {
    uint32_t threads;    /* 0: as many as the cores, affinity and cgroup allow */
    uint32_t max_tokens; /* 0: the model's own; a lower limit cuts earlier */
    assay_role role;     /* of what assay_embed is given; indexing and searching
                            take the right one themselves */
    bool profile;        /* measure the seconds of assay_profile */
} assay_session_options;

ASSAY_API assay_status assay_session_open(assay_model *model,
                                          const assay_session_options *options,
                                          assay_session **out, assay_error *error);
ASSAY_API void assay_session_close(assay_session *session);

typedef struct assay_score {
    float logit;         /* raw output: rank by this */
    float probability;   /* sigmoid of the logit; NAN of late interaction, whose logit,
                            a sum of cosines, is none */
    uint32_t tokens;     /* of the pair as scored; of late interaction, of the passage */
    bool truncated;      /* the passage was cut to fit */
    bool query_truncated; /* late interaction did not see the query's end */
    assay_status status; /* not ASSAY_OK: this passage could not be scored */
} assay_score;

/* Scores passages against a query with a cross-encoder (Nogueira & Cho 2019), or with
 * late interaction: the sum over the query's tokens of the largest cosine with a token
 * of the passage. Late interaction cuts a query that is too long, and reads of a
 * passage what its model was trained on (info.max_tokens) unless the session asks for
 * more.
 * scores[count] in input order, the same bits whatever the batch, its order and
 * the thread count; equal passages are scored once. A query that leaves no room for a passage is ASSAY_E_LIMIT;
 * an empty query is ASSAY_E_ARGUMENT; an empty passage is scored as such. */
ASSAY_API assay_status assay_rerank(assay_session *session, assay_text query,
                                    const assay_text *passages, size_t count,
                                    assay_score *scores, assay_error *error);

typedef struct assay_pair {
    assay_text query, passage;
} assay_pair;

/* Scores pairs of any queries together: what a server does with the requests of
 * many. The same scores as assay_rerank gives, one a pair, in input order; an
 * empty or too long query is told in the status of its pairs alone. Pairs of one
 * query should follow each other, with the same pointer: it is tokenised once
 * for them, and equal passages among them are scored once. */
ASSAY_API assay_status assay_score_pairs(assay_session *session, const assay_pair *pairs,
                                         size_t count, assay_score *scores,
                                         assay_error *error);

/* What a token of a query found in a passage by late interaction: the passage's token
 * whose vector is nearest to its own. Places are in bytes, both 0 for tokens that
 * stand in no text: special ones, and the mask tokens that fill up a query. */
typedef struct assay_match {
    const char *query_token; /* its text in the model's vocabulary, and */
    const char *token;       /* that of the token it found; they live as long as the model */
    uint32_t query_begin, query_end; /* in the query */
    uint32_t begin, end;     /* in the passage */
    bool in_title;           /* of a hit: found in what stands before its passage, title or
                                heading; begin and end are then 0 */
    float similarity;        /* cosine; their sum is the score */
} assay_match;

typedef struct assay_explanation {
    size_t count;
    assay_match *matches; /* [count] in the order of the query's tokens */
    float score;
    bool truncated;       /* the passage's end was not seen */
    void *block;          /* owner of the memory behind matches */
} assay_explanation;

/* Tells why late interaction scores a passage as it does. The session's model is of
 * that kind (else ARGUMENT). *out is owned by the caller: assay_explanation_free. */
ASSAY_API assay_status assay_explain(assay_session *session, assay_text query,
                                     assay_text passage, assay_explanation *out,
                                     assay_error *error);
ASSAY_API void assay_explanation_free(assay_explanation *explanation);

typedef struct assay_embedding_info {
    uint32_t tokens; /* as embedded, special ones and the prompt counted */
    bool truncated;
} assay_embedding_info;

/* Embeds texts with a bi-encoder (Reimers & Gurevych 2019).
 * vectors: [count][dimensions] floats, row after row, owned by the caller.
 * info: [count], or NULL. Same determinism as assay_rerank. CORRUPT, with the
 * first such text's number, for a vector that holds NaN or infinity. */
ASSAY_API assay_status assay_embed(assay_session *session, const assay_text *texts,
                                   size_t count, float *vectors,
                                   assay_embedding_info *info, assay_error *error);

/* What a forward pass does, in about its order. */
typedef enum assay_operation {
    ASSAY_OPERATION_TOKENIZE,
    ASSAY_OPERATION_EMBED,     /* sum of word, position and type embeddings */
    ASSAY_OPERATION_QUANTIZE,  /* rows that enter a layer of int8 or bf16 */
    ASSAY_OPERATION_QUERY,     /* linear layers, with all that is fused to them */
    ASSAY_OPERATION_KEY_VALUE, /* two that are one product */
    ASSAY_OPERATION_ATTENTION, /* scores, softmax, sums of values */
    ASSAY_OPERATION_OUTPUT,
    ASSAY_OPERATION_UP,        /* feed-forward, with its activation */
    ASSAY_OPERATION_DOWN,
    ASSAY_OPERATION_NORM,
    ASSAY_OPERATION_HEAD,      /* pooling, classification, scores */
    ASSAY_OPERATIONS,
} assay_operation;

/* "tokenize", "key_value". Never NULL. Shared. */
ASSAY_API const char *assay_operation_name(assay_operation operation);

typedef struct assay_profile {
    uint32_t threads;           /* at most, of the session */
    uint64_t sequences, tokens; /* equal passages once, special tokens counted */
    double work[ASSAY_OPERATIONS]; /* multiplications and additions of the matrix products
                                      that the results depend on */
    double seconds[ASSAY_OPERATIONS]; /* that threads ran, all together; 0 unless asked for
                                         in assay_session_options */
} assay_profile;

/* What the session did since the last call of this, or since it was opened. */
ASSAY_API void assay_session_profile(assay_session *session, assay_profile *out);

/* --------------------------------------------------------- language models */

/* How a language model is asked about passages. */
typedef enum assay_llm_mode {
    ASSAY_LLM_LISTWISE = 0, /* for the order of many at a time, in windows that slide
                               from the last to the first (Sun et al. 2023, RankGPT);
                               the score counts the places above the last */
    ASSAY_LLM_POINTWISE,    /* for a grade of each, 0 to 10 */
    ASSAY_LLM_YESNO,        /* whether each answers: log-odds of "yes" where the API
                               tells probabilities of tokens, else 1 or -1 */
    ASSAY_LLM_PAIRWISE,     /* for the better of two, in both orders: all pairs of few,
                               else passes from the last to the first (Qin et al. 2023);
                               the score counts comparisons won, or places */
} assay_llm_mode;

/* A model behind an OpenAI-compatible chat API. */
typedef struct assay_llm_options {
    const char *url;        /* up to and with "/v1", as http://127.0.0.1:8080/v1; NULL:
                               $ASSAY_LLM_URL */
    const char *model;      /* as the API calls it; NULL: $ASSAY_LLM_MODEL */
    const char *key_env;    /* variable that holds the key; NULL: ASSAY_LLM_KEY */
    const char *key_file;   /* or a file that does; of both the file counts. The key is
                               sent to the URL's host alone, never told, never stored */
    assay_llm_mode mode;
    uint32_t passage_tokens; /* of a passage, the rest is cut off; 0: 300 */
    const char *tokenizer;  /* that counts them: a model or file; NULL: that of "cross",
                               or, where there is none, four bytes a token */
    uint32_t window, step;  /* of listwise; 0: 20 and 10 */
    uint32_t parallel;      /* requests at a time; 0: 4 */
    uint32_t timeout_ms;    /* of one attempt; 0: 60000 */
    uint32_t attempts;      /* of one request; 0: 4 */
    uint32_t answer_tokens; /* longest answer; 0: as the mode needs. A model that
                               thinks before it answers needs thousands */
    uint32_t seed;          /* sent with temperature 0 */
    bool plain;             /* never ask for structured output (JSON schema); else it
                               is tried, and left out when the API refuses it */
    assay_setting price_input;  /* of a million tokens, in any currency: for the */
    assay_setting price_output; /* account alone; 0 */
} assay_llm_options;

/* What asking cost and came to. */
typedef struct assay_llm_usage {
    uint64_t requests;      /* answered by the API */
    uint64_t cached;        /* answers of earlier searches, which cost nothing */
    uint64_t retries;       /* attempts beyond the first */
    uint64_t input_tokens, output_tokens; /* as the API counts them */
    double cost;            /* in the currency of the prices */
    uint64_t ok, repaired;  /* answers as asked for; with something left out, doubled
                               or invented, which was put right */
    uint64_t failed;        /* requests without an answer, or with none that could be
                               used: the passages kept their order */
    uint64_t cut;           /* passages of which the model did not see the end */
} assay_llm_usage;

typedef struct assay_llm assay_llm; /* one thread */

/* Asks nothing yet. Errors: ARGUMENT names the option. */
ASSAY_API assay_status assay_llm_open(const assay_llm_options *options, assay_llm **out,
                                      assay_error *error);
ASSAY_API void assay_llm_close(assay_llm *llm);

/* Scores passages against a query. Only the first `top` need be in order (0: all),
 * which saves requests of listwise and pairwise. scores[count] in input order:
 * logit is the mode's score, probability that of yesno and else NAN, tokens those
 * of the passage. Equal scores mean: as they came. A passage on which no answer
 * could be used scores as the one before it and says so in its status. Usage adds
 * up. NETWORK when no answer could be used at all. */
ASSAY_API assay_status assay_llm_rerank(assay_llm *llm, assay_text query,
                                        const assay_text *passages, size_t count, size_t top,
                                        assay_score *scores, assay_llm_usage *usage,
                                        assay_error *error);

/* ------------------------------------------------------------------- store */

typedef struct assay_store assay_store; /* one thread; open several for more */

typedef struct assay_store_options {
    bool read_only;       /* of the database; index files and score cache beside it
                             are made and kept where the directory allows it */
    bool create;          /* make the data directory when there is none */
    uint32_t busy_ms;     /* how long to wait for another writer; 0: 5000 */
} assay_store_options;

/* The data directory by convention: $ASSAY_HOME, else $XDG_DATA_HOME/assay,
 * else ~/.local/share/assay. Writes a NUL-terminated path. */
ASSAY_API assay_status assay_home(char *path, size_t path_size, assay_error *error);

/* Opens the data directory `home`, or the PostgreSQL database that it names
 * ("postgresql://[user@]host[:port]/database?..."; docs/postgres.md), whose files on
 * this machine lie in assay_home. NULL: $ASSAY_STORE, else assay_home. Errors:
 * NOT_FOUND without `create`, VERSION for a newer schema, CORRUPT, BUSY, FULL; of
 * PostgreSQL also NETWORK, UNSUPPORTED without libpq or pgvector. */
ASSAY_API assay_status assay_store_open(const char *home, const assay_store_options *options,
                                        assay_store **out, assay_error *error);
ASSAY_API void assay_store_close(assay_store *store);

/* Checks everything that can be: the database's own integrity, foreign keys,
 * passage offsets, vectors' sizes, token ids, index files' checksums, the score
 * cache. Each problem is told through `progress` (as .problem). Returns ASSAY_E_CORRUPT when there was
 * one and puts their number in *problems. */
ASSAY_API assay_status assay_store_check(assay_store *store, assay_progress_fn progress,
                                         void *user, uint64_t *problems,
                                         assay_error *error);

/* In what form vectors of tokens are kept, for late interaction. */
typedef enum assay_late_codes {
    ASSAY_LATE_CODES_AUTO = 0, /* as they were; at first i8 */
    ASSAY_LATE_CODES_I8,       /* a byte a coordinate */
    ASSAY_LATE_CODES_B4,       /* the nearest of some centres, and so many bits a coordinate */
    ASSAY_LATE_CODES_B2,       /* of what is left without it */
    ASSAY_LATE_CODES_B1,
    ASSAY_LATE_CODES_F16,      /* half-precision floats */
} assay_late_codes;

#define ASSAY_LATE_POOL_MAX 16

/* "auto", "i8", "b4", "b2", "b1", "f16". Never NULL. */
ASSAY_API const char *assay_late_codes_name(assay_late_codes codes);

typedef struct assay_collection_info {
    char name[128];
    char model[1024];       /* bi-encoder the vectors came from; "" when none */
    char model_digest[33];
    char created[32];       /* ISO 8601, UTC */
    char changed[32];
    uint64_t documents, passages, vectors;
    uint64_t tokenized;     /* passages whose token ids are kept for reranking */
    uint64_t truncated;     /* passages longer than the bi-encoder's limit */
    char late_model[1024];  /* whose token vectors are kept for late interaction, or for
                               ASSAY_RERANKER_SPLIT; "": there are none */
    uint64_t late_vectors;  /* passages that have them */
    uint64_t late_bytes;    /* and what they take */
    assay_late_codes late_codes; /* in what form; AUTO: there are none */
    uint32_t late_pool;     /* how many tokens became one vector, about; 1: none did; 0: there
                               are none */
    uint64_t text_bytes;
    uint64_t word_index_bytes; /* of the word index file; 0: there is none */
    bool word_index_current;   /* it is of the collection as it is, and is used */
    uint32_t dimensions;
    uint32_t passage_tokens; /* budget; 0: a passage is a whole document */
    uint32_t overlap_tokens;
} assay_collection_info;

/* Describes one collection; NOT_FOUND names those that exist. */
ASSAY_API assay_status assay_collection_describe(assay_store *store, const char *name,
                                                 assay_collection_info *out,
                                                 assay_error *error);

/* All collections, sorted by name. *out is one block: free with assay_free. */
ASSAY_API assay_status assay_collection_list(assay_store *store,
                                             assay_collection_info **out, size_t *count,
                                             assay_error *error);

/* Removes a collection with all it holds. */
ASSAY_API assay_status assay_collection_drop(assay_store *store, const char *name,
                                             assay_error *error);

ASSAY_API void assay_free(void *block);

/* ------------------------------------------------------------------- index */

#define ASSAY_PASSAGE_TOKENS 160u       /* default budget of a passage */
#define ASSAY_WHOLE_DOCUMENT UINT32_MAX /* passage_tokens: do not cut */

/* The word index: a file from which BM25 answers large collections many times sooner
 * than the database does, with the same scores. One that is missing, behind or damaged
 * is passed over. */
typedef enum assay_word_index {
    ASSAY_WORD_INDEX_AUTO = 0, /* from 20000 passages on, or when there is one already */
    ASSAY_WORD_INDEX_YES,
    ASSAY_WORD_INDEX_NO,       /* and remove the one there is */
} assay_word_index;

/* Below so many vectors comparing with all of them takes milliseconds. */
#define ASSAY_VECTORS_HNSW_FROM 50000u

/* How vectors are searched. */
typedef enum assay_vector_index {
    ASSAY_VECTORS_AUTO = 0, /* flat below so many vectors, hnsw from there on */
    ASSAY_VECTORS_FLAT,     /* each is compared with the question: exact */
    ASSAY_VECTORS_HNSW,     /* a graph of near neighbours: much faster, finds nearly all */
    ASSAY_VECTORS_IVF,      /* lists around centres: made much sooner than a graph and
                               smaller, slower to search */
} assay_vector_index;

/* What hnsw and ivf compare, before they score what they found by the vectors. */
typedef enum assay_vector_codes {
    ASSAY_CODES_AUTO = 0, /* i8 */
    ASSAY_CODES_F32,      /* the vectors themselves */
    ASSAY_CODES_F16,
    ASSAY_CODES_I8,       /* a byte a coordinate */
    ASSAY_CODES_B1,       /* a bit: least memory, wants more candidates (ef) */
} assay_vector_codes;

/* "auto", "flat", "hnsw", "ivf". Never NULL. */
ASSAY_API const char *assay_vector_index_name(assay_vector_index kind);

/* What was measured of an index against comparing with all vectors. */
typedef struct assay_vector_tuning {
    assay_vector_index kind; /* of the index; AUTO: nothing was measured */
    uint32_t k, queries;     /* the share of the k nearest that was found, in the mean of so
                                many queries, ... */
    double recall;           /* ... is this, ... */
    double wanted;           /* ... and was to be this */
    uint32_t ef, nprobe;     /* with this ef of hnsw or nprobe of ivf, the least that reaches
                                it, or the most there is; of ivf also ef, where its codes
                                want more than by default, else 0 */
    uint64_t vectors;        /* in the index then */
} assay_vector_tuning;

typedef struct assay_vector_index_info {
    assay_vector_index wanted; /* as asked for when indexing */
    assay_vector_codes wanted_codes;
    assay_vector_index kind;   /* of the file; AUTO: there is none, the next search makes it */
    bool current;              /* it is of the collection as it is now */
    uint64_t vectors, file_bytes;
    uint32_t dimensions;
    uint32_t m, ef_construction; /* of hnsw */
    uint32_t lists, longest;   /* of ivf: lists, and vectors of the longest. Of both: */
    const char *codes;         /* what the graph compares: "i8", "b1"; "" of flat. Shared */
    uint64_t graph_bytes, code_bytes; /* what a search touches: graph, or centres and
                                  lists, and codes */
    uint64_t memory_bytes;     /* what should stay in memory for fast searches: these two,
                                  or of flat all vectors */
    assay_vector_tuning tuned; /* of this kind of index */
} assay_vector_index_info;

/* Describes a collection's vector index as it lies in the data directory; reads only.
 * A collection without vectors is ASSAY_E_ARGUMENT. */
ASSAY_API assay_status assay_vector_index_describe(assay_store *store, const char *collection,
                                                   assay_vector_index_info *out,
                                                   assay_error *error);

typedef struct assay_tune_options {
    double recall;             /* wanted, more than 0 and at most 1; 0: 0.95 */
    uint32_t k;                /* of how many nearest; 0: 100, which a search retrieves */
    const assay_text *queries; /* [query_count] to measure with; NULL: titles, or else
                                  beginnings, of passages spread over the collection */
    size_t query_count;        /* 0 without `queries`: 200 */
    uint32_t threads;          /* 0: all */
} assay_tune_options;

/* Measures how much of the exact answer the collection's vector index finds, and the
 * least effort that finds as much as is wanted; searches that do not say otherwise take
 * it from then on. Kept beside the index until the collection is given another kind of
 * index. Of a flat index recall is 1 and there is nothing to set. Brings the index up to
 * date first. `out` and `progress` may be NULL. */
ASSAY_API assay_status assay_vector_index_tune(assay_store *store, const char *collection,
                                               const assay_tune_options *options,
                                               assay_progress_fn progress, void *user,
                                               assay_vector_tuning *out, assay_error *error);

typedef struct assay_index_options {
    const char *model;       /* bi-encoder; NULL: "dense"; "none": BM25 only */
    uint32_t passage_tokens; /* 0: 160; for a BEIR folder, whose documents are
                                passages already, ASSAY_WHOLE_DOCUMENT */
    uint32_t overlap_tokens; /* tokens of the last passage repeated; 0: none */
    const char *id_field;    /* JSONL: NULL means "_id", else "id" */
    const char *title_field; /* JSONL: NULL means "title" */
    const char *text_field;  /* JSONL: NULL means "text", else "contents" */
    const char *late;        /* keep the vectors of passages' tokens, made by this model
                                (ColBERT, or a bi-encoder read so; "late": the default
                                one), for reranking by late interaction; "none": no
                                more; NULL: as the collection does */
    const char *split;       /* in their place keep the states that the lower layers of this
                                cross-encoder, which is split, make of passages' tokens, as
                                bytes, for ASSAY_RERANKER_SPLIT. A collection keeps those of
                                one model. "none" and NULL as above */
    assay_late_codes late_codes; /* in this form; another than before computes them anew */
    uint32_t late_pool;      /* of so many tokens that are alike one vector is kept, their mean;
                                1: of each its own; 0: as they were, at first 1; another than
                                before computes them anew */
    int input;               /* descriptor that "-" is read from, and which is closed; 0:
                                standard input */
    bool prune;              /* remove documents of these sources now gone */
    bool rebuild;            /* take documents whose content is unchanged too */
    assay_word_index word_index;
    bool choose_vectors;     /* set what `vectors` says; else it stays as it was */
    assay_vector_index vectors;
    assay_vector_codes codes; /* AUTO: as they were */
    uint32_t threads;        /* 0: all */
} assay_index_options;

typedef struct assay_index_report {
    uint64_t seen;       /* documents read */
    uint64_t added, changed, unchanged, removed;
    uint64_t failed;     /* files or records that could not be read */
    uint64_t empty;      /* of the documents seen: without text, hence not findable */
    uint64_t skipped;    /* files in folders, of kinds that assay does not read */
    uint64_t passages;   /* written in this call */
    uint64_t tokenized;  /* not written, but their token ids were missing or of
                            another tokenizer, and are stored now */
    uint64_t late;       /* passages whose token vectors were computed */
    uint64_t truncated;  /* of those: longer than the bi-encoder's limit */
    uint64_t bytes;      /* text of documents written */
    assay_vector_index vector_index; /* how vectors are searched now; AUTO: there are none */
    bool by_size;        /* nobody has chosen that: it goes by their number */
    double seconds;
} assay_index_report;

/* Reads `paths` (files, folders, JSONL, BEIR folders, "-" for JSONL on standard
 * input) into the collection `name`, which is made when missing. Documents are
 * written one transaction a batch, each with its passages and vectors, so an
 * interrupted call is resumed by the next. Kept with them are the token ids of
 * what a reranker reads of each passage, by the bi-encoder's tokenizer (that of
 * "cross", if it is there, in a collection without a model); passages that have
 * none yet get theirs without being embedded anew. What cannot be read is told through
 * `progress`, counted in report->failed, and does not stop the rest.
 * report is filled on ASSAY_E_INTERRUPTED too. */
ASSAY_API assay_status assay_index(assay_store *store, const char *name,
                                   const char *const *paths, size_t count,
                                   const assay_index_options *options,
                                   assay_progress_fn progress, void *user,
                                   assay_index_report *report, assay_error *error);

/* ---------------------------------------------------------------- pipeline */

typedef enum assay_retriever {
    ASSAY_RETRIEVER_AUTO = 0, /* hybrid where there are vectors, else bm25 */
    ASSAY_RETRIEVER_BM25 = 1,
    ASSAY_RETRIEVER_DENSE = 2,
    ASSAY_RETRIEVER_HYBRID = 3, /* BM25 | DENSE */
    ASSAY_RETRIEVER_LATE = 4,   /* late interaction with the token vectors that the
                                   collection keeps (assay_index_options.late): by centres
                                   where they are in codes, all of them where in bytes */
} assay_retriever;

typedef enum assay_fusion {
    ASSAY_FUSION_ZSCORE = 0, /* weighted sum of z-normalised scores */
    ASSAY_FUSION_RRF,        /* reciprocal rank (Cormack et al. 2009), k 60 */
    ASSAY_FUSION_MINMAX,     /* weighted sum of scores from 0, the list's last, to 1, its first */
} assay_fusion;

/* What gives candidates new scores. */
typedef enum assay_reranker_kind {
    ASSAY_RERANKER_CROSS = 0, /* cross-encoder: query and passage read together */
    ASSAY_RERANKER_LATE,      /* late interaction: every token of the query finds the one
                                 most like it among the passage's, whose vectors may be
                                 kept in the collection (assay_index_options.late) */
    ASSAY_RERANKER_LLM,       /* language model behind a chat API */
    ASSAY_RERANKER_SPLIT,     /* cross-encoder whose lower layers keep query and passage
                                 apart; their part of passages may be kept in the collection
                                 (assay_index_options.split), and is rounded to bytes in any
                                 case. CROSS takes such a model, too, without rounding */
    ASSAY_RERANKER_VISION,    /* model that sees, behind a chat API: whether the image of a
                                 document's page answers; those that do not go behind, or
                                 out */
} assay_reranker_kind;

/* What becomes of a page that is found not to answer. */
typedef enum assay_rejected {
    ASSAY_REJECTED_DEMOTE = 0, /* it goes behind all others that came to the stage */
    ASSAY_REJECTED_DROP,       /* it is no hit any more */
} assay_rejected;

/* Where the images of pages are, which a stage of the kind vision looks at. Metadata name
 * them: a path below image_folder, or an URL, which the API fetches and assay does not. At
 * least one of folder and URLs is given. */
typedef struct assay_page_options {
    const char *image_field;  /* of the metadata; NULL: "image" */
    const char *image_folder; /* no file outside it is read, links followed; NULL: none is */
    const char *image_urls;   /* what an URL has to begin with, host and a '/' at the end
                                 included; NULL: none is passed on */
    uint32_t image_bytes;     /* of a file; 0: 10 MiB */
    assay_rejected rejected;
} assay_page_options;

#define ASSAY_STAGES_MAX 8u

/* One reranker of a pipeline. It scores the passages that come to it; those go
 * before all others, ordered by
 *     weight_before * z(score so far) + weight * z(its own score)
 * where z subtracts the mean of the passages that it scored and divides by their standard
 * deviation; its own scores by `spread`, where they deviate less: a reranker that scores
 * all nearly alike has no opinion. */
typedef struct assay_stage_options {
    assay_reranker_kind kind;
    const char *model;          /* NULL: the kind's own ("cross", "late", "cross-split",
                                   which is no model that assay ships); llm has none */
    assay_precision precision;  /* not of llm */
    uint32_t keep;              /* how many passages, best first, go on to the next
                                   stage; 0: all. The others stay behind them */
    uint32_t max_tokens;        /* of query and passage; 0: the model's limit */
    bool rerank_long;           /* work on queries of more words than the reranker
                                   was trained on (its query_words), too */
    assay_setting weight;       /* of late: 0.4, else 1 */
    assay_setting spread;       /* of cross and cross-split: 1.5, in logits; else 0 */
    assay_setting weight_before; /* of llm and vision: 0, else 1 */
    /* What its logit means: probability = 1 / (1 + exp(-slope * logit - offset)), as
     * fitted to judgments (Platt 1999; assay_pipeline_tune). Not set: the reranker's own. */
    assay_setting probability_slope, probability_offset;
    /* How many passages are worth it; each is scored where these are not set.
     * Only those whose score so far is at most this far below the best one's, in
     * standard deviations of all that come; where BM25 and vectors have the same
     * passage first, within_agreed, if that is set. One alone is not scored. */
    assay_setting within, within_agreed;
    /* Stop when the first ones (those that the next stage gets; of the last stage `top`,
     * 10 where that is 0) would stay, were the next passage scored as well as the best so
     * far and so many standard deviations better. */
    assay_setting hope;
    assay_llm_options llm;      /* of llm and vision; its model is the one above */
    assay_page_options page;    /* of vision */
} assay_stage_options;

typedef struct assay_pipeline_options {
    assay_retriever retriever;
    assay_fusion fusion;
    uint32_t retrieve;      /* candidates; 0: 100 */
    uint32_t rerank;        /* how many of them go to the first stage; 0: 30. Those
                               behind keep the retriever's order */
    const assay_stage_options *stages; /* [stage_count] rerankers, in their order */
    size_t stage_count;     /* at most ASSAY_STAGES_MAX; 0: `reranker` alone */
    const char *reranker;   /* in short, one stage: this cross-encoder ("cross": the
                               default one), or "late" or "late:NAME" for late
                               interaction, or "cross-split:NAME"; NULL: none. Its settings are the next
                               four, which say nothing of `stages` */
    bool rerank_long;
    assay_precision precision;
    assay_setting first_weight;  /* the stage's weight_before */
    assay_setting rerank_weight; /* the stage's weight */
    bool no_cache;          /* neither look up scores of earlier searches nor keep
                               these: see assay_pipeline_open */
    assay_setting bm25_weight;   /* in hybrid fusion */
    assay_setting dense_weight;
    assay_setting k1, b;         /* BM25; 0.9 and 0.4 */
    uint32_t ef;            /* vectors that a search of hnsw keeps on its way: more find
                               more; 0: as tuned (assay_vector_index_tune), else
                               retrieve + 100; at least retrieve. late looks at the codes
                               of eight times as many passages */
    uint32_t nprobe;        /* lists of ivf that a search looks into; 0: as tuned, else one
                               in 24. Of late: centres of each of the query's tokens; 0: 8 */
    bool exact;             /* compare with all vectors, whatever index there is */
    uint32_t deadline_ms;   /* of a search; 0: none. Stages do as much as there is time
                               for, by what they were seen to take: see
                               assay_pipeline_deadline */
    assay_setting min_probability; /* hits less probable than this, by the last stage that
                               tells probabilities, and those that it did not score, are
                               withheld: a question without an answer has none. Not
                               where the stage could not work on the query at all */
    uint32_t threads;       /* 0: all */
} assay_pipeline_options;

/* A pipeline in a file: a JSON object with what assay_pipeline_options has, but
 * for what belongs to the machine (threads, cache). docs/pipelines.md tells the
 * fields. Immutable; shared. */
typedef struct assay_pipeline_file assay_pipeline_file;

/* Opens a file, or the preset of that name where there is no '/' or '.' in it.
 * FORMAT names file, field and what would be right; NOT_FOUND the presets. */
ASSAY_API assay_status assay_pipeline_file_open(const char *name, assay_pipeline_file **out,
                                                assay_error *error);
ASSAY_API void assay_pipeline_file_close(assay_pipeline_file *file);
/* Its settings, which point into the file: it must outlive their use. */
ASSAY_API void assay_pipeline_file_options(const assay_pipeline_file *file,
                                           assay_pipeline_options *out);

/* The presets, 0 .. n - 1: their names, and in a line what they do. NULL beyond. */
ASSAY_API const char *assay_pipeline_preset(size_t i, const char **description);

/* Options as such a file, every default filled in; and the JSON Schema (draft
 * 2020-12) of such files. *out is freed with assay_free. */
ASSAY_API assay_status assay_pipeline_text(const assay_pipeline_options *options, char **out,
                                           assay_error *error);
ASSAY_API assay_status assay_pipeline_schema(char **out, assay_error *error);

/* "cross", "late", "llm", "cross-split", "vision". Never NULL. */
ASSAY_API const char *assay_reranker_name(assay_reranker_kind kind);

/* A collection opened for searching, with its models. One thread. The store
 * must outlive it. Sees what other processes commit, at the next search. */
typedef struct assay_pipeline assay_pipeline;

/* Logits of a reranker are kept in the data directory, in scores.sqlite (at most
 * 64 MiB, those of questions not asked for longest go), and taken from there when
 * the same model scores the same query and passage at the same precision again:
 * the same bits, sooner. This file is written through a store that is open for
 * reading, too; where the directory cannot be written it is only read. */
ASSAY_API assay_status assay_pipeline_open(assay_store *store, const char *collection,
                                           const assay_pipeline_options *options,
                                           assay_pipeline **out, assay_error *error);
ASSAY_API void assay_pipeline_close(assay_pipeline *pipeline);

/* The settings in force, defaults filled in: stages are in `stages`, however they
 * were given. Strings live as long as the pipeline. */
ASSAY_API void assay_pipeline_describe(const assay_pipeline *pipeline,
                                       assay_pipeline_options *out);

/* Lets the searches that follow find only documents whose metadata fulfils an
 * expression; NULL or "": all again. Metadata are a JSONL record's further members
 * and Markdown's front matter:
 *
 *   year >= 2020 and lang in ("en", "de") and not (tag = "draft" or exists(gone))
 *
 * =, !=, <, <=, >, >=, in, not in, exists(), and, or, not, parentheses; "text",
 * numbers, dates (2020-05, 2020-05-01, 2020-05-01T10:30:00Z), true, false. A
 * comparison holds when one of the field's values is of the literal's kind and
 * fulfils it (a list has several; text written as a number or a date is that as
 * well); != and not in are the negations of = and in. A field inside an object is
 * "outer.inner", one with other characters than letters, digits, "_", "-" and "."
 * stands in backquotes. The same as JSON:
 *
 *   {"year": {"$gte": 2020}, "lang": {"$in": ["en", "de"]}, "$not": {"$or":
 *    [{"tag": "draft"}, {"gone": {"$exists": true}}]}, "until": {"$lt": {"$date": "2026-05"}}}
 *
 * with $eq, $ne, $lt, $lte, $gt, $gte, $in, $nin, $exists, $and, $or, $not; members are
 * joined by and; "{}" lets all through. FORMAT, with the place in *error, for anything
 * else. */
ASSAY_API assay_status assay_pipeline_filter(assay_pipeline *pipeline, const char *expression,
                                             assay_error *error);

/* How long the searches that follow may take, from their beginning; 0: as long as the
 * options say, and never longer. BM25 is always asked. Vectors are left out, and
 * stages shortened or left out, when what they took in earlier searches does not fit
 * any more; a stage scores its passages in their order, and those it does not come to
 * stay behind the others as they were. A language model is asked when its answer can
 * be expected in time, and not waited for longer. `degraded` then tells what was left
 * out. What is late all the same is what nobody could foresee. */
ASSAY_API void assay_pipeline_deadline(assay_pipeline *pipeline, uint32_t milliseconds);

/* The probability that hits of the searches that follow must have; not set: as the options
 * say. ARGUMENT when it is none, or no stage tells probabilities. */
ASSAY_API assay_status assay_pipeline_min_probability(assay_pipeline *pipeline,
                                                      assay_setting least, assay_error *error);

/* The model of a stage (0 is the first): what precision it runs at, and its
 * notice. False when there is no such stage, or its model is not assay's. */
ASSAY_API bool assay_pipeline_reranker(const assay_pipeline *pipeline, size_t stage,
                                       assay_model_info *out);

/* What a stage of the kind vision found of a page. */
typedef enum assay_verdict {
    ASSAY_VERDICT_NONE = 0, /* it was not looked at, or has no image */
    ASSAY_VERDICT_YES,
    ASSAY_VERDICT_NO,
    ASSAY_VERDICT_FAILED,   /* there was no answer: it stayed where it was */
} assay_verdict;

/* "none", "yes", "no", "failed". Never NULL. */
ASSAY_API const char *assay_verdict_name(assay_verdict verdict);

/* A hit at one stage. */
typedef struct assay_hit_stage {
    uint32_t rank;      /* of the document, after the stage */
    float score;        /* what that sorts by; it goes into the next stage */
    bool scored;        /* the stage saw the passage: the rest is meaningful */
    bool truncated;     /* but not its end */
    uint32_t tokens;
    float logit;        /* what the stage's reranker said itself */
    float probability;
    assay_status status; /* not ASSAY_OK: it failed on this passage */
    assay_verdict verdict; /* of vision; probability is then by the confidence in it, */
    const char *reason;    /* and this why, in the model's words; of FAILED why there is no
                              answer; else NULL */
} assay_hit_stage;

typedef struct assay_hit {
    const char *document;  /* id as handed in */
    const char *title;     /* "" when there is none */
    const char *source;    /* path or other origin; "" when there is none */
    const char *heading;   /* "Chapter > Section"; "" when there is none */
    assay_text text;       /* the best passage of the document */
    uint64_t passage;      /* its key in the store */
    uint64_t offset;       /* of the passage in the document's text, bytes */
    uint32_t rank;         /* 1 is best */
    uint32_t rank_first;   /* rank after retrieval, before reranking */
    uint32_t rank_bm25;    /* 0: this retriever did not find it */
    uint32_t rank_dense;   /* of the vectors; with the retriever late, of token vectors */
    float score;           /* what `rank` sorts by */
    float score_first;     /* what `rank_first` sorts by */
    float score_bm25;      /* NAN when rank_bm25 is 0 */
    float score_dense;     /* cosine, of late a sum of them; NAN when rank_dense is 0 */
    const assay_hit_stage *stages; /* [stage_count of the result] */
    bool reranked;         /* a stage scored it; the rest is of the last that did (vision
                              aside, which judges and does not score): */
    bool truncated;        /* the reranker did not see the passage's end */
    uint32_t tokens;
    float logit;
    float probability;
    assay_status status;   /* not ASSAY_OK: the reranker failed on it */
} assay_hit;

/* What one stage did for a query. */
typedef struct assay_stage_result {
    uint32_t scored;       /* passages that it scored */
    uint32_t left_out;     /* those that it was to score, had there been time */
    uint32_t spared;       /* those that were not worth it: stage options within, hope */
    uint32_t tokenized;    /* of those, whose token ids were not in the store, as the
                              reranker's tokenizer is not the one they were made
                              with, or they were indexed by an older assay */
    uint32_t cached;       /* of those scored: the score is of an earlier search */
    uint32_t kept;         /* of those scored: token vectors were in the store */
    uint32_t damaged;      /* token vectors that were of no use, and computed */
    uint64_t tokens;       /* that a model read for it: of pairs whose score was not in the
                              cache; of late interaction the query's, and those of passages
                              without vectors in the store; of llm as the API counts them */
    bool query_truncated;  /* the query's end was not seen */
    double query_seconds;  /* of the stage's: encoding the query, by late interaction */
    assay_error degraded;  /* code is not ASSAY_OK when it could not work on this
                              query; the order is then that of the stage before it,
                              and no hit is `scored` by it. Where `where` is "deadline"
                              it was for want of time, and some may be scored */
    assay_error skipped;   /* code is ASSAY_E_LIMIT when it was left out on purpose,
                              with the reason: the query is longer than those it was
                              trained on. The order as above */
    assay_error cache;     /* code is not ASSAY_OK when the score cache could not be
                              used; scores are the same, but took longer */
    assay_llm_usage llm;   /* of llm and vision; cost and counts */
    uint32_t accepted;     /* of vision: passages whose page answers, and does not */
    uint32_t rejected;
    uint32_t dropped;      /* passages taken out, those of rejected pages */
    double seconds;
} assay_stage_result;

typedef struct assay_result {
    size_t count;
    assay_hit *hits;        /* [count], best first, one a document */
    uint32_t candidates;    /* passages that were retrieved */
    bool word_index;        /* BM25 was answered by the word index file */
    assay_error words;      /* code is not ASSAY_OK when that file is there and could not
                               be used: hits are the same, but took longer */
    assay_vector_index vectors; /* what answered; AUTO: no vectors were searched */
    assay_error rebuilt;    /* code is not ASSAY_OK when the vector index's file was of no
                               use (damaged, of another version), and was made anew */
    bool filtered;          /* there is a filter */
    uint64_t allowed;       /* passages that it lets through */
    assay_error missing;    /* code is NOT_FOUND when the filter names a field that no
                               document has; the message lists those that there are */
    bool query_truncated;   /* the bi-encoder did not see the query's end */
    size_t stage_count;
    assay_stage_result *stages; /* [stage_count] */
    assay_error degraded;   /* of retrieval or the first stage that has one, and so are */
    assay_error skipped;
    assay_error cache;
    uint32_t scored, left_out, spared, tokenized, cached, kept, damaged, dropped; /* sums
                                                                          over the stages */
    uint64_t tokens;        /* that models read: the stages', and the query's for its vectors */
    assay_setting least;    /* the probability that hits must have, if any */
    uint32_t withheld;      /* passages before the last hit, or the end, for their
                               probability; all of them: count is 0 */
    float best_probability; /* of all passages; NAN: no stage told any */
    double first_seconds;   /* retrieval and fusion */
    double rerank_seconds;  /* all stages; 0 where none worked */
    void *block;            /* owner of the memory behind the hits */
} assay_result;

/* Retrieves, fuses, reranks; keeps the best `top` documents (0: all that were
 * retrieved). An empty query is ASSAY_E_ARGUMENT, and so is a collection that was made anew
 * with another bi-encoder since the pipeline was opened. `*out` is owned by the
 * caller, strings included: assay_result_free. */
ASSAY_API assay_status assay_search(assay_pipeline *pipeline, assay_text query,
                                    uint32_t top, assay_result *out, assay_error *error);
ASSAY_API void assay_result_free(assay_result *result);

/* Told of each question of assay_search_many in turn, by the thread that made the call.
 * `failed` is NULL, or says why this question has no result, and *result is empty. A result is
 * freed after this; who wants to keep it copies the struct, sets *result to {0}, and calls
 * assay_result_free later. Return false to stop. */
typedef bool (*assay_result_fn)(size_t query, assay_result *result, const assay_error *failed,
                                void *user);

/* assay_search of queries[count], which are the caller's, several at a time: sooner done
 * with all, later with each. Questions are embedded together, and each is then looked up by
 * one of the pipeline's threads, with a connection to the store of its own (of PostgreSQL
 * from its pool). Results are those of assay_search, bit for bit and told in the order of the
 * questions, whatever the number of threads; but first_seconds is without the embedding. A
 * pipeline with stages, with the retriever late or with a deadline answers one question after
 * the other: each has all threads for itself.
 *
 * Results of at most 64 questions are held at a time, or 16 a thread where these are more.
 * INTERRUPTED when `answered` stopped it; what fails a question goes to `answered`, so errors
 * of the call itself are MEMORY and those of assay_store_open. A count of 0 is OK. */
ASSAY_API assay_status assay_search_many(assay_pipeline *pipeline, const assay_text *queries,
                                         size_t count, uint32_t top, assay_result_fn answered,
                                         void *user, assay_error *error);

/* assay_explain of a hit: by the pipeline's stage of late interaction, or, where it has
 * none, by the model "late". Places are in the hit's text. */
ASSAY_API assay_status assay_pipeline_explain(assay_pipeline *pipeline, assay_text query,
                                              const assay_hit *hit, assay_explanation *out,
                                              assay_error *error);

/* The best passage of a document for a query, by id: what `rerank` needs to
 * score a run of documents. *text lives until the next call on the store. */
ASSAY_API assay_status assay_document_text(assay_store *store, const char *collection,
                                           const char *document, assay_text *title,
                                           assay_text *text, assay_error *error);
/* The same as a reranker reads it in a search: "Title. Text", the title not said twice.
 * *out is followed by a NUL; its data is freed with assay_free. */
ASSAY_API assay_status assay_document_context(assay_store *store, const char *collection,
                                              const char *document, assay_text *out,
                                              assay_error *error);

typedef struct assay_document_info {
    const char *id, *title, *source; /* as of a hit; "-" where it came from no file */
    const char *metadata; /* a JSON object; NULL: none */
    assay_text text;      /* of assay_document_get alone */
    uint64_t bytes;       /* of the text */
    uint64_t passages;
} assay_document_info;

typedef struct assay_documents {
    size_t count;
    assay_document_info *items; /* [count] */
    void *block;          /* owner of the memory behind them */
} assay_documents;

/* Up to `most` (0: 10000) documents whose id comes behind `after` (NULL: the first), in
 * the order of ids, byte by byte. *out is owned by the caller: assay_documents_free. */
ASSAY_API assay_status assay_document_list(assay_store *store, const char *collection,
                                           const char *after, size_t most, assay_documents *out,
                                           assay_error *error);
/* One document with its text; NOT_FOUND. */
ASSAY_API assay_status assay_document_get(assay_store *store, const char *collection,
                                          const char *id, assay_documents *out,
                                          assay_error *error);
ASSAY_API void assay_documents_free(assay_documents *documents);
/* Deletes those of these documents that are there, with their passages, in one
 * transaction; *deleted tells how many. */
ASSAY_API assay_status assay_documents_delete(assay_store *store, const char *collection,
                                              const char *const *ids, size_t count,
                                              size_t *deleted, assay_error *error);

/* -------------------------------------------------------------- evaluation */

typedef struct assay_queries {
    size_t count;
    const char **ids;   /* [count] */
    assay_text *texts;  /* [count] */
    void *block;        /* owner of the memory behind the fields above */
} assay_queries;

/* Reads queries.jsonl ({"_id","text"} a line) or TSV ("id<tab>text" a line). */
ASSAY_API assay_status assay_queries_read(const char *path, assay_queries *out,
                                          assay_error *error);
ASSAY_API void assay_queries_free(assay_queries *queries);

typedef struct assay_qrels assay_qrels; /* immutable; shared */

/* Reads TREC qrels ("query 0 document grade") or BEIR TSV (query, document,
 * grade, with or without a header line). Told apart by the first line. Grades
 * are whole numbers. A judgment repeated is one; repeated with another grade it
 * is ASSAY_E_FORMAT. */
ASSAY_API assay_status assay_qrels_read(const char *path, assay_qrels **out,
                                        assay_error *error);
ASSAY_API void assay_qrels_free(assay_qrels *qrels);
/* Whether the query has a judgment. */
ASSAY_API bool assay_qrels_judged(const assay_qrels *qrels, const char *query);
ASSAY_API size_t assay_qrels_queries(const assay_qrels *qrels);
/* Id of query i, 0 .. queries - 1, in the order of the file; NULL beyond. */
ASSAY_API const char *assay_qrels_query(const assay_qrels *qrels, size_t i);

typedef struct assay_run assay_run; /* one thread while it is built */

ASSAY_API assay_status assay_run_new(const char *tag, assay_run **out, assay_error *error);
/* Reads a TREC run: "query Q0 document rank score tag". As trec_eval does, the
 * rank is ignored and a document twice for one query refused. */
ASSAY_API assay_status assay_run_read(const char *path, assay_run **out, assay_error *error);
/* Adds one hit. As trec_eval does, order is by score, compared as float (ties:
 * document id, descending); the rank written to files is derived from it.
 * ASSAY_E_ARGUMENT: an empty id, a score that is not finite, or a document that
 * the query has already. */
ASSAY_API assay_status assay_run_add(assay_run *run, const char *query, const char *document,
                                     double score, assay_error *error);
/* Writes TREC format; "-" is standard output. The format has no way to write an
 * id that holds a space: ASSAY_E_ARGUMENT, and nothing is written. */
ASSAY_API assay_status assay_run_write(const assay_run *run, const char *path,
                                       assay_error *error);
ASSAY_API void assay_run_free(assay_run *run);

typedef struct assay_run_entry {
    const char *query, *document;
    uint32_t rank; /* 1 is best */
    double score;
} assay_run_entry;
ASSAY_API size_t assay_run_count(const assay_run *run);
/* Entry i: queries in the order they were added, within a query by rank. */
ASSAY_API assay_run_entry assay_run_at(const assay_run *run, size_t i);

/* Computes a measure over the judged queries, as `trec_eval -c` does (a judged
 * query that the run lacks counts 0). Names, as ir_measures writes them:
 * nDCG@k, nDCG, RR@k, RR (MRR is read as RR), AP@k, AP (MAP), R@k, P@k, and
 * Success@k, in upper or lower case. Gains of nDCG are the grades themselves;
 * grades below 1 are not relevant. per_query: NULL, or [assay_qrels_queries] values in the order of
 * the qrels. Unknown name: ASSAY_E_ARGUMENT listing those known. */
ASSAY_API assay_status assay_measure(const assay_qrels *qrels, const assay_run *run,
                                     const char *name, double *mean, double *per_query,
                                     assay_error *error);

/* Whether two pipelines differ by more than chance: the two-sided paired
 * randomisation test (Smucker et al. 2007) over per-query values of the same
 * queries in the same order. Every flip of signs is tried where there are at
 * most 16 queries that differ, else 100000 drawn from a fixed seed: the same
 * input gives the same p-value. difference: mean of a less mean of b. */
ASSAY_API assay_status assay_compare(const double *a, const double *b, size_t count,
                                     double *difference, double *p_value,
                                     assay_error *error);

/* ---------------------------------------------------------------- learning */

/* What training data came to. */
typedef struct assay_example_counts {
    uint64_t queries;           /* with a relevant passage: those that can be learned from */
    uint64_t positives, negatives; /* their passages, as judged or mined */
    uint64_t passages;          /* different texts, the rest of a collection included */
    uint64_t bad_lines;         /* of the files, that were passed over */
    uint64_t missing_documents; /* judgments of documents that are not there */
    uint64_t missing_queries;   /* judged queries that are not there */
    uint64_t without_positive;  /* queries left out: nothing is relevant to them */
    uint64_t without_negative;  /* queries kept; all negatives are drawn at random */
    uint64_t empty;             /* passages without text, left out */
} assay_example_counts;

typedef struct assay_mine_options {
    assay_retriever retriever;   /* what looks for them; AUTO: hybrid where there are vectors */
    uint32_t retrieve;           /* how deep it looks; 0: 100 */
    assay_setting negatives;     /* of those, for each query; 20. Half are the highest, the
                                    others drawn at random from what is below */
    assay_setting random;        /* passages drawn from the whole collection; 5 */
    uint32_t skip;               /* the first so many are never taken */
    assay_setting share;         /* passages whose score is above this share of the best
                                    relevant one's are taken for relevant and left out; 0.95.
                                    The score is the cosine; BM25's where there is none */
    const char *teacher;         /* gives every passage a score to be learned from: "first",
                                    the retriever's own, or a reranker ("cross", "late",
                                    a folder); NULL: none */
    bool cut_query;              /* where the query stands word for word in a relevant passage,
                                    as a sentence that was taken out of it does, it is left out
                                    there, and the passage where little remains */
    uint64_t seed;
    uint32_t threads;            /* 0: all */
} assay_mine_options;

typedef struct assay_mine_report {
    uint64_t queries;            /* written in this call */
    uint64_t resumed;            /* were there from an interrupted one, and are not counted
                                    below */
    uint64_t positives;
    uint64_t missed;             /* of those, not retrieved */
    uint64_t judged, hard, random; /* negatives: judged not relevant, retrieved, drawn */
    uint64_t near_duplicates;    /* left out: nearly the text of a relevant passage, */
    uint64_t suspects;           /* or scored too high */
    uint64_t missing_documents;  /* judgments of documents that are not in the collection */
    uint64_t missing_queries;    /* judged queries that have no text */
    uint64_t refused;            /* queries that cannot be searched for, or that the teacher
                                    does not take */
    uint64_t without_positive;   /* queries left out: nothing is relevant to them */
    uint64_t unscored;           /* passages left out, which the teacher gave no score */
    uint64_t cut;                /* relevant passages that the query was cut out of */
    double seconds;
} assay_mine_report;

/* Writes training data: for each judged query a line of JSON with its relevant passages and
 * with some that look relevant and are not (Karpukhin et al. 2020; Qu et al. 2021), as
 *
 *   {"query_id", "query", "positives": [{"id", "title", "heading", "text", "grade",
 *    "score", "missed"}], "negatives": [{"id", "title", "heading", "text", "score"}]}
 *
 * Judgments above 0 are relevant. What is missing is told through `progress` and counted.
 * The file appears when it is whole; what an interrupted call wrote lies beside it and is
 * taken up by a call with the same settings, one at a time (BUSY). For the same collection,
 * queries and seed it is the same bytes. */
ASSAY_API assay_status assay_mine(assay_store *store, const char *collection,
                                  const assay_queries *queries, const assay_qrels *qrels,
                                  const char *output, const assay_mine_options *options,
                                  assay_progress_fn progress, void *user,
                                  assay_mine_report *report, assay_error *error);

/* What people type. */
typedef enum assay_query_kind {
    ASSAY_QUERY_QUESTION = 0,
    ASSAY_QUERY_CLAIM,     /* a statement, to be proved */
    ASSAY_QUERY_KEYWORDS,
    ASSAY_QUERY_SENTENCE,  /* of the passage itself: no language model is asked */
    ASSAY_QUERY_KINDS,
} assay_query_kind;

/* "question", "claim", "keywords", "sentence". Never NULL. Shared. */
ASSAY_API const char *assay_query_kind_name(assay_query_kind kind);

typedef struct assay_synth_options {
    uint32_t kinds;           /* bits, 1 << ASSAY_QUERY_CLAIM: passages take turns, one kind
                                 each; 0: questions. SENTENCE stands alone */
    const assay_llm_options *llm; /* who writes; NULL: as the environment says */
    const char *examples;     /* file of passages with queries as they are wanted, which are
                                 shown before each question (docs/training.md); NULL: none */
    uint32_t passages;        /* of the collection, drawn at random; 0: 1000 */
    uint32_t each;            /* queries wanted of a passage; 0: 2, of SENTENCE 1 */
    assay_setting within;     /* a query is kept that finds its document among the first so
                                 many; 10; 0: any */
    assay_retriever retriever; /* what looks for it */
    uint64_t seed;
    uint32_t threads;         /* 0: all */
} assay_synth_options;

typedef struct assay_synth_report {
    uint64_t queries;         /* written */
    uint64_t passages;        /* that were looked at, of them */
    uint64_t resumed;         /* by an interrupted call, whose work counts here, too */
    uint64_t unusable;        /* passages drawn that were too short, or have no fit sentence */
    uint64_t written;         /* queries that the model wrote or sentences taken. Left out: */
    uint64_t malformed;       /* of less than two words or more than 64, or with an address */
    uint64_t pointing;        /* speak of "the passage" */
    uint64_t copied;          /* stand word for word in the passage */
    uint64_t duplicates;      /* the words of a query that is there */
    uint64_t lost;            /* did not find their document */
    assay_llm_usage llm;      /* what asking came to; requests that failed had no query */
    double seconds;           /* of this call */
} assay_synth_report;

/* Makes queries for passages of a collection where nobody has asked or judged any, so that
 * a model can be fitted to it (docs/training.md): a language model writes them (InPars,
 * Bonifacio et al. 2022), or they are sentences of the passages themselves. Each has to find
 * its document by the collection's retriever (Promptagator, Dai et al. 2022).
 *
 * `output` becomes a folder with queries.jsonl, qrels/train.tsv and synth.json, which names
 * the collection: what assay_mine and assay_measure need. It may be there if it is empty or
 * of an earlier call. What an interrupted call did is taken up by a call with the same
 * arguments. Errors: ARGUMENT, NOT_FOUND, FORMAT (no query comes out, with the reason),
 * NETWORK (nothing was answered; what there is is kept), INTERRUPTED, IO, FULL. */
ASSAY_API assay_status assay_synth(assay_store *store, const char *collection,
                                   const char *output, const assay_synth_options *options,
                                   assay_progress_fn progress, void *user,
                                   assay_synth_report *report, assay_error *error);

/* What is wrong with scores. */
typedef enum assay_loss_kind {
    ASSAY_LOSS_LISTWISE = 0, /* softmax cross-entropy of each positive against all negatives;
                                of a bi-encoder, against all passages of the batch */
    ASSAY_LOSS_BINARY,       /* relevant or not, each passage by itself */
    ASSAY_LOSS_PAIRWISE,     /* logistic, of each positive over each negative (RankNet) */
    ASSAY_LOSS_MARGIN,       /* hinge, likewise */
    ASSAY_LOSS_GRADED,       /* softmax cross-entropy against gains 2^grade - 1 (ListNet) */
    ASSAY_LOSS_MARGIN_MSE,   /* the teacher's differences, likewise (Hofstaetter et al. 2020) */
    ASSAY_LOSS_DISTIL,       /* the teacher's distribution: KL divergence (Hinton et al. 2015) */
    ASSAY_LOSS_KINDS,
} assay_loss_kind;

/* "listwise", "margin-mse". Never NULL. */
ASSAY_API const char *assay_loss_name(assay_loss_kind kind);
/* ---------------------------------------------------------------- feedback */

/* What was asked, what was answered, and what came of it: feedback.sqlite in the data
 * directory. A question is kept as a hash with a key that lies in the same file (whoever
 * has the file can test guesses, and no more), its text only where that is asked for;
 * a session likewise; of documents their ids. One thread; several may have it open. */
typedef struct assay_feedback assay_feedback;

typedef struct assay_feedback_options {
    bool read_only;      /* for reports: NOT_FOUND where nothing was recorded yet */
    bool keep_text;      /* of questions */
    uint32_t keep_days;  /* searches older than that are removed; 0: 90 */
} assay_feedback_options;

/* home NULL: assay_home. Makes the file, but not the directory. */
ASSAY_API assay_status assay_feedback_open(const char *home,
                                           const assay_feedback_options *options,
                                           assay_feedback **out, assay_error *error);
ASSAY_API void assay_feedback_close(assay_feedback *feedback);

typedef struct assay_answered_hit {
    const char *document;
    uint32_t rank_first; /* before reranking, from 1 */
    bool reranked;
    bool second;         /* of an interleaved answer: the second pipeline put it here */
} assay_answered_hit;

/* How a search took part in a comparison of two pipelines. */
typedef enum assay_trial {
    ASSAY_TRIAL_NONE = 0,
    ASSAY_TRIAL_INTERLEAVED, /* both answered: `pipeline` is the first, `rival` the second */
    ASSAY_TRIAL_SPLIT,       /* `pipeline` answered this session, `rival` answers others */
} assay_trial;

/* A search as it was answered. */
typedef struct assay_answered {
    const char *search;     /* id, 1 to 128 bytes, by which events name it */
    const char *collection; /* NULL: documents came with the request */
    const char *pipeline;   /* by name; NULL: "default" */
    const char *rival;      /* of a trial */
    assay_trial trial;
    const char *session;    /* whose search; NULL: not known */
    assay_text query;
    const assay_answered_hit *hits; /* [count] candidates, best first, one a document */
    size_t count;           /* the first thousand are kept */
    size_t shown;           /* of them to the user */
    uint32_t scored, truncated; /* passages: reranked, and of these cut */
    bool degraded;          /* a reranker could not work */
    double first_seconds, rerank_seconds;
    int64_t at;             /* milliseconds since 1970; 0: now */
} assay_answered;

/* Records a search. One whose id is there already is left out (*kept false; may be
 * NULL). A search of the same session within two minutes, of another question that
 * shares half of the words, makes the one before it a reformulated one. */
ASSAY_API assay_status assay_feedback_search(assay_feedback *feedback,
                                             const assay_answered *answered, bool *kept,
                                             assay_error *error);

typedef enum assay_event_kind {
    ASSAY_EVENT_IMPRESSION = 0, /* the user saw this document, and those above it */
    ASSAY_EVENT_CLICK,
    ASSAY_EVENT_DWELL,          /* and stayed for `seconds` */
    ASSAY_EVENT_REFORMULATION,  /* and asked again, in other words */
    ASSAY_EVENT_UP,             /* said that the document is right */
    ASSAY_EVENT_DOWN,           /* or wrong */
    ASSAY_EVENT_KINDS,
} assay_event_kind;

/* "impression", "click", "dwell", "reformulation", "up", "down". Never NULL. */
ASSAY_API const char *assay_event_name(assay_event_kind kind);

typedef struct assay_event {
    assay_event_kind kind;
    const char *search;
    const char *document; /* NULL of a reformulation; else may be given by `position` */
    uint32_t position;    /* 1 is the first that was shown; 0: see document */
    double seconds;       /* of a dwell */
    int64_t at;           /* milliseconds since 1970; 0: now */
} assay_event;

/* Records events, all or, after an error, none. known[count] says of each whether there is
 * such a search; where there is none, as when it was not among those recorded, nothing is
 * recorded. ARGUMENT for an event that makes no sense: *failed is which. */
ASSAY_API assay_status assay_feedback_events(assay_feedback *feedback, const assay_event *events,
                                             size_t count, bool *known, size_t *failed,
                                             assay_error *error);

/* A mean with its 95% confidence interval (Student's t over searches). Of no use, and
 * NAN, where count is 0; low and high are NAN where it is 1. */
typedef struct assay_interval {
    uint64_t count;
    double mean, low, high;
} assay_interval;

typedef struct assay_feedback_query {
    const char *id;       /* hash, 32 hex digits */
    assay_text text;      /* length 0 where it was not kept */
    uint64_t searches, clicks;
    double lift;          /* mean, of clicked places */
} assay_feedback_query;

typedef struct assay_feedback_document {
    const char *document;
    uint64_t clicks;
} assay_feedback_document;

typedef struct assay_feedback_day {
    char date[11];        /* 2026-01-31, UTC */
    uint64_t searches, clicked;
    double mrr_before, mrr_after; /* of the clicked; NAN where there are none */
    double rerank_ms;             /* mean */
} assay_feedback_day;

typedef struct assay_feedback_trial {
    const char *first, *second; /* pipelines */
    assay_trial trial;
    uint64_t searches;    /* interleaved; of split: sessions of both */
    uint64_t wins_first, wins_second, ties; /* interleaved: searches by who had more clicks */
    assay_interval mrr_first, mrr_second;   /* split: click MRR by session, 0 without clicks */
    double p_value;       /* two-sided: sign test; of split Welch's. NAN: too few */
    int better;           /* 1, 2; 0: no difference shown (p >= 0.05, or less than
                             twenty searches or sessions that say something) */
} assay_feedback_trial;

#define ASSAY_FEEDBACK_RANKS 10u
#define ASSAY_FEEDBACK_MOVES 21u /* -10 and less ... +10 and more places */

typedef struct assay_feedback_report {
    uint64_t searches;    /* recorded, in the time and the places asked about */
    uint64_t sessions;
    uint64_t read;        /* of these, the newest, looked into for all below */
    uint64_t clicked;     /* searches with a click, those of an interleaved trial apart,
                             which have no one order before */
    uint64_t clicks;      /* a document counts once a search */
    int64_t from, until;  /* first and last search, milliseconds since 1970; 0: none */

    assay_interval lift;        /* places that clicked documents were moved up, a search */
    assay_interval lift_weighted; /* the same over clicks, each weighted by 1 / propensity */
    assay_interval mrr_before;  /* 1 / rank of the best placed clicked document */
    assay_interval mrr_after;
    assay_interval mrr_gain;    /* after less before, by search */
    double mrr_p_value;         /* of that: assay_compare; NAN without clicks */
    uint32_t top;
    double top_changed;         /* share of answers whose first `top` are others, or in
                                   another order, than before reranking */
    double first_changed;       /* whose first is another */
    assay_interval correlation; /* Kendall's tau of the orders before and after, over
                                   what was reranked */
    double reformulated;        /* share of the searches with a session */
    double first_ms, rerank_ms, rerank_ms_median, rerank_ms_95;
    double truncated;           /* share of reranked passages that were cut */
    double degraded;            /* share of searches without a reranker */
    uint64_t up, down;          /* the last vote on a document counts, once a search */
    uint64_t dwells;
    double dwell_median;        /* seconds; NAN: none */
    double satisfied;           /* share of dwells of 30 s and more */

    uint64_t click_counts[ASSAY_FEEDBACK_RANKS];  /* at ranks 1.., and how often */
    uint64_t shown_counts[ASSAY_FEEDBACK_RANKS];  /* a document was shown there */
    double propensities[ASSAY_FEEDBACK_RANKS];    /* that a user looks at it, 1 at rank 1 */
    bool estimated;       /* from documents seen at several ranks; else 1 / rank is taken */
    uint64_t telling;     /* pairs of question and document that were */
    uint64_t moves[ASSAY_FEEDBACK_MOVES];         /* clicks by places moved up */

    uint64_t unseen_clicks;     /* on documents that were no candidates: what retrieval
                                   missed no reranker can bring */
    size_t unseen_count;        /* at most 10, most clicks first */
    const assay_feedback_document *unseen;
    size_t hurt_count;          /* at most 10: questions whose clicks were moved down */
    const assay_feedback_query *hurt;
    size_t day_count;           /* the last 90 with searches, in order */
    const assay_feedback_day *days;
    size_t trial_count;
    const assay_feedback_trial *trials;
    void *block;                /* owner of the memory behind these */
} assay_feedback_report;

typedef struct assay_report_options {
    const char *collection; /* NULL: all */
    const char *pipeline;   /* by name, as the first or the second; NULL: all */
    uint32_t days;          /* back from now; 0: all that is kept */
    uint32_t top;           /* 0: 5 */
    uint32_t read;          /* most searches looked into, the newest; 0: 50000 */
} assay_report_options;

/* Sums up what was recorded. *out is owned by the caller: assay_feedback_report_free. */
ASSAY_API assay_status assay_feedback_sum(assay_feedback *feedback,
                                          const assay_report_options *options,
                                          assay_feedback_report *out, assay_error *error);
ASSAY_API void assay_feedback_report_free(assay_feedback_report *report);
/* As a JSON object on one line, field names as above. *out is freed with assay_free. */
ASSAY_API assay_status assay_feedback_report_json(const assay_feedback_report *report,
                                                  char **out, assay_error *error);

/* What clicks say about a document for a question. */
typedef struct assay_judgment {
    const char *query;    /* hash, 32 hex digits */
    assay_text text;      /* of the question; length 0 where it was not kept */
    const char *document;
    double attraction;    /* that a user who looks at it clicks */
    double examined;      /* how often it was looked at, by the propensities */
    uint32_t grade;       /* 0 to 3: attraction from 0.15, 0.35, 0.6 on */
} assay_judgment;

typedef struct assay_judgments {
    size_t count;
    const assay_judgment *items; /* sorted by query, then document */
    bool estimated;       /* as in assay_feedback_report */
    void *block;
} assay_judgments;

/* Judgments from clicks by a position-based model (Craswell et al. 2008): of documents
 * examined at least twice, for questions with one of grade 1 or more. */
ASSAY_API assay_status assay_feedback_judge(assay_feedback *feedback,
                                            const assay_report_options *options,
                                            assay_judgments *out, assay_error *error);
ASSAY_API void assay_judgments_free(assay_judgments *judgments);

/* Team-draft interleaving (Radlinski, Kurup & Joachims 2008) of two rankings of document
 * ids: in every round the lists take turns in an order that a coin decides, each giving
 * its best that is not there yet. picks[top]: *count are written. The same seed gives
 * the same list. */
typedef struct assay_pick {
    size_t place; /* in the list that gave it */
    bool second;  /* which list */
} assay_pick;
ASSAY_API assay_status assay_interleave(const char *const *first, size_t first_count,
                                        const char *const *second, size_t second_count,
                                        size_t top, uint64_t seed, assay_pick *picks,
                                        size_t *count, assay_error *error);

typedef enum assay_schedule {
    ASSAY_SCHEDULE_LINEAR = 0, /* to 0 at the last step */
    ASSAY_SCHEDULE_COSINE,     /* likewise */
    ASSAY_SCHEDULE_CONSTANT,
} assay_schedule;

enum { ASSAY_TRAIN_ALSO = 8 };

typedef struct assay_train_options {
    assay_model_kind kind;     /* what is made of the base; LATE of a bi-encoder or of a model
                                  for late interaction */
    assay_loss_kind loss;
    assay_setting binary;      /* weight of ASSAY_LOSS_BINARY, added; with LISTWISE of a
                                  cross-encoder 0.2, else 0 */
    assay_setting margin;      /* of MARGIN; 1 */
    assay_setting temperature; /* of DISTIL, both sides' scores are divided by it; 1. Of a
                                  bi-encoder its similarities are, 0.05, of late interaction
                                  its sums, 1 */
    assay_setting labels;      /* of MARGIN_MSE and DISTIL: weight of LISTWISE, added; 0.2 */
    const char *development;   /* data of its own to measure by; NULL: of a BEIR folder its
                                  dev judgments, where there are none some queries of the
                                  data, held out */
    const char *const *also;   /* [also_count, at most ASSAY_TRAIN_ALSO] data as `development`'s,
                                  of a BEIR folder its dev or test judgments: what should not be
                                  forgotten. Of each 300 queries are measured before and after */
    size_t also_count;
    const char *int8;          /* folder for the model with int8 weights, measured, too; NULL:
                                  none is written */
    assay_setting share;       /* of the data's queries held out; 0.1 */
    uint32_t development_queries; /* at most; 0: 100 */
    uint32_t negatives;        /* shown with a relevant passage; 0: 7 */
    uint32_t batch;            /* queries a step; 0: 8, of a bi-encoder and LATE 32 */
    uint32_t dimensions;       /* LATE: of a token's vector, of a base that is not yet for late
                                  interaction; 0: 128, or its hidden states' if these are less */
    uint32_t split;            /* CROSS_ENCODER: layers, the lower ones, in which query and
                                  passage do not see each other, so that what they make of
                                  passages can be kept (assay_index_options.split); at least
                                  one is left in which they do. 0: as the base's */
    uint32_t max_tokens;       /* of what the model is shown; 0: 256; of LATE passages alone */
    uint32_t part_tokens;      /* that go through the model together, a step's one part after
                                  the other: more need more memory; 0: 4096 */
    assay_setting epochs;      /* how often each query is shown; 3 */
    uint32_t steps;            /* 0: as epochs say */
    double minutes;            /* 0: any. Ends by then: steps are made fewer, after the first
                                  ones have been timed */
    assay_setting rate;        /* the highest; 0.00005; of a cross-encoder that goes on from
                                  one, with all its weights and as it is split, 0.00001 */
    assay_schedule schedule;
    assay_setting warmup;      /* share of the steps in which the rate rises; 0.06 */
    assay_setting decay;       /* of weights; 0.01 */
    assay_setting clip;        /* norm of the gradients; 1; 0: any */
    assay_setting dropout;     /* default: as the base's config.json says */
    assay_setting layer_rate;  /* rate of a layer as a share of the one above; 1 */
    bool train_embeddings;     /* else words, positions and types stay as they are */
    uint32_t lora_rank;        /* 0: all weights move; else only so many directions of each
                                  layer's (Hu et al. 2021) */
    bool recompute;            /* a third more time, a sixth of the memory */
    assay_precision precision; /* of the layers' products: FP32 (or AUTO); BF16 is faster where
                                  the processor has instructions for it (AVX-512 BF16, AMX),
                                  UNSUPPORTED elsewhere, and kinds of them may differ in the
                                  last bits. Sums, weights and all else are fp32 */
    uint32_t evaluations;      /* on the development queries, evenly over the steps; 0: 10 */
    assay_setting patience;    /* stops after so many that bring nothing; 5; 0: never */
    uint32_t checkpoint_steps; /* 0: every two minutes, and at every evaluation */
    uint64_t seed;
    uint32_t threads;          /* 0: all */
    bool replace;              /* a model folder that is at the target already */
    bool restart;              /* throws away what an interrupted call left */
} assay_train_options;

typedef enum assay_train_stage {
    ASSAY_TRAIN_READING,
    ASSAY_TRAIN_EVALUATING,
    ASSAY_TRAIN_STEPPING,
} assay_train_stage;

typedef struct assay_train_progress {
    assay_train_stage stage;
    uint64_t step, steps;        /* taken, of how many. Reading: bytes. Evaluating: queries */
    double epoch;
    double loss;                 /* of about the last twenty steps; NAN: none yet */
    double metric, best;         /* nDCG@10 of the last evaluation, and of the best; NAN */
    double rate;
    double tokens_per_second;
    double seconds_left;         /* NAN: not known yet */
    bool evaluated;              /* metric is new */
    const assay_error *problem;  /* not NULL: something of the data that is passed over */
} assay_train_progress;

/* Returns false to stop: what was learned is kept, and the same call goes on from there. */
typedef bool (*assay_train_fn)(const assay_train_progress *progress, void *user);

typedef enum assay_train_end {
    ASSAY_TRAIN_STEPS,    /* all steps were taken */
    ASSAY_TRAIN_TIME,     /* the minutes were over */
    ASSAY_TRAIN_PATIENCE, /* evaluations brought nothing more */
} assay_train_end;

/* nDCG@10 of queries' passages, reranked by two models, and whether more than luck is
 * between them. NAN: there was nothing to compare with. */
typedef struct assay_train_measure {
    uint64_t queries;
    double before, after;
    double p_value;              /* of assay_compare */
} assay_train_measure;

typedef struct assay_train_report {
    assay_example_counts data, development; /* where no data of its own were given,
                                               development counts queries only */
    uint64_t training_queries, development_queries;
    uint64_t parameters;         /* that move */
    uint64_t memory;             /* bytes that a step takes, as reckoned before it */
    uint64_t resumed;            /* the step at which an interrupted call was taken up; 0 */
    uint64_t steps, best_step;   /* taken; of the weights that were kept. 0: the base's */
    double loss;                 /* of the last twenty steps or so */
    double before, best, last;   /* nDCG@10 on the development queries */
    uint64_t tokens;             /* shown */
    double seconds;              /* of all calls, evaluations included */
    assay_train_end end;
    assay_train_measure gain;    /* on the development queries */
    assay_train_measure also[ASSAY_TRAIN_ALSO]; /* as in the options; the base, where it is a
                                    model of that kind, and what was saved */
    double probability_slope, probability_offset; /* what a score means on the development
                                    queries, as in assay_stage_options; NAN: of a bi-encoder, or
                                    it means nothing */
    double log_loss_before, log_loss; /* of the sigmoid of a cross-encoder's logit, and of that */
    assay_train_measure int8;    /* on the development queries: in fp32, and with int8 weights */
    uint64_t bytes, int8_bytes;  /* of the tensors; 0: none were written */
} assay_train_report;

/* Fine-tunes the model `base` (folder or name) on training data: a BEIR folder with
 * qrels/train.tsv, or a file that assay_mine wrote, or triples (docs/training.md tells the
 * forms), and writes it as the folder `target`, in Hugging Face layout with weights in
 * fp32, with a card (README.md), the log (training.csv, training.svg) and a pipeline that
 * knows what a score means (pipeline.json). Kept are the weights that rank the development
 * queries best.
 *
 * What an interrupted or killed call did lies in TARGET.part and is taken up by a call
 * with the same arguments, with the same result as if it had not been interrupted. Errors:
 * ARGUMENT, NOT_FOUND, FORMAT (data that cannot be learned from, saying why), MEMORY
 * (before the first step, with what is needed), CORRUPT (a loss that is no number, naming
 * the step and the queries), IO, FULL (the last checkpoint is kept), BUSY (another call has
 * this target), INTERRUPTED. */
ASSAY_API assay_status assay_train(const char *data, const char *base, const char *target,
                                   const assay_train_options *options, assay_train_fn progress,
                                   void *user, assay_train_report *report, assay_error *error);

/* ------------------------------------------------------------------ tuning */

typedef struct assay_pipeline_tune_options {
    uint32_t limit;          /* judged queries at most, drawn by chance; 0: 500 */
    uint32_t seed;
    assay_setting tolerance; /* nDCG@10 that may be lost for fewer passages; 0.002 */
} assay_pipeline_tune_options;

/* What it came to, on the half of the queries that nothing was fitted on. nDCG@10. */
typedef struct assay_pipeline_tune_report {
    size_t fitted, held;  /* queries of either half */
    double first;         /* of retrieval alone */
    double fused, fused_error; /* with fitted weights of BM25 and vectors, and the standard
                             error of the difference; equal, and 0, where they stay */
    double bm25_weight, dense_weight; /* of the pipeline that comes out */
    double given;         /* of the pipeline as it was given */
    double weighted;      /* with fitted weights, all passages scored */
    double spared;        /* with thresholds, too: the pipeline that comes out */
    double weighted_error, spared_error; /* standard errors of the differences, each from
                             what is before it */
    double given_scored, spared_scored; /* passages a query, over all stages */
    double given_ms, spared_ms; /* what scoring those takes, at a stage's mean of a passage */
    double log_loss_given, log_loss; /* of the last stage's probabilities of its best ten
                             passages, as they were and as fitted; NAN: there are none */
} assay_pipeline_tune_report;

/* Fits a pipeline to judged queries of a collection: of a hybrid one the weights of BM25 and
 * vectors; of its stages what probabilities mean, weights, and thresholds within,
 * within_agreed and hope. All candidates of all queries
 * are scored once by every stage; the settings are then tried by playing that through
 * the cascade. *file is a pipeline file, freed with assay_free. ARGUMENT: a stage is a
 * language model, there is nothing to fit (one retriever, no stage), or there are fewer than
 * 20 judged queries. */
ASSAY_API assay_status assay_pipeline_tune(assay_store *store, const char *collection,
                                           const assay_pipeline_options *options,
                                           const assay_queries *queries,
                                           const assay_qrels *qrels,
                                           const assay_pipeline_tune_options *how,
                                           assay_progress_fn progress, void *user,
                                           assay_pipeline_tune_report *report, char **file,
                                           assay_error *error);

/* --------------------------------------------------------------- downloads */

typedef struct assay_pull_options {
    const char *revision;  /* NULL: "main" */
    const char *endpoint;  /* NULL: $HF_ENDPOINT, else https://huggingface.co */
    const char *token;     /* NULL: $HF_TOKEN, else none */
    const char *directory; /* NULL: models/<name> of the data directory */
} assay_pull_options;

/* Downloads what assay needs of a model repository in Hugging Face layout
 * (config, tokenizer, safetensors, pooling settings), into a folder of its own:
 * partial files are resumed, sizes and SHA-256 checked, files renamed into
 * place when whole. Proxies are taken from the environment. Writes the folder
 * to path. */
ASSAY_API assay_status assay_pull(const char *repository, const assay_pull_options *options,
                                  assay_progress_fn progress, void *user, char *path,
                                  size_t path_size, assay_error *error);

#ifdef __cplusplus
}
#endif
#endif
