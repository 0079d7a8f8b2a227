/* SPDX-License-Identifier: Apache-2.0 */
/* test_score_cache.c: logits kept and found again, bounded by size; several
 * processes at once; files that are damaged, locked, foreign, newer, only
 * readable, or on a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/score_cache.h"
#include "assert_ok.h"

#define LIMIT ASSAY_SCORE_CACHE_BYTES

static char home[64], file[96];

static int make_home(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/assay-scores-XXXXXX");
    if (mkdtemp(home) == NULL)
        return -1;
    snprintf(file, sizeof file, "%s/scores.sqlite", home);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    char command[192];
    snprintf(command, sizeof command, "chmod 755 %s; rm -rf %s", home, home);
    return system(command);
}

static void assert_fails(assay_status got, assay_status expected, const char *message)
{
    if (got != expected || error.code != expected || strstr(error.message, message) == NULL ||
        strstr(error.where, "scores.sqlite") == NULL)
        fail_msg("expected %s with '%s', got %s: %s: %s", assay_status_name(expected), message,
                 assay_status_name(got), error.where, error.message);
}

static assay_score_cache *open_cache(uint64_t limit)
{
    assay_score_cache *cache;
    assert_ok(assay_score_cache_open(home, limit, &cache, &error));
    return cache;
}

static void sql(const char *text)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}

/* Question or passage number i. */
static assay_digest digest(uint32_t i)
{
    return assay_hash128(&i, sizeof i);
}

/* The logit that the tests give this pair. */
static float logit_of(uint32_t question, uint32_t passage)
{
    return (float)question - (float)passage / 3;
}

enum { MOST = 5000 };

static assay_status put(assay_score_cache *cache, uint32_t question, uint32_t first, size_t count)
{
    static assay_digest passages[MOST];
    static float logits[MOST];
    assay_digest key = digest(question);
    for (size_t i = 0; i < count; i++) {
        passages[i] = digest(first + (uint32_t)i);
        logits[i] = logit_of(question, first + (uint32_t)i);
    }
    return assay_score_cache_put(cache, &key, passages, logits, count, &error);
}

/* How many of these are known; -1 when one is wrong, -2 when it failed. */
static int known_of(assay_score_cache *cache, uint32_t question, uint32_t first, size_t count)
{
    static assay_digest passages[MOST];
    static float logits[MOST];
    static bool known[MOST];
    assay_digest key = digest(question);
    int found = 0;
    for (size_t i = 0; i < count; i++)
        passages[i] = digest(first + (uint32_t)i);
    if (assay_score_cache_get(cache, &key, passages, count, logits, known, &error) != ASSAY_OK)
        return -2;
    for (size_t i = 0; i < count; i++) {
        found += known[i];
        if (known[i] && logits[i] != logit_of(question, first + (uint32_t)i))
            return -1;
    }
    return found;
}

/* ---- What it is for ----------------------------------------------------------------- */

static void logits_are_found_again(void **state)
{
    (void)state;
    assay_score_cache *cache = open_cache(LIMIT);
    assert_int_equal(known_of(cache, 1, 0, 30), 0);
    assert_ok(put(cache, 1, 0, 30));
    assert_int_equal(known_of(cache, 1, 0, 30), 30);
    assert_int_equal(known_of(cache, 1, 20, 30), 10);
    assert_int_equal(known_of(cache, 2, 0, 30), 0);
    assert_ok(put(cache, 1, 25, 10)); /* some of them are there */
    assert_ok(put(cache, 2, 0, 1));
    assay_score_cache_close(cache);
    cache = open_cache(LIMIT);
    assert_int_equal(known_of(cache, 1, 0, 50), 35);
    assert_int_equal(known_of(cache, 2, 0, 50), 1);
    assert_int_equal(known_of(cache, 1, 0, 0), 0);
    assert_ok(put(cache, 3, 0, 0));
    assay_score_cache_close(cache);
    assay_score_cache_close(NULL);
    assert_ok(assay_score_cache_check(home, &error));
}

