/* SPDX-License-Identifier: Apache-2.0 */
/* test_base.c: arena, buffer, files, JSON fields, threads. */
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/library.h"
#include "base/lock.h"
#include "base/threads.h"

static void error_texts_are_cut_at_a_character(void **state)
{
    (void)state;
    char longer[2000];
    for (size_t i = 0; i + 1 < sizeof longer; i += 2)
        memcpy(longer + i, "\xc3\xa9", 2);
    longer[sizeof longer - 2] = '\0';
    assay_error error;
    assert_int_equal(assay_fail(&error, ASSAY_E_FORMAT, longer, "%s", longer), ASSAY_E_FORMAT);
    size_t length = strlen(error.message);
    assert_true(length < sizeof error.message);
    assert_string_equal(error.message + length - 3, "...");
    assert_int_equal((length - 3) % 2, 0);
    assert_int_equal((strlen(error.where) - 3) % 2, 0);
    assert_int_equal(assay_fail(NULL, ASSAY_E_IO, NULL, "nobody listens"), ASSAY_E_IO);
}

static void fixed_arena_ends_and_rewinds(void **state)
{
    (void)state;
    assay_arena *arena = assay_arena_new(256);
    assert_non_null(arena);
    void *first = assay_arena_take(arena, 100);
    assert_int_equal((uintptr_t)first % ASSAY_ALIGNMENT, 0);
    assert_non_null(assay_arena_take(arena, 128));
    assert_null(assay_arena_take(arena, 1));
    assay_arena_reset(arena);
    assert_ptr_equal(assay_arena_take(arena, 256), first);
    assert_null(assay_arena_take(arena, SIZE_MAX));
    assay_arena_free(arena);
}

static void growing_arena_keeps_what_it_gave(void **state)
{
    (void)state;
    assay_arena *arena = assay_arena_new(0);
    char *pieces[1000];
    for (int i = 0; i < 1000; i++) {
        char text[300];
        memset(text, 'a' + i % 26, sizeof text);
        pieces[i] = assay_arena_copy(arena, text, sizeof text);
        assert_non_null(pieces[i]);
    }
    assert_non_null(assay_arena_take(arena, 1 << 20));
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(strlen(pieces[i]), 300);
        assert_int_equal(pieces[i][299], 'a' + i % 26);
    }
    assay_arena_free(arena);
}

static void buffer_stops_at_its_limit(void **state)
{
    (void)state;
    assay_buffer buffer;
    assay_error error;
    assay_buffer_init(&buffer, 10);
    assay_buffer_string(&buffer, "12345");
    assay_buffer_format(&buffer, "%d", 67890);
    assert_int_equal(assay_buffer_status(&buffer, "b", &error), ASSAY_OK);
    assert_string_equal(buffer.data, "1234567890");
    assay_buffer_byte(&buffer, 'x');
    assert_int_equal(assay_buffer_status(&buffer, "b", &error), ASSAY_E_LIMIT);
    assert_string_equal(buffer.data, "1234567890");
    assay_buffer_free(&buffer);
}

static void new_file_replaces_in_one_step(void **state)
{
    (void)state;
    char folder[] = "/tmp/assay-base-XXXXXX", path[100];
    assay_error error;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(assay_path_join(path, sizeof path, folder, "file", &error), ASSAY_OK);
    for (int round = 0; round < 2; round++) {
        assay_new_file file;
        assert_int_equal(assay_new_file_open(path, &file, &error), ASSAY_OK);
        fprintf(file.stream, "round %d", round);
        assert_int_equal(assay_is_file(path), round);
        assert_int_equal(assay_new_file_commit(&file, &error), ASSAY_OK);
    }
    assay_new_file file;
    assert_int_equal(assay_new_file_open(path, &file, &error), ASSAY_OK);
    assay_new_file_abort(&file);
    assay_buffer text;
    assay_buffer_init(&text, 7);
    assert_int_equal(assay_file_read(path, &text, &error), ASSAY_OK);
    assert_string_equal(text.data, "round 1");
    assay_buffer_free(&text);
    assay_buffer_init(&text, 6);
    assert_int_equal(assay_file_read(path, &text, &error), ASSAY_E_LIMIT);
    assert_string_equal(error.where, path);
    assay_buffer_free(&text);
    assert_int_equal(assay_file_read(folder, &text, &error), ASSAY_E_IO);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(assay_file_read(path, &text, &error), ASSAY_E_NOT_FOUND);
}

