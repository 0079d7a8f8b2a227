/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verb_doctor.c: `assay doctor`, whether this machine has what assay needs.
 *
 * Each check is a line: ok, note (works, but could be better), bad (something will not
 * work). Nothing is changed; the data directory is not made.
 */
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/output.h"

#define MEBIBYTE 1048576.0

typedef struct doctor_settings {
    assay_common common;
    assay_option_list models;
    const char *host;
    uint32_t port;
} doctor_settings;

typedef enum state { OK, NOTE, BAD } state;

static const char *const state_names[] = {"ok", "note", "bad"};

typedef struct findings {
    bool json;
    assay_answer answer;
    json_t *list;
    int counts[3];
} findings;

static void find(findings *f, state s, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void find(findings *f, state s, const char *name, const char *format, ...)
{
    static const assay_style styles[] = {ASSAY_STYLE_GOOD, ASSAY_STYLE_DIM, ASSAY_STYLE_BAD};
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    f->counts[s]++;
    if (f->json) {
        json_t *one = assay_answer_object(&f->answer, f->list, NULL);
        assay_answer_set(&f->answer, one, "name", json_string(name));
        assay_answer_set(&f->answer, one, "state", json_string(state_names[s]));
        assay_answer_set(&f->answer, one, "message", assay_json_name(text));
        return;
    }
    printf("%s%-4s%s  %-12s ", assay_style_code(styles[s]), state_names[s],
           assay_style_code(ASSAY_STYLE_PLAIN), name);
    assay_print_text(stdout, text, strlen(text));
    putchar('\n');
}

/* ---- The machine ----------------------------------------------------------------------- */

/* The number in a file, or behind "NAME:" in it; NAN where there is none. */
static double number_in(const char *path, const char *name)
{
    char line[256];
    double value = NAN;
    FILE *file = fopen(path, "re");
    while (file != NULL && isnan(value) && fgets(line, sizeof line, file) != NULL) {
        size_t length = name != NULL ? strlen(name) : 0;
        if (name != NULL && strncmp(line, name, length) != 0)
            continue;
        char *end;
        double read = strtod(line + length, &end);
        if (end > line + length)
            value = read;
        else if (name == NULL)
            break; /* "max" */
    }
    if (file != NULL)
        fclose(file);
    return value;
}

static void check_cpu(findings *f)
{
    const char *cap = getenv("ASSAY_CPU"), *set = assay_cpu();
    if (cap != NULL && *cap != '\0')
        find(f, NOTE, "cpu", "%s, as $ASSAY_CPU (%s) allows", set, cap);
    else if (strcmp(set, "scalar") == 0)
        find(f, NOTE, "cpu", "scalar: there is neither AVX2 nor NEON; everything works, slowly");
    else
        find(f, OK, "cpu", "%s", set);
}

static void check_cores(findings *f)
{
    cpu_set_t set;
    long there = sysconf(_SC_NPROCESSORS_ONLN);
    int allowed = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)there;
    double quota = number_in("/sys/fs/cgroup/cpu.max", NULL);
    if (allowed < there)
        find(f, NOTE, "cores", "%d of %ld may be used (affinity)", allowed, there);
    else if (isfinite(quota) && quota / 1e5 < (double)there)
        find(f, NOTE, "cores", "%.1f of %ld may be used (cgroup)", quota / 1e5, there);
    else
        find(f, OK, "cores", "%ld", there);
}

static void check_memory(findings *f)
{
    double free_bytes = number_in("/proc/meminfo", "MemAvailable:") * 1024;
    double limit = number_in("/sys/fs/cgroup/memory.max", NULL);
    double used = number_in("/sys/fs/cgroup/memory.current", NULL);
    if (isfinite(limit) && limit - used < free_bytes)
        free_bytes = limit - used;
    if (!isfinite(free_bytes))
        find(f, NOTE, "memory", "how much is free cannot be told");
    else
        find(f, free_bytes < 256 * MEBIBYTE ? NOTE : OK, "memory", "%.0f MiB free%s",
             free_bytes / MEBIBYTE,
             free_bytes < 256 * MEBIBYTE ? "; a small model takes about 60, collections more"
                                         : "");
}

static void check_files(findings *f)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    bool few = limit.rlim_cur < 1280;
    find(f, few ? NOTE : OK, "open files", "%llu allowed%s", (unsigned long long)limit.rlim_cur,
         few ? "; 1024 connections at a time need some more (ulimit -n)" : "");
}

static void check_library(findings *f, const char *file, const char *package, const char *use)
{
    void *handle = dlopen(file, RTLD_LAZY | RTLD_LOCAL);
    if (handle != NULL)
        find(f, OK, "library", "%s, for %s", file, use);
    else
        find(f, NOTE, "library", "%s is not there (package %s): no %s", file, package, use);
    if (handle != NULL)
        dlclose(handle);
}

/* ---- The data directory ------------------------------------------------------------------ */