/* Every bit of a logit, and a passage that comes twice. */
static void bits_come_back(void **state)
{
    (void)state;
    const float logits[] = {-0.0f, 1e-42f, -3.4e38f, 0.1f, 0.1f};
    const assay_digest question = digest(1), passages[] = {digest(1), digest(2), digest(3),
                                                           digest(4), digest(4)};
    float found[5];
    bool known[5];
    assay_score_cache *cache = open_cache(LIMIT);
    assert_ok(assay_score_cache_put(cache, &question, passages, logits, 5, &error));
    assert_ok(assay_score_cache_get(cache, &question, passages, 5, found, known, &error));
    for (size_t i = 0; i < 5; i++)
        assert_true(known[i]);
    assert_memory_equal(found, logits, sizeof logits);
    assay_score_cache_close(cache);
}

static void one_question_has_so_many(void **state)
{
    (void)state;
    assay_score_cache *cache = open_cache(LIMIT);
    assert_ok(put(cache, 1, 0, 4000));
    assert_ok(put(cache, 1, 4000, 90));
    assert_int_equal(known_of(cache, 1, 0, MOST), 4090);
    assert_ok(put(cache, 1, 4090, 10)); /* no room beside these: the new ones stay */
    assert_int_equal(known_of(cache, 1, 0, MOST), 10);
    assert_ok(put(cache, 1, 0, MOST));
    assert_int_equal(known_of(cache, 1, 0, MOST), 4096);
    assay_score_cache_close(cache);
    assert_ok(assay_score_cache_check(home, &error));
}

static void size_is_bounded_and_the_oldest_go(void **state)
{
    (void)state;
    enum { QUESTIONS = 1000, BYTES = 200 * 1024 };
    assay_score_cache *cache = open_cache(BYTES);
    assert_ok(put(cache, 0, 0, 30));
    sql("UPDATE questions SET used = used + 1000000"); /* used last, whatever comes */
    for (uint32_t q = 1; q < QUESTIONS; q++)
        assert_ok(put(cache, q, 0, 30));
    struct stat status;
    assert_int_equal(stat(file, &status), 0);
    assert_true(status.st_size > BYTES / 2 && status.st_size < BYTES + 64 * 1024);
    assert_int_equal(known_of(cache, 0, 0, 30), 30);
    assert_int_equal(known_of(cache, 1, 0, 30), 0);
    assert_int_equal(known_of(cache, QUESTIONS - 1, 0, 30), 30);
    assay_score_cache_close(cache);
    cache = open_cache(100); /* less than an empty one takes */
    assert_ok(put(cache, 1, 0, 30));
    assert_int_equal(known_of(cache, 1, 0, 30), 0);
    assay_score_cache_close(cache);
    assert_ok(assay_score_cache_check(home, &error));
}

static int64_t number(const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *select;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &select, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(select), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(select, 0);
    sqlite3_finalize(select);
    sqlite3_close(db);
    return value;
}

/* A question asked again is written down, to the hour. */
static void use_is_noted(void **state)
{
    (void)state;
    assay_score_cache *cache = open_cache(LIMIT);
    assert_ok(put(cache, 1, 0, 3));
    sql("UPDATE questions SET used = used - 3000");
    int64_t then = number("SELECT used FROM questions");
    assert_int_equal(known_of(cache, 1, 0, 3), 3);
    assert_ok(put(cache, 1, 0, 0));
    assert_int_equal(number("SELECT used FROM questions"), then);
    sql("UPDATE questions SET used = used - 700");
    assert_int_equal(known_of(cache, 1, 0, 3), 3);
    assert_ok(put(cache, 1, 0, 0));
    assert_true(number("SELECT used FROM questions") >= then + 3000);
    assert_int_equal(known_of(cache, 1, 0, 3), 3);
    assay_score_cache_close(cache);
}

/* ---- Damage -------------------------------------------------------------------------- */