/* A lock is one's at a time, also within a process; what was renamed or removed by its
 * holder is not what the next one has. */
static void one_at_a_time_has_the_lock(void **state)
{
    (void)state;
    char folder[] = "/tmp/assay-base-XXXXXX", file[100], below[100], who[40];
    assay_error error;
    int first, second;
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/file", folder);
    snprintf(below, sizeof below, "%s/a/b", folder);
    snprintf(who, sizeof who, "process %ld", (long)getpid());
    assert_int_equal(assay_lock_file(file, &first, &error), ASSAY_OK);
    assert_int_equal(assay_lock_file(file, &second, &error), ASSAY_E_BUSY);
    assert_int_equal(second, -1);
    assert_string_equal(error.where, file);
    if (access("/proc/locks", R_OK) == 0)
        assert_non_null(strstr(error.message, who));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(assay_lock_file(file, &second, &error), ASSAY_OK);
    assay_lock_release(&first);
    assay_lock_release(&first);
    assert_int_equal(assay_lock_file(file, &first, &error), ASSAY_E_BUSY);
    assay_lock_release(&second);
    assert_int_equal(assay_lock_file(folder, &first, &error), ASSAY_E_IO);
    assert_int_equal(assay_lock_folder(file, &first, &error), ASSAY_E_IO);
    assert_int_equal(assay_lock_folder(below, &first, &error), ASSAY_OK);
    assert_int_equal(assay_lock_folder(below, &second, &error), ASSAY_E_BUSY);
    assay_lock_release(&first);
    assert_int_equal(assay_lock_folder(below, &second, &error), ASSAY_OK);
    assay_lock_release(&second);
    assay_folder_remove(folder);
}

static void json_fields_are_checked(void **state)
{
    (void)state;
    static const char text[] = "{\"n\": 5, \"x\": \"y\", \"none\": null}";
    json_t *object;
    assay_error error;
    uint64_t number = 1;
    const char *string = "before";
    assert_int_equal(assay_json_parse(text, strlen(text), "f", &object, &error), ASSAY_OK);
    assert_int_equal(assay_json_uint(object, "n", "f", 0, 5, &number, &error), ASSAY_OK);
    assert_int_equal(number, 5);
    assert_int_equal(assay_json_uint(object, "none", "f", 0, 5, &number, &error), ASSAY_OK);
    assert_int_equal(assay_json_uint(object, "n", "f", 0, 4, &number, &error), ASSAY_E_FORMAT);
    assert_string_equal(error.where, "f: n");
    assert_int_equal(assay_json_uint(object, "x", "f", 0, 4, &number, &error), ASSAY_E_FORMAT);
    assert_int_equal(assay_json_string(object, "x", "f", &string, &error), ASSAY_OK);
    assert_string_equal(string, "y");
    json_decref(object);
    assert_int_equal(assay_json_parse("{\n\"a\":1,}", 9, "f", &object, &error), ASSAY_E_FORMAT);
    assert_non_null(strstr(error.message, "line 2"));
}

typedef struct counts {
    atomic_uint seen[1000];
    atomic_uint in_worker[64];
    atomic_bool clash;
} counts;

static void count_item(void *context, size_t item, uint32_t worker)
{
    counts *c = context;
    if (atomic_fetch_add(&c->in_worker[worker], 1) != 0)
        atomic_store(&c->clash, true);
    atomic_fetch_add(&c->seen[item], 1);
    atomic_fetch_sub(&c->in_worker[worker], 1);
}

static void loop_takes_every_item_once(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        counts c = {0};
        assay_loop(1000, (uint32_t)(round % 4), count_item, &c);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(c.seen[i], 1);
        assert_false(c.clash);
    }
    assert_true(assay_cores() >= 1);
}

typedef struct stepped {
    atomic_uint seen[300][4];
    atomic_uint done; /* items */
    atomic_bool early;
} stepped;

static const size_t step_counts[] = {4, 1, 0, 3, 2};

static void count_step(void *context, size_t step, size_t item, uint32_t worker)
{
    (void)worker;
    stepped *c = context;
    unsigned before = 0;
    for (size_t i = 0; i < step; i++)
        before += (unsigned)step_counts[i % 5];
    if (atomic_load(&c->done) < before)
        atomic_store(&c->early, true);
    atomic_fetch_add(&c->seen[step][item], 1);
    for (volatile int i = 0; i < (int)(item * step) % 97 * 20; i++)
        ;
    atomic_fetch_add(&c->done, 1);
}

