/* SPDX-License-Identifier: Apache-2.0 */
/* test_pull.c: models from a hub that misbehaves (tests/fake_hub.py, which needs
 * python3; without it these tests are skipped). */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checksum.h"
#include "base/file.h"
#include "base/json.h"
#include "model/download.h"
#include "model/hub.h"

#define SECRET "hf_secret"

static struct {
    pid_t pid;
    int stop; /* closed: the hub ends */
    char endpoint[64];
    char folder[64]; /* temporary, for everything that is pulled */
} hub;

static int hub_start(void **state)
{
    (void)state;
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0)
        return -1;
    hub.pid = fork();
    if (hub.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", "tests/fake_hub.py", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    hub.stop = in[1];
    char port[16] = "";
    FILE *stream = fdopen(out[0], "r");
    if (stream != NULL && fgets(port, sizeof port, stream) != NULL) {
        port[strcspn(port, "\n")] = '\0';
        snprintf(hub.endpoint, sizeof hub.endpoint, "http://127.0.0.1:%s/", port);
    } else {
        print_message("skipped: python3 could not start tests/fake_hub.py\n");
    }
    if (stream != NULL)
        fclose(stream);
    memcpy(hub.folder, "/tmp/assay-pull-XXXXXX", 23);
    unsetenv("HF_TOKEN");
    unsetenv("HF_ENDPOINT");
    setenv("no_proxy", "127.0.0.1,localhost", 1);
    return mkdtemp(hub.folder) != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *walk)
{
    (void)s, (void)kind, (void)walk;
    return remove(path);
}