static void check_space(findings *f, const char *path)
{
    struct statvfs there;
    if (statvfs(path, &there) != 0)
        return;
    double free_bytes = (double)there.f_bavail * (double)there.f_frsize;
    find(f, free_bytes < 100 * MEBIBYTE ? NOTE : OK, "disk", "%.0f MiB free for %s",
         free_bytes / MEBIBYTE, path);
}

static void check_rights(findings *f, const char *path)
{
    struct stat there;
    if (access(path, W_OK | X_OK) != 0)
        find(f, NOTE, "permissions", "%s can be read, not written: collections can be searched, "
             "not indexed", path);
    else if (stat(path, &there) == 0 && (there.st_mode & S_IWOTH) != 0)
        find(f, BAD, "permissions", "%s can be written by everyone; chmod o-w", path);
    else
        find(f, OK, "permissions", "%s can be written", path);
}

static void check_store(findings *f)
{
    assay_store *store;
    assay_error error;
    assay_collection_info *list;
    size_t count;
    if (assay_store_open(NULL, &(assay_store_options){.read_only = true}, &store, &error) !=
        ASSAY_OK) {
        bool empty = error.code == ASSAY_E_NOT_FOUND;
        find(f, empty ? OK : BAD, "store", empty ? "nothing is indexed yet" : "%s: %s",
             error.where, error.message);
        return;
    }
    if (assay_collection_list(store, &list, &count, &error) == ASSAY_OK) {
        find(f, OK, "store", "%zu collection%s; 'assay check' looks into them", count,
             count == 1 ? "" : "s");
        assay_free(list);
    } else {
        find(f, BAD, "store", "%s: %s", error.where, error.message);
    }
    assay_store_close(store);
}

static void check_home(findings *f)
{
    char path[4096];
    assay_error error;
    struct stat there;
    if (assay_home(path, sizeof path, &error) != ASSAY_OK) {
        find(f, BAD, "directory", "%s: %s", error.where, error.message);
        return;
    }
    if (stat(path, &there) != 0) {
        find(f, errno == ENOENT ? OK : BAD, "directory",
             errno == ENOENT ? "%s is not there yet; 'assay index' makes it" : "%s: %s", path,
             strerror(errno));
        return;
    }
    if (!S_ISDIR(there.st_mode)) {
        find(f, BAD, "directory", "%s is no directory", path);
        return;
    }
    check_rights(f, path);
    check_space(f, path);
    check_store(f);
}

/* ---- Models ------------------------------------------------------------------------------- */

static const char question[] = "how tall is the tower";
static const char *const passages[] = {"The tower is 8 m tall.", "Soup is eaten hot."};

static assay_text text_of(const char *string)
{
    return (assay_text){string, strlen(string)};
}

/* How far ahead of the other the passage that answers is; *same: another batch gave the
 * same bits. */
static assay_status score_twice(assay_session *session, double *ahead, bool *same,
                                assay_error *error)
{
    assay_text texts[2] = {text_of(passages[0]), text_of(passages[1])};
    assay_score both[2], alone;
    assay_status status =
        assay_rerank(session, text_of(question), texts, 2, both, error);
    if (status == ASSAY_OK)
        status = assay_rerank(session, text_of(question), texts, 1, &alone, error);
    if (status != ASSAY_OK)
        return status;
    *ahead = (double)both[0].logit - (double)both[1].logit;
    *same = memcmp(&both[0].logit, &alone.logit, sizeof alone.logit) == 0;
    return ASSAY_OK;
}