static void a_damaged_row_is_none(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "UPDATE questions SET entries = substr(entries, 1, 40)",
        "UPDATE questions SET entries = x''",
        "UPDATE questions SET entries = CAST(substr(entries, 1, 59) || x'99' AS BLOB)",
        "UPDATE questions SET sum = sum + 1",
        "UPDATE questions SET entries = zeroblob(20 * 5000)",
    };
    assay_score_cache *cache = open_cache(LIMIT);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        assert_ok(put(cache, 1, 0, 3));
        assert_int_equal(known_of(cache, 1, 0, 3), 3);
        assert_ok(assay_score_cache_check(home, &error));
        sql(damages[i]);
        assert_int_equal(known_of(cache, 1, 0, 3), 0);
        assert_fails(assay_score_cache_check(home, &error), ASSAY_E_CORRUPT, "row");
    }
    /* Another question's row is no answer. */
    assert_ok(put(cache, 1, 0, 3));
    assay_digest other = digest(2);
    char hex[33], text[128];
    assay_digest_hex(&other, hex);
    snprintf(text, sizeof text, "UPDATE questions SET digest = x'%s'", hex);
    sql(text);
    assert_int_equal(known_of(cache, 2, 0, 3), 0);
    assay_score_cache_close(cache);
}

static void write_bytes(long offset, const char *bytes, size_t length)
{
    FILE *stream = fopen(file, offset > 0 ? "r+b" : "wb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, length, stream), length);
    assert_int_equal(fclose(stream), 0);
}

static void a_damaged_file_is_begun_anew(void **state)
{
    (void)state;
    static char noise[8192];
    memset(noise, 'n', sizeof noise);
    write_bytes(0, noise, sizeof noise); /* found when it is opened */
    assert_fails(assay_score_cache_check(home, &error), ASSAY_E_CORRUPT, "not a database");
    assay_score_cache *cache = open_cache(LIMIT);
    assert_int_equal(known_of(cache, 1, 0, 3), 0);
    assert_ok(put(cache, 1, 0, 3));
    for (uint32_t q = 2; q < 100; q++)
        assert_ok(put(cache, q, 0, 30));
    assay_score_cache_close(cache);
    cache = open_cache(LIMIT);
    write_bytes(4096, noise, sizeof noise); /* found when it is read */
    assert_fails(assay_score_cache_check(home, &error), ASSAY_E_CORRUPT, "");
    assert_int_equal(known_of(cache, 1, 0, 3), -2);
    assert_fails(error.code, ASSAY_E_CORRUPT, "begun anew");
    assert_int_equal(known_of(cache, 1, 0, 3), 0);
    assert_ok(put(cache, 1, 0, 3));
    assert_int_equal(known_of(cache, 1, 0, 3), 3);
    assay_score_cache_close(cache);
    assert_ok(assay_score_cache_check(home, &error));
    /* Cut short. */
    assert_int_equal(truncate(file, 5000), 0);
    cache = open_cache(LIMIT);
    known_of(cache, 1, 0, 3);
    assert_int_equal(known_of(cache, 1, 0, 3), 0);
    assert_ok(put(cache, 1, 0, 3));
    assay_score_cache_close(cache);
}

static void newer_and_foreign_files_are_left_alone(void **state)
{
    (void)state;
    assay_score_cache *cache = open_cache(LIMIT);
    assay_score_cache_close(cache);
    sql("PRAGMA user_version = 9");
    assert_fails(assay_score_cache_open(home, LIMIT, &cache, &error), ASSAY_E_VERSION,
                 "newer assay (schema 9");
    unlink(file);
    sql("CREATE TABLE theirs(x)");
    assert_fails(assay_score_cache_open(home, LIMIT, &cache, &error), ASSAY_E_FORMAT,
                 "another program");
    assert_int_equal(number("SELECT count(*) FROM theirs"), 0);
    unlink(file);
    assert_int_equal(mkdir(file, 0755), 0);
    assert_int_not_equal(assay_score_cache_open(home, LIMIT, &cache, &error), ASSAY_OK);
    rmdir(file);
}

/* ---- Others at the same file ----------------------------------------------------------- */

static void a_locked_file_is_busy(void **state)
{
    (void)state;
    assay_score_cache *cache = open_cache(LIMIT);
    assert_ok(put(cache, 1, 0, 3));
    sqlite3 *other;
    assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(known_of(cache, 1, 0, 3), 3);
    assert_fails(put(cache, 1, 0, 5), ASSAY_E_BUSY, "locked");
    assert_int_equal(sqlite3_exec(other, "COMMIT; BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(known_of(cache, 1, 0, 3), -2);
    assert_fails(error.code, ASSAY_E_BUSY, "locked");
    assay_score_cache *second;
    assert_fails(assay_score_cache_open(home, LIMIT, &second, &error), ASSAY_E_BUSY, "locked");
    sqlite3_close(other);
    assert_int_equal(known_of(cache, 1, 0, 3), 3);
    assert_ok(put(cache, 1, 0, 5));
    assert_int_equal(known_of(cache, 1, 0, 5), 5);
    assay_score_cache_close(cache);
}

static pid_t start(int (*work)(int), int argument)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(work(argument));
    assert_true(child > 0);
    return child;
}

static int end_of(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* Asks and keeps; what it finds must be right. Others may hold the file for too
 * long now and then. */
static int work_hard(int seed)
{
    assay_score_cache *cache = NULL;
    for (int tries = 0; cache == NULL && tries < 100; tries++)
        if (assay_score_cache_open(home, 100 * 1024, &cache, &error) != ASSAY_OK &&
            error.code != ASSAY_E_BUSY)
            return 1;
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t question = (i * 7 + (uint32_t)seed) % 60;
        int known = known_of(cache, question, i % 10, 20);
        if (known == -1 || (known == -2 && error.code != ASSAY_E_BUSY))
            return 2;
        assay_status status = put(cache, question, i % 10, 20);
        if (status != ASSAY_OK && status != ASSAY_E_BUSY)
            return 3;
    }
    assay_score_cache_close(cache);
    return 0;
}

static void several_processes_share_it(void **state)
{
    (void)state;
    pid_t children[4];
    for (int i = 0; i < 4; i++)
        children[i] = start(work_hard, i);
    for (int i = 0; i < 4; i++)
        assert_int_equal(end_of(children[i]), 0);
    assert_ok(assay_score_cache_check(home, &error));
}

static int work_until_killed(int seed)
{
    while (work_hard(seed++) == 0)
        ;
    return 9;
}

static void a_killed_process_leaves_whole_rows(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        pid_t child = start(work_until_killed, i);
        usleep(20000 + 7000 * (useconds_t)i);
        kill(child, SIGKILL);
        assert_int_equal(end_of(child), 100 + SIGKILL);
        assay_score_cache *cache = open_cache(LIMIT);
        for (uint32_t q = 0; q < 60; q++)
            assert_true(known_of(cache, q, 0, 30) >= 0);
        assay_score_cache_close(cache);
        assert_ok(assay_score_cache_check(home, &error));
    }
}

/* ---- Where nothing can be written --------------------------------------------------------- */

static int read_only(int there)
{
    assay_score_cache *cache;
    if (getuid() == 0 && setuid(65534) != 0)
        return 1;
    assay_status status = assay_score_cache_open(home, LIMIT, &cache, &error);
    if (!there)
        return status == ASSAY_E_NOT_FOUND ? 0 : 2;
    if (status != ASSAY_OK)
        return 3;
    if (known_of(cache, 1, 0, 30) != 3 || put(cache, 1, 0, 30) != ASSAY_OK ||
        known_of(cache, 1, 0, 30) != 3)
        return 4;
    assay_score_cache_close(cache);
    return 0;
}

static void where_it_cannot_be_written_it_is_read(void **state)
{
    (void)state;
    assert_int_equal(chmod(home, 0555), 0);
    assert_int_equal(end_of(start(read_only, 0)), 0);
    assert_int_equal(chmod(home, 0755), 0);
    assay_score_cache *cache = open_cache(LIMIT);
    assert_ok(put(cache, 1, 0, 3));
    assay_score_cache_close(cache);
    assert_int_equal(chmod(home, 0555), 0);
    assert_int_equal(end_of(start(read_only, 1)), 0);
    /* A folder that can be written, a file that cannot. */
    assert_int_equal(chmod(home, 0777), 0);
    assert_int_equal(chmod(file, 0444), 0);
    assert_int_equal(end_of(start(read_only, 1)), 0);
}

/* SQLite lets its system calls be replaced: writes fail as on a full disk. */
static bool full;

static ssize_t limited_pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    if (full) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(descriptor, data, size, offset);
}