static int hub_stop(void **state)
{
    (void)state;
    close(hub.stop);
    waitpid(hub.pid, NULL, 0);
    return nftw(hub.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ----------------------------------------------------------------- helpers */

static void need_hub(void)
{
    if (hub.endpoint[0] == '\0')
        skip();
}

/* The answer of the hub's own pages; "" for those without a body. */
static const char *ask_hub(const char *page)
{
    static char text[65536];
    char url[256];
    assay_download *download;
    assay_buffer answer;
    assay_buffer_init(&answer, sizeof text - 1);
    snprintf(url, sizeof url, "%s%s", hub.endpoint, page);
    assert_int_equal(assay_download_new("", NULL, NULL, &download, NULL), ASSAY_OK);
    assert_int_equal(assay_download_text(download, url, page, &answer, NULL), ASSAY_OK);
    snprintf(text, sizeof text, "%s", answer.data != NULL ? answer.data : "");
    assay_buffer_free(&answer);
    assay_download_free(download);
    return text;
}

static const char *hub_log(void)
{
    return ask_hub("_log");
}

static void forget_log(void)
{
    (void)hub_log();
}

static void place_of(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", hub.folder, name);
}

static assay_status pull_with(const char *repository, const char *place, const char *revision,
                              const char *token, assay_progress_fn progress, void *user,
                              assay_error *error)
{
    char directory[256], path[512] = "untouched";
    place_of(place, directory);
    assay_pull_options options = {.endpoint = hub.endpoint,
                                  .directory = directory,
                                  .revision = revision,
                                  .token = token};
    *error = (assay_error){0};
    assay_status status =
        assay_pull(repository, &options, progress, user, path, sizeof path, error);
    assert_string_equal(path, status == ASSAY_OK ? directory : "untouched");
    assert_null(strstr(error->message, SECRET));
    assert_null(strstr(error->where, SECRET));
    return status;
}

static void pull_ok(const char *repository, const char *place)
{
    assay_error error;
    if (pull_with(repository, place, NULL, NULL, NULL, NULL, &error) != ASSAY_OK)
        fail_msg("%s: %s: %s", repository, error.where, error.message);
}

static void pull_fails(const char *repository, assay_status status, const char *where,
                       const char *says)
{
    assay_error error;
    char path[256];
    assay_status got = pull_with(repository, "refused", NULL, NULL, NULL, NULL, &error);
    if (got != status || strstr(error.where, where) == NULL ||
        strstr(error.message, says) == NULL)
        fail_msg("%s: %s at %s: \"%s\"; expected %s at %s: \"%s\"", repository,
                 assay_status_name(got), error.where, error.message, assay_status_name(status),
                 where, says);
    place_of("refused", path);
    assert_false(assay_is_folder(path));
    place_of("refused.part", path);
    if (assay_is_folder(path))
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool has(const char *place, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s/%s", hub.folder, place, name);
    return assay_is_file(path);
}

static void check_sum(const char *place)
{
    char path[512];
    assay_checksum sum;
    snprintf(path, sizeof path, "%s/%s/model.safetensors", hub.folder, place);
    assert_int_equal(assay_checksum_file(path, &sum, NULL), ASSAY_OK);
    assert_int_equal(sum.size, 300000);
    assert_string_equal(sum.sha256,
                        "6edf90530215a4eb6e9e91e32d961c38e962bb2e4226dd4d1370b0e20822fdb0");
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

/* ------------------------------------------------------------------- tests */

static void checksums_are_those_of_git_and_sha256sum(void **state)
{
    (void)state;
    char path[] = "/tmp/assay-sum-XXXXXX";
    int fd = mkstemp(path);
    assay_checksum sum;
    assert_int_equal(assay_checksum_file(path, &sum, NULL), ASSAY_OK);
    assert_string_equal(sum.blob, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    assert_int_equal(write(fd, "hello\n", 6), 6);
    close(fd);
    assert_int_equal(assay_checksum_file(path, &sum, NULL), ASSAY_OK);
    assert_string_equal(sum.blob, "ce013625030ba8dba906f756967f9e9ca394464a");
    assert_string_equal(sum.sha256,
                        "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    unlink(path);
    assay_error error;
    assert_int_equal(assay_checksum_file(path, &sum, &error), ASSAY_E_NOT_FOUND);
    assert_string_equal(error.where, path);
    assert_int_equal(assay_checksum_file("/tmp", &sum, &error), ASSAY_E_IO);
}

static void names_from_a_server_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "/a",   "../a", "a/../b", "a//b", "a/", ".",
                                      "./a",  "a\\b", "a\nb", "a/..",   "..",   "/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(assay_hub_safe_name(bad[i]));
    assert_true(assay_hub_safe_name("1_Pooling/config.json"));
    assert_true(assay_hub_safe_name("..a/b..c"));
    char longest[ASSAY_HUB_NAME + 1];
    memset(longest, 'a', sizeof longest);
    longest[ASSAY_HUB_NAME] = '\0';
    assert_false(assay_hub_safe_name(longest));
    longest[ASSAY_HUB_NAME - 1] = '\0';
    assert_true(assay_hub_safe_name(longest));
}

static void listings_keep_what_is_needed(void **state)
{
    (void)state;
    static const char shards[] =
        "{\"sha\": \"0123456789\", \"siblings\": [{\"rfilename\": \"config.json\"},"
        "{\"rfilename\": \"model-00001-of-00002.safetensors\"},"
        "{\"rfilename\": \"model-00002-of-00002.safetensors\"},"
        "{\"rfilename\": \"model.safetensors.index.json\"},"
        "{\"rfilename\": \"adapter.safetensors\"},"
        "{\"rfilename\": \"2_Dense/model.safetensors\", \"size\": 7},"
        "{\"rfilename\": \"2_Dense/deep/config.json\"},"
        "{\"rfilename\": \"onnx/model.onnx\"}]}";
    assay_hub_listing listing;
    assay_error error;
    assert_int_equal(assay_hub_listing_parse(shards, sizeof shards - 1, "r", "main", &listing,
                                             &error),
                     ASSAY_OK);
    assert_int_equal(listing.count, 5);
    assert_string_equal(listing.revision, "0123456789");
    assert_string_equal(listing.files[0].name, "2_Dense/model.safetensors");
    assert_int_equal(listing.files[0].size, 7);
    assert_string_equal(listing.files[4].name, "model.safetensors.index.json");
    assay_hub_listing_free(&listing);

    static const struct {
        const char *text, *where, *says;
        assay_status status;
    } wrong[] = {
        {"{}", "siblings", "list", ASSAY_E_FORMAT},
        {"[", "r", "not JSON", ASSAY_E_FORMAT},
        {"{\"siblings\": [{}]}", "siblings", "rfilename", ASSAY_E_FORMAT},
        {"{\"siblings\": []}", "r", "empty", ASSAY_E_UNSUPPORTED},
        {"{\"sha\": \"../x\", \"siblings\": []}", "sha", "commit", ASSAY_E_FORMAT},
        {"{\"sha\": 5, \"siblings\": []}", "sha", "string", ASSAY_E_FORMAT},
        {"{\"siblings\": [{\"rfilename\": \"a.safetensors\"}]}", "r", "config.json",
         ASSAY_E_UNSUPPORTED},
        {"{\"siblings\": [{\"rfilename\": \"config.json\"}, {\"rfilename\": \"config.json\"},"
         "{\"rfilename\": \"a.safetensors\"}]}",
         "r", "twice", ASSAY_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        error = (assay_error){0};
        assert_int_equal(assay_hub_listing_parse(wrong[i].text, strlen(wrong[i].text), "r",
                                                 "main", &listing, &error),
                         wrong[i].status);
        assert_non_null(strstr(error.where, wrong[i].where));
        assert_non_null(strstr(error.message, wrong[i].says));
    }
}

static void arguments_are_checked(void **state)
{
    (void)state;
    static const char *const names[] = {"",    "/",    "a/b/c", "../x", "a/..", ".a", "a b/c",
                                        "a/b?", "http://x/y", "a/",    "/a",   "-a"};
    char path[4096];
    assay_error error;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(assay_pull(names[i], NULL, NULL, NULL, path, sizeof path, &error),
                         ASSAY_E_ARGUMENT);
        assert_string_equal(error.where, "repository");
    }
    static const struct {
        assay_pull_options options;
        const char *where;
    } wrong[] = {
        {{.revision = "../../x"}, "revision"},   {{.revision = "a b"}, "revision"},
        {{.endpoint = "ftp://host"}, "endpoint"}, {{.endpoint = "huggingface.co"}, "endpoint"},
        {{.endpoint = "http://h/?a"}, "endpoint"}, {{.token = "bad token"}, "token"},
        {{.token = "bad\nX-Header: 1"}, "token"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(assay_pull("a/b", &wrong[i].options, NULL, NULL, path, sizeof path,
                                    &error),
                         ASSAY_E_ARGUMENT);
        assert_string_equal(error.where, wrong[i].where);
        assert_null(strstr(error.message, "bad"));
    }
    /* Nobody listens there: told at once, not after many attempts. */
    assay_pull_options nobody = {.endpoint = "http://127.0.0.1:1", .directory = "/tmp/nobody"};
    assert_int_equal(assay_pull("a/b", &nobody, NULL, NULL, path, sizeof path, &error),
                     ASSAY_E_NETWORK);
    assert_non_null(strstr(error.message, "hub 127.0.0.1"));
    char small[4];
    assert_int_equal(assay_pull("a/b", &nobody, NULL, NULL, small, sizeof small, &error),
                     ASSAY_E_LIMIT);
}

static void whole_model_is_pulled_once(void **state)
{
    (void)state;
    need_hub();
    forget_log();
    pull_ok("org/plain", "plain");
    const char *log = hub_log();
    assert_int_equal(count_of(log, "hub "), 7);
    assert_int_equal(count_of(log, "cdn "), 1);
    assert_int_equal(count_of(log, "token=none"), 8);
    check_sum("plain");
    assert_true(has("plain", "1_Pooling/config.json"));
    assert_true(has("plain", "vocab.txt"));
    assert_false(has("plain", "pytorch_model.bin"));
    assert_false(has("plain", "model.fp16.safetensors"));
    assert_false(has("plain", "model.safetensors.part"));
    assert_false(has("plain", "model.safetensors.part.etag"));

    char path[512];
    json_t *manifest;
    snprintf(path, sizeof path, "%s/plain/assay-pull.json", hub.folder);
    assert_int_equal(assay_json_read(path, 1 << 20, &manifest, NULL), ASSAY_OK);
    assert_string_equal(json_string_value(json_object_get(manifest, "repository")),
                        "org/plain");
    assert_int_equal(strlen(json_string_value(json_object_get(manifest, "revision"))), 40);
    assert_int_equal(json_array_size(json_object_get(manifest, "files")), 6);
    json_decref(manifest);
    snprintf(path, sizeof path, "%s/plain.part", hub.folder);
    assert_false(assay_is_folder(path));

    pull_ok("org/plain", "plain");
    log = hub_log();
    assert_int_equal(count_of(log, "\n"), 1);
    assert_non_null(strstr(log, "/api/models/org/plain/revision/main?blobs=true"));
    pull_ok("single", "single");
    assert_true(has("single", "config.json"));
}

static void damaged_files_are_fetched_again(void **state)
{
    (void)state;
    need_hub();
    pull_ok("org/plain", "damaged");
    char path[512];
    snprintf(path, sizeof path, "%s/damaged/model.safetensors", hub.folder);
    FILE *file = fopen(path, "r+");
    fputs("damage", file);
    fclose(file);
    snprintf(path, sizeof path, "%s/damaged/notes.txt", hub.folder);
    file = fopen(path, "w");
    fclose(file);
    forget_log();
    pull_ok("org/plain", "damaged");
    assert_int_equal(count_of(hub_log(), "\n"), 3);
    check_sum("damaged");
    assert_true(has("damaged", "notes.txt"));
    snprintf(path, sizeof path, "%s/damaged.old-%ld", hub.folder, (long)getpid());
    assert_false(assay_is_folder(path));
}

static void moved_branch_replaces_the_folder(void **state)
{
    (void)state;
    need_hub();
    pull_ok("org/moving", "moving");
    assert_true(has("moving", "modules.json"));
    (void)ask_hub("_move/org/moving");
    forget_log();
    pull_ok("org/moving", "moving");
    const char *log = hub_log();
    assert_int_equal(count_of(log, "\n"), 2);
    assert_non_null(strstr(log, "/config.json"));
    assert_false(has("moving", "modules.json"));
    check_sum("moving");
    char path[512];
    snprintf(path, sizeof path, "%s/moving.part", hub.folder);
    assert_false(assay_is_folder(path));
    snprintf(path, sizeof path, "%s/moving.old-%ld", hub.folder, (long)getpid());
    assert_false(assay_is_folder(path));
}

static void other_folders_are_left_alone(void **state)
{
    (void)state;
    need_hub();
    char path[512];
    assay_error error;
    snprintf(path, sizeof path, "%s/mine", hub.folder);
    assert_int_equal(mkdir(path, 0777), 0);
    pull_ok("org/plain", "mine"); /* empty: taken */
    snprintf(path, sizeof path, "%s/mine/assay-pull.json", hub.folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pull_with("org/plain", "mine", NULL, NULL, NULL, NULL, &error),
                     ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "not made by assay pull"));
    check_sum("mine");
    pull_ok("single", "taken");
    assert_int_equal(pull_with("org/plain", "taken", NULL, NULL, NULL, NULL, &error),
                     ASSAY_E_ARGUMENT);
    assert_non_null(strstr(error.message, "holds the model single"));
}

static void token_goes_to_the_hub_alone(void **state)
{
    (void)state;
    need_hub();
    assay_error error;
    forget_log();
    assert_int_equal(pull_with("org/gated", "gated", NULL, SECRET, NULL, NULL, &error),
                     ASSAY_OK);
    const char *log = hub_log();
    assert_int_equal(count_of(log, "token=right"), count_of(log, "hub "));
    assert_int_equal(count_of(log, "cdn "), 1);
    assert_int_equal(count_of(log, "token=none"), 1);
    check_sum("gated");
    setenv("HF_TOKEN", SECRET "\n", 1);
    pull_ok("org/gated", "gated2");
    unsetenv("HF_TOKEN");
    pull_fails("org/gated", ASSAY_E_NETWORK, "config.json", "set HF_TOKEN");
    pull_fails("org/private", ASSAY_E_NOT_FOUND, "org/private", "set HF_TOKEN");
    assert_int_equal(
        pull_with("org/gated", "gated3", NULL, SECRET "x", NULL, NULL, &error),
        ASSAY_E_NETWORK);
    assert_non_null(strstr(error.message, "does not do"));
}

static void revisions_are_pinned(void **state)
{
    (void)state;
    need_hub();
    assay_error error;
    forget_log();
    assert_int_equal(pull_with("org/plain", "pr", "refs/pr/1", NULL, NULL, NULL, &error),
                     ASSAY_OK);
    const char *log = hub_log();
    assert_non_null(strstr(log, "/revision/refs%2Fpr%2F1?"));
    assert_null(strstr(log, "/resolve/refs"));
    assert_int_equal(pull_with("org/plain", "pr2", "no-such", NULL, NULL, NULL, &error),
                     ASSAY_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "no such revision"));
}

static void lost_connections_are_resumed(void **state)
{
    (void)state;
    need_hub();
    forget_log();
    pull_ok("org/cut", "cut");
    const char *log = hub_log();
    assert_non_null(strstr(log, "range=bytes=100000- if-range=yes"));
    assert_non_null(strstr(log, "range=bytes=200000- if-range=yes"));
    check_sum("cut");
    pull_ok("org/ignores-range", "ignores");
    check_sum("ignores");
    forget_log();
    pull_ok("org/changed", "changed");
    check_sum("changed");
    assert_int_equal(count_of(hub_log(), "cdn "), 2); /* If-Range saves the third */
    pull_ok("org/bad-part", "bad-part");
    check_sum("bad-part");
    assert_int_equal(count_of(hub_log(), "cdn "), 3);
    pull_ok("org/wrong-range", "wrong-range");
    check_sum("wrong-range");
    assert_int_equal(count_of(hub_log(), "cdn "), 3);
}

static void busy_hubs_are_waited_for(void **state)
{
    (void)state;
    need_hub();
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    pull_ok("org/busy", "busy");
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec >= 2); /* twice Retry-After: 1 */
    check_sum("busy");
    pull_fails("org/come-back-later", ASSAY_E_NETWORK, "model.safetensors", "3600 seconds");
    forget_log();
    pull_fails("org/down", ASSAY_E_NETWORK, "org/down", "HTTP 503");
    assert_int_equal(count_of(hub_log(), "\n"), 6);
}

static void wrong_answers_are_told(void **state)
{
    (void)state;
    need_hub();
    pull_fails("org/unheard-of", ASSAY_E_NOT_FOUND, "org/unheard-of", "no such repository");
    pull_fails("org/missing-file", ASSAY_E_NOT_FOUND, "tokenizer.json", "404");
    pull_fails("org/no-safetensors", ASSAY_E_UNSUPPORTED, "org/no-safetensors", ".safetensors");
    pull_fails("org/hostile", ASSAY_E_FORMAT, "org/hostile", "../../evil");
    pull_fails("org/absolute", ASSAY_E_FORMAT, "org/absolute", "/tmp/evil");
    pull_fails("org/no-json", ASSAY_E_FORMAT, "org/no-json", "not JSON");
    pull_fails("org/wrong-hash", ASSAY_E_CORRUPT, "model.safetensors", "SHA-256");
    pull_fails("org/wrong-small-hash", ASSAY_E_CORRUPT, "config.json", "git's id");
    pull_fails("org/too-short", ASSAY_E_CORRUPT, "model.safetensors",
               "300000 bytes came, expected 300010");
    pull_fails("org/too-long", ASSAY_E_CORRUPT, "model.safetensors", "more than the expected");
}

static void hubs_without_checksums_do(void **state)
{
    (void)state;
    need_hub();
    pull_ok("org/no-hashes", "no-hashes");
    check_sum("no-hashes");
    forget_log();
    pull_ok("org/no-hashes", "no-hashes");
    assert_int_equal(count_of(hub_log(), "\n"), 1);
}

typedef struct stop_after {
    uint64_t bytes;
    uint64_t last_done, last_total;
} stop_after;

static bool stop_in_time(const assay_progress *progress, void *user)
{
    stop_after *stop = user;
    if (progress->phase != ASSAY_PHASE_DOWNLOAD || progress->item == NULL)
        fail_msg("a progress that is not a download's");
    if (strcmp(progress->item, "model.safetensors") != 0)
        return true;
    stop->last_done = progress->done;
    stop->last_total = progress->total;
    return progress->done < stop->bytes;
}

static void interrupted_pulls_are_resumed(void **state)
{
    (void)state;
    need_hub();
    assay_error error;
    stop_after stop = {.bytes = 50000};
    char path[512];
    assert_int_equal(pull_with("org/slow", "slow", NULL, NULL, stop_in_time, &stop, &error),
                     ASSAY_E_INTERRUPTED);
    assert_int_equal(stop.last_total, 300000);
    place_of("slow", path);
    assert_false(assay_is_folder(path));
    assert_true(has("slow.part", "model.safetensors.part"));
    forget_log();
    stop.bytes = UINT64_MAX;
    assert_int_equal(pull_with("org/slow", "slow", NULL, NULL, stop_in_time, &stop, &error),
                     ASSAY_OK);
    assert_int_equal(stop.last_done, 300000);
    const char *log = hub_log();
    assert_null(strstr(log, "/config.json"));
    assert_int_equal(count_of(log, "range=bytes="), 2); /* the hub's and the other's */
    check_sum("slow");
}

static bool die_in_time(const assay_progress *progress, void *user)
{
    (void)user;
    if (strcmp(progress->item, "model.safetensors") == 0 && progress->done > 50000)
        raise(SIGKILL);
    return true;
}

static void killed_pulls_are_resumed(void **state)
{
    (void)state;
    need_hub();
    char path[512];
    pid_t child = fork();
    if (child == 0) {
        assay_error error;
        (void)pull_with("org/slow", "killed", NULL, NULL, die_in_time, NULL, &error);
        _exit(0);
    }
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    place_of("killed", path);
    assert_false(assay_is_folder(path));
    forget_log();
    pull_ok("org/slow", "killed");
    const char *log = hub_log();
    assert_null(strstr(log, "/config.json"));
    assert_int_equal(count_of(log, "if-range=yes"), 2);
    check_sum("killed");
}

static void environment_gives_the_defaults(void **state)
{
    (void)state;
    need_hub();
    char home[256], path[512], expected[512];
    place_of("home", home);
    setenv("ASSAY_HOME", home, 1);
    setenv("HF_ENDPOINT", hub.endpoint, 1);
    assay_error error;
    if (assay_pull("org/plain", NULL, NULL, NULL, path, sizeof path, &error) != ASSAY_OK)
        fail_msg("%s: %s", error.where, error.message);
    snprintf(expected, sizeof expected, "%s/models/org/plain", home);
    assert_string_equal(path, expected);
    check_sum("home/models/org/plain");
    unsetenv("HF_ENDPOINT");
    unsetenv("ASSAY_HOME");
}

static void two_pulls_do_not_mix(void **state)
{
    (void)state;
    need_hub();
    char path[256];
    assay_error error;
    place_of("locked.part", path);
    assert_int_equal(mkdir(path, 0777), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(pull_with("org/plain", "locked", NULL, NULL, NULL, NULL, &error),
                     ASSAY_E_BUSY);
    close(fd);
    pull_ok("org/plain", "locked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_git_and_sha256sum),
        cmocka_unit_test(names_from_a_server_are_checked),
        cmocka_unit_test(listings_keep_what_is_needed),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(whole_model_is_pulled_once),
        cmocka_unit_test(damaged_files_are_fetched_again),
        cmocka_unit_test(moved_branch_replaces_the_folder),
        cmocka_unit_test(other_folders_are_left_alone),
        cmocka_unit_test(token_goes_to_the_hub_alone),
        cmocka_unit_test(revisions_are_pinned),
        cmocka_unit_test(lost_connections_are_resumed),
        cmocka_unit_test(busy_hubs_are_waited_for),
        cmocka_unit_test(wrong_answers_are_told),
        cmocka_unit_test(hubs_without_checksums_do),
        cmocka_unit_test(interrupted_pulls_are_resumed),
        cmocka_unit_test(killed_pulls_are_resumed),
        cmocka_unit_test(environment_gives_the_defaults),
        cmocka_unit_test(two_pulls_do_not_mix),
    };
    return cmocka_run_group_tests(tests, hub_start, hub_stop);
}