static double dot(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static assay_status embed_twice(assay_session *session, size_t dimensions, double *ahead,
                                bool *same, assay_error *error)
{
    assay_text texts[3] = {text_of(question), text_of(passages[0]), text_of(passages[1])};
    float *vectors = calloc(4 * dimensions, sizeof *vectors);
    if (vectors == NULL) {
        *error = (assay_error){.code = ASSAY_E_MEMORY, .message = "out of memory"};
        return ASSAY_E_MEMORY;
    }
    assay_status status = assay_embed(session, texts, 3, vectors, NULL, error);
    if (status == ASSAY_OK)
        status = assay_embed(session, texts, 1, vectors + 3 * dimensions, NULL, error);
    *ahead = dot(vectors, vectors + dimensions, dimensions) -
             dot(vectors, vectors + 2 * dimensions, dimensions);
    *same = memcmp(vectors, vectors + 3 * dimensions, dimensions * sizeof *vectors) == 0;
    free(vectors);
    return status;
}

static void judge_model(findings *f, const assay_model_info *info, const char *name,
                        double ahead, bool same)
{
    char about[128];
    snprintf(about, sizeof about, "%s, %u layers, %s", assay_kind_name(info->kind), info->layers,
             info->precision);
    if (!isfinite(ahead) || !same)
        find(f, BAD, "model", "%s: %s; %s", name, about,
             same ? "its scores are not numbers" : "the same text gave other bits the second "
                                                   "time: please report it");
    else if (ahead <= 0)
        find(f, NOTE, "model", "%s: %s; it prefers soup to a tower's height: is it trained?",
             name, about);
    else if (info->notice[0] != '\0')
        find(f, NOTE, "model", "%s: %s; %s", name, about, info->notice);
    else
        find(f, OK, "model", "%s: %s", name, about);
}

static void test_model(findings *f, const char *name, assay_model *model)
{
    assay_model_info info;
    assay_session *session;
    assay_error error;
    double ahead = NAN;
    bool same = false;
    assay_model_describe(model, &info);
    assay_status status = assay_session_open(model, NULL, &session, &error);
    if (status == ASSAY_OK) {
        status = info.kind == ASSAY_MODEL_BI_ENCODER
                     ? embed_twice(session, info.dimensions, &ahead, &same, &error)
                     : score_twice(session, &ahead, &same, &error);
        assay_session_close(session);
    }
    if (status == ASSAY_OK)
        judge_model(f, &info, name, ahead, same);
    else
        find(f, BAD, "model", "%s: %s: %s", name, error.where, error.message);
}

static void check_model(findings *f, const char *name)
{
    assay_model *model;
    assay_error error;
    if (assay_model_open(name, NULL, &model, &error) != ASSAY_OK) {
        find(f, BAD, "model", "%s: %s: %s", name, error.where, error.message);
        return;
    }
    test_model(f, name, model);
    assay_model_close(model);
}

/* ---- The port ------------------------------------------------------------------------------ */

static void check_port(findings *f, const char *host, uint32_t port)
{
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    int one = 1;
    snprintf(service, sizeof service, "%u", port);
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0) {
        find(f, BAD, "port", "%s: %s", host, gai_strerror(code));
        return;
    }
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool free_port = fd >= 0 && bind(fd, list->ai_addr, list->ai_addrlen) == 0 &&
                     listen(fd, 1) == 0;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(list);
    if (free_port)
        find(f, OK, "port", "%s:%u is free for 'assay serve'", host, port);
    else
        find(f, reason == EADDRINUSE ? NOTE : BAD, "port", "%s:%u: %s%s", host, port,
             strerror(reason),
             reason == EADDRINUSE ? "; perhaps a server runs already (--port names another)"
                                  : "");
}

/* ---- The verb ------------------------------------------------------------------------------- */

static void check_all(findings *f, const doctor_settings *s)
{
    static const char *const defaults[] = {"cross", "dense"};
    size_t count = s->models.count > 0 ? s->models.count : 2;
    check_cpu(f);
    check_cores(f);
    check_memory(f);
    check_files(f);
    check_library(f, "libmicrohttpd.so.12", "libmicrohttpd12", "'assay serve'");
    check_library(f, "libcurl.so.4", "libcurl4", "downloads and language models");
    check_home(f);
    for (size_t i = 0; i < count; i++)
        check_model(f, s->models.count > 0 ? s->models.items[i] : defaults[i]);
    check_port(f, s->host != NULL ? s->host : "127.0.0.1", s->port > 0 ? s->port : 7700);
}

static int run(const void *given, char **arguments, size_t count)
{
    (void)arguments;
    (void)count;
    const doctor_settings *s = given;
    findings f = {.json = s->common.json};
    if (f.json) {
        f.answer = assay_answer_new();
        assay_answer_set(&f.answer, f.answer.root, "version", json_string(assay_version()));
        f.list = assay_answer_array(&f.answer, f.answer.root, "checks");
    }
    check_all(&f, s);
    int code = f.counts[BAD] > 0 ? ASSAY_EXIT_ERROR : ASSAY_EXIT_OK;
    if (f.json) {
        assay_answer_set(&f.answer, f.answer.root, "healthy", json_boolean(f.counts[BAD] == 0));
        int printed = assay_answer_print(&f.answer);
        return printed != ASSAY_EXIT_OK ? printed : code;
    }
    if (f.counts[BAD] == 0)
        printf("\nAll that is needed is there.\n");
    else
        printf("\n%d thing%s will not work.\n", f.counts[BAD], f.counts[BAD] == 1 ? "" : "s");
    return code;
}

static const assay_option options[] = {
    {"model", ASSAY_OPTION_LIST, offsetof(doctor_settings, models), "NAME",
     "model to try; may be repeated (default: cross and dense)", 0, 0},
    {"host", ASSAY_OPTION_TEXT, offsetof(doctor_settings, host), "HOST",
     "address that a server is to listen on (default: 127.0.0.1)", 0, 0},
    {"port", ASSAY_OPTION_COUNT, offsetof(doctor_settings, port), "N",
     "and its port (default: 7700)", 1, 65535},
};

static const assay_example examples[] = {
    {"assay doctor", "A line for each thing that assay needs: ok, note, or bad"},
    {"assay doctor --json", "{\"version\":..,\"checks\":[{\"name\":..,\"state\":..}],\"healthy\":true}"},
    {NULL, NULL},
};

const assay_verb assay_verb_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "check that this machine has what assay needs",
    .description =
        "Looks at the processor's instruction sets, cores, memory and open files that are "
        "allowed, the libraries that are loaded when needed, the data directory with its "
        "permissions and space, the models, each of which scores a pair or embeds a text, and "
        "the server's port. Exits with 1 when something will not work. Nothing is changed.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .examples = examples,
    .settings_size = sizeof(doctor_settings),
    .arguments_max = 0,
    .run = run,
};
