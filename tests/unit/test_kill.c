/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kill.c: processes that write index files are killed at random moments, again and
 * again; a file is always whole, an old one or a new one. $ASSAY_KILL_ROUNDS says how
 * often (30 by default; tests/cli/kill.sh does it to the whole command).
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "index/hnsw.h"
#include "index/ivf.h"

#include "clustered.h" /* last: it has names of its own */

enum { SOME = 1500, LONGEST_MICROSECONDS = 60000 };

static char folder[] = "/tmp/assay-kill-XXXXXX";

static const char *in_folder(char file[128], const char *name)
{
    snprintf(file, 128, "%s/%s", folder, name);
    return file;
}

static void write_flat(uint64_t generation)
{
    char file[128];
    assay_flat_writer *writer;
    const assay_flat_stamp stamp = {1, generation, DIMENSIONS};
    if (assay_flat_create(in_folder(file, "1.flat"), &stamp, &writer, NULL) != ASSAY_OK)
        _exit(1);
    for (size_t i = 0; i < SOME; i++)
        assay_flat_append(writer, keys[i], vectors[i], NULL);
    if (assay_flat_commit(writer, NULL) != ASSAY_OK)
        _exit(1);
}

/* Writes all files over and over, with generations that grow; does not return. */
static void write_on(assay_hnsw *hnsw, const assay_ivf *ivf, uint64_t generation)
{
    char file[128];
    for (;; generation++) {
        if (assay_hnsw_save(hnsw, in_folder(file, "1.hnsw"), 1, generation, NULL) != ASSAY_OK ||
            assay_ivf_save(ivf, in_folder(file, "1.ivf"), 1, generation, NULL) != ASSAY_OK)
            _exit(1);
        write_flat(generation);
    }
}

static void kill_after(pid_t child, long microseconds)
{
    int status;
    struct timespec pause = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Files are whole; returns the generation of the newest. */
static uint64_t expect_whole(void)
{
    char file[128];
    assay_hnsw *hnsw;
    assay_ivf *ivf;
    assay_flat *flat;
    assay_hnsw_info graph;
    assay_ivf_info lists;
    assert_int_equal(assay_hnsw_open(in_folder(file, "1.hnsw"), &hnsw, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_verify(hnsw, &error), ASSAY_OK);
    assay_hnsw_describe(hnsw, &graph);
    assay_hnsw_free(hnsw);
    assert_int_equal(assay_ivf_open(in_folder(file, "1.ivf"), &ivf, &error), ASSAY_OK);
    assert_int_equal(assay_ivf_verify(ivf, &error), ASSAY_OK);
    assay_ivf_describe(ivf, &lists);
    assay_ivf_free(ivf);
    assert_int_equal(assay_flat_open(in_folder(file, "1.flat"), &flat, &error), ASSAY_OK);
    assert_int_equal(assay_flat_verify(flat, &error), ASSAY_OK);
    assert_int_equal(assay_flat_count(flat), SOME);
    uint64_t oldest = assay_flat_stamp_of(flat).generation;
    assay_flat_close(flat);
    assert_true(graph.generation - oldest <= 1 && lists.generation - oldest <= 1);
    return graph.generation;
}

static size_t count_files(void)
{
    DIR *listing = opendir(folder);
    size_t count = 0;
    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

/* What is left of the dead looks old enough to be swept. */
static void age_files(void)
{
    DIR *listing = opendir(folder);
    struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_non_null(listing);
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.')
            utimensat(dirfd(listing), entry->d_name, times, 0);
    closedir(listing);
}

static void files_are_whole_whenever_a_writer_dies(void **state)
{
    (void)state;
    char file[128];
    assay_hnsw *hnsw;
    assay_ivf *ivf;
    const char *given = getenv("ASSAY_KILL_ROUNDS");
    unsigned long rounds = given != NULL ? strtoul(given, NULL, 10) : 30;
    const assay_hnsw_options graph = {.dimensions = DIMENSIONS};
    const assay_ivf_options lists = {.dimensions = DIMENSIONS, .codes = ASSAY_CODE_B1};
    assert_non_null(mkdtemp(folder));
    assert_int_equal(assay_hnsw_new(&graph, SOME, &hnsw, &error), ASSAY_OK);
    assert_int_equal(assay_hnsw_insert(hnsw, keys, vectors[0], SOME, 0, NULL, NULL, &error),
                     ASSAY_OK);
    assert_int_equal(assay_ivf_build(&lists, keys, vectors[0], SOME, 0, NULL, NULL, &ivf, &error),
                     ASSAY_OK);
    assay_hnsw_save(hnsw, in_folder(file, "1.hnsw"), 1, 1, &error);
    assay_ivf_save(ivf, in_folder(file, "1.ivf"), 1, 1, &error);
    write_flat(1);
    uint64_t generation = 1, begun = generation;
    for (unsigned long round = 0; round < rounds; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            write_on(hnsw, ivf, generation + 1);
        kill_after(child, (long)(uniform() * LONGEST_MICROSECONDS));
        uint64_t now = expect_whole();
        assert_true(now >= generation);
        generation = now;
        write_flat(generation); /* all of one generation again */
        assay_hnsw_save(hnsw, in_folder(file, "1.hnsw"), 1, generation, &error);
        assay_ivf_save(ivf, in_folder(file, "1.ivf"), 1, generation, &error);
    }
    if (generation == begun)
        fail_msg("no writer lived long enough to write anything in %lu rounds", rounds);
    age_files();
    assay_hnsw_save(hnsw, in_folder(file, "1.hnsw"), 1, generation, &error);
    assay_ivf_save(ivf, in_folder(file, "1.ivf"), 1, generation, &error);
    write_flat(generation);
    assert_int_equal(count_files(), 3);
    unlink(in_folder(file, "1.hnsw"));
    unlink(in_folder(file, "1.ivf"));
    unlink(in_folder(file, "1.flat"));
    rmdir(folder);
    assay_hnsw_free(hnsw);
    assay_ivf_free(ivf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_whole_whenever_a_writer_dies),
    };
    return cmocka_run_group_tests(tests, make_vectors, remove_file);
}