/* Every item once, none before the steps before its own are done. */
static void steps_are_done_in_order(void **state)
{
    (void)state;
    size_t items[300];
    for (size_t i = 0; i < 300; i++)
        items[i] = step_counts[i % 5];
    for (uint32_t round = 0; round < 40; round++) {
        stepped c = {0};
        assay_loop_steps(items, 300, round % 5, count_step, &c);
        assert_int_equal(c.done, 600);
        assert_false(c.early);
        for (size_t i = 0; i < 300; i++)
            for (size_t j = 0; j < 4; j++)
                assert_int_equal(c.seen[i][j], j < items[i]);
    }
    assay_loop_steps(items, 0, 0, count_step, NULL);
    assay_loop(0, 0, count_item, NULL);
}

/* All threads of a loop, each inside one of its own. */
typedef struct gathering {
    atomic_uint inside;
    atomic_bool alone; /* one waited in vain */
} gathering;

static void gather(void *context, size_t item, uint32_t worker)
{
    (void)item, (void)worker;
    gathering *g = context;
    unsigned round = (atomic_fetch_add(&g->inside, 1) / assay_cores() + 1) * assay_cores();
    double end = assay_seconds() + 10;
    while (atomic_load(&g->inside) < round && !atomic_load(&g->alone)) {
        if (assay_seconds() > end)
            atomic_store(&g->alone, true);
        sched_yield();
    }
}

static void gather_inside(void *context, size_t item, uint32_t worker)
{
    (void)item, (void)worker;
    assay_loop(1, 1, gather, context);
}

static void loops_inside_loops_drive_nobody_out(void **state)
{
    (void)state;
    gathering g = {0};
    assay_loop(50 * assay_cores(), 0, gather_inside, &g);
    assert_false(g.alone);
    assert_int_equal(g.inside, 50 * assay_cores());
}

static void digests_tell_pieces_apart(void **state)
{
    (void)state;
    assay_hasher *a = assay_hasher_new(), *b = assay_hasher_new();
    assay_hasher_add(a, "ab", 2);
    assay_hasher_add(a, "c", 1);
    assay_hasher_add(b, "a", 1);
    assay_hasher_add(b, "bc", 2);
    assay_digest da = assay_hasher_finish(a), db = assay_hasher_finish(b);
    assert_memory_not_equal(da.bytes, db.bytes, sizeof da.bytes);
}

/* What is there is found; what is missing is told by name. */
static void libraries_are_loaded_late(void **state)
{
    (void)state;
    struct {
        ASSAY_LATE_FIELD(cos)
    } late = {0};
    assay_error error;
    static const char *const there[] = {ASSAY_LATE_NAME(cos)};
    static const char *const missing[] = {"assay_no_such_function"};
    assert_int_equal(assay_library_load("libm.so.6", there, 1, &late, &error), ASSAY_OK);
    assert_true(late.cos(0.0) == 1.0);
    assert_int_equal(assay_library_load("libm.so.6", missing, 1, &late, &error),
                     ASSAY_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "assay_no_such_function"));
    assert_int_equal(assay_library_load("libnowhere.so.1", there, 1, &late, &error),
                     ASSAY_E_UNSUPPORTED);
    assert_string_equal(error.where, "libnowhere.so.1");
    assert_non_null(strstr(error.message, "cannot be loaded"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_texts_are_cut_at_a_character),
        cmocka_unit_test(fixed_arena_ends_and_rewinds),
        cmocka_unit_test(growing_arena_keeps_what_it_gave),
        cmocka_unit_test(buffer_stops_at_its_limit),
        cmocka_unit_test(new_file_replaces_in_one_step),
        cmocka_unit_test(one_at_a_time_has_the_lock),
        cmocka_unit_test(json_fields_are_checked),
        cmocka_unit_test(loop_takes_every_item_once),
        cmocka_unit_test(loops_inside_loops_drive_nobody_out),
        cmocka_unit_test(steps_are_done_in_order),
        cmocka_unit_test(digests_tell_pieces_apart),
        cmocka_unit_test(libraries_are_loaded_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