static void a_full_disk_only_stops_writing(void **state)
{
    (void)state;
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    static const char *const calls[] = {"pwrite", "pwrite64"};
    assay_score_cache *cache = open_cache(LIMIT);
    assert_ok(put(cache, 1, 0, 3));
    int replaced = 0;
    for (size_t i = 0; i < 2; i++)
        replaced += vfs->xSetSystemCall(vfs, calls[i], (sqlite3_syscall_ptr)limited_pwrite) ==
                    SQLITE_OK;
    assert_true(replaced > 0);
    full = true;
    assert_fails(put(cache, 1, 3, 3), ASSAY_E_FULL, "cannot write the score cache");
    assert_fails(put(cache, 2, 0, 500), ASSAY_E_FULL, "cannot write the score cache");
    assert_int_equal(known_of(cache, 1, 0, 9), 3);
    full = false;
    for (size_t i = 0; i < 2; i++)
        vfs->xSetSystemCall(vfs, calls[i], NULL);
    assert_ok(put(cache, 1, 3, 3));
    assert_int_equal(known_of(cache, 1, 0, 9), 6);
    assay_score_cache_close(cache);
    assert_ok(assay_score_cache_check(home, &error));
}

static void expect_answer(assay_score_cache *cache, const char *question, const char *answer)
{
    assay_buffer out;
    assay_digest key = assay_hash128(question, strlen(question));
    assay_buffer_init(&out, 0);
    assert_ok(assay_score_cache_get_answer(cache, &key, &out, &error));
    assert_int_equal(out.length, strlen(answer));
    assert_memory_equal(out.length > 0 ? out.data : "", answer, out.length);
    assay_buffer_free(&out);
}

static void put_answer(assay_score_cache *cache, const char *question, const char *answer)
{
    assay_digest key = assay_hash128(question, strlen(question));
    assert_ok(assay_score_cache_put_answer(cache, &key, answer, strlen(answer), &error));
}

/* Answers live among the logits: found again after opening, replaced, checked,
 * gone when damaged; one too long is not kept. */
static void answers_are_kept_too(void **state)
{
    (void)state;
    char text[200];
    assay_score_cache *cache = open_cache(LIMIT);
    for (size_t length = 1; length < 64; length++) {
        memset(text, 'x', length);
        text[length] = '\0';
        put_answer(cache, "q", text);
        expect_answer(cache, "q", text);
    }
    expect_answer(cache, "other", "");
    char *longer = malloc(100001);
    memset(longer, 'y', 100000);
    longer[100000] = '\0';
    put_answer(cache, "long", longer);
    expect_answer(cache, "long", "");
    free(longer);
    assay_score_cache_close(cache);
    cache = open_cache(LIMIT);
    expect_answer(cache, "q", text);
    assert_ok(assay_score_cache_check(home, &error));
    assay_score_cache_close(cache);
    sql("UPDATE questions SET sum = sum + 1");
    cache = open_cache(LIMIT);
    expect_answer(cache, "q", "");
    assay_score_cache_close(cache);
}

#define CACHE_TEST(name) cmocka_unit_test_setup_teardown(name, make_home, remove_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(answers_are_kept_too),
        CACHE_TEST(logits_are_found_again),
        CACHE_TEST(bits_come_back),
        CACHE_TEST(one_question_has_so_many),
        CACHE_TEST(size_is_bounded_and_the_oldest_go),
        CACHE_TEST(use_is_noted),
        CACHE_TEST(a_damaged_row_is_none),
        CACHE_TEST(a_damaged_file_is_begun_anew),
        CACHE_TEST(newer_and_foreign_files_are_left_alone),
        CACHE_TEST(a_locked_file_is_busy),
        CACHE_TEST(several_processes_share_it),
        CACHE_TEST(a_killed_process_leaves_whole_rows),
        CACHE_TEST(where_it_cannot_be_written_it_is_read),
        CACHE_TEST(a_full_disk_only_stops_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
