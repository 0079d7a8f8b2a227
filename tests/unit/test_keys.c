/* SPDX-License-Identifier: Apache-2.0 */
/* test_keys.c: what an API key may do and how much: rates, quotas of a day, requests at a
 * time, rights, and what of it stays when the file is read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/keys.h"

enum { MIDNIGHT = 86400 * 20000 };
#define HASH_ALICE "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90" /* of "alice" */
#define HASH_BOB "81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd9ec58ce9"   /* of "bob" */

static char path[] = "/tmp/test_keys.XXXXXX";
static assay_error error;

static void put(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static assay_keys *keys_of(const char *text)
{
    assay_keys *keys;
    put(text);
    assert_int_equal(assay_keys_open(path, &keys, &error), ASSAY_OK);
    return keys;
}

static assay_grant grant;
static unsigned retry_after;

/* now and wall go together here. */
static assay_key_answer ask(assay_keys *keys, const char *key, int64_t at)
{
    grant = (assay_grant){0};
    return assay_keys_ask(keys, key, (double)at, at, &grant, &retry_after);
}

/* Asks, and is done at once. */
static assay_key_answer use(assay_keys *keys, const char *key, int64_t at, uint64_t tokens)
{
    assay_key_answer answer = ask(keys, key, at);
    assay_keys_done(keys, &grant, tokens);
    return answer;
}

static void test_rights(void **state)
{
    (void)state;
    assay_keys *keys = keys_of("# those who may ask\n\nalice " HASH_ALICE "\nbob " HASH_BOB
                               " 60 report at-once=2\n");
    assert_int_equal(ask(keys, "mallory", MIDNIGHT), ASSAY_KEY_UNKNOWN);
    assert_string_equal(grant.name, "");
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_KNOWN);
    assert_string_equal(grant.name, "alice");
    assert_false(grant.writes || grant.reports);
    assert_int_equal(ask(keys, "bob", MIDNIGHT), ASSAY_KEY_KNOWN);
    assert_true(grant.reports && !grant.writes);
    put("alice " HASH_ALICE " write\nbob " HASH_BOB " admin\n");
    assert_int_equal(assay_keys_reload(keys, &error), ASSAY_OK);
    ask(keys, "alice", MIDNIGHT);
    assert_true(grant.writes && !grant.reports);
    ask(keys, "bob", MIDNIGHT);
    assert_true(grant.writes && grant.reports);
    put("alice " HASH_ALICE "\n");
    assert_int_equal(assay_keys_reload(keys, &error), ASSAY_OK);
    assay_keys_done(keys, &grant, 1); /* bob's, who is gone */
    assert_int_equal(ask(keys, "bob", MIDNIGHT), ASSAY_KEY_UNKNOWN);
    assay_keys_close(keys);
}

static void test_rate(void **state)
{
    (void)state;
    assay_keys *keys = keys_of("alice " HASH_ALICE " 2\n");
    assert_int_equal(use(keys, "alice", MIDNIGHT, 0), ASSAY_KEY_KNOWN);
    assert_int_equal(use(keys, "alice", MIDNIGHT, 0), ASSAY_KEY_KNOWN);
    assert_int_equal(use(keys, "alice", MIDNIGHT + 1, 0), ASSAY_KEY_RATE);
    assert_in_range(retry_after, 28, 30);
    assert_int_equal(assay_keys_reload(keys, &error), ASSAY_OK); /* what was used stays so */
    assert_int_equal(use(keys, "alice", MIDNIGHT + 2, 0), ASSAY_KEY_RATE);
    assert_int_equal(use(keys, "alice", MIDNIGHT + 31, 0), ASSAY_KEY_KNOWN);
    put("alice " HASH_ALICE "\n");
    assert_int_equal(assay_keys_reload(keys, &error), ASSAY_OK);
    assert_int_equal(use(keys, "alice", MIDNIGHT + 31, 0), ASSAY_KEY_KNOWN);
    put("alice " HASH_ALICE " 1\n"); /* a limit where there was none: not used up */
    assert_int_equal(assay_keys_reload(keys, &error), ASSAY_OK);
    assert_int_equal(use(keys, "alice", MIDNIGHT + 31, 0), ASSAY_KEY_KNOWN);
    assert_int_equal(use(keys, "alice", MIDNIGHT + 31, 0), ASSAY_KEY_RATE);
    assay_keys_close(keys);
}

static void test_quotas(void **state)
{
    (void)state;
    assay_keys *keys = keys_of("alice " HASH_ALICE " requests-a-day=3\nbob " HASH_BOB
                               " tokens-a-day=1000\n");
    for (int i = 0; i < 3; i++)
        assert_int_equal(use(keys, "alice", MIDNIGHT + i, 0), ASSAY_KEY_KNOWN);
    assert_int_equal(use(keys, "alice", MIDNIGHT + 10, 0), ASSAY_KEY_REQUESTS);
    assert_int_equal(retry_after, 86400 - 10);
    assert_int_equal(assay_keys_reload(keys, &error), ASSAY_OK);
    assert_int_equal(use(keys, "alice", MIDNIGHT + 86399, 0), ASSAY_KEY_REQUESTS);
    assert_int_equal(use(keys, "alice", MIDNIGHT + 86400, 0), ASSAY_KEY_KNOWN);

    assert_int_equal(use(keys, "bob", MIDNIGHT, 999), ASSAY_KEY_KNOWN);
    assert_int_equal(use(keys, "bob", MIDNIGHT, 500), ASSAY_KEY_KNOWN); /* one is left */
    assert_int_equal(use(keys, "bob", MIDNIGHT, 1), ASSAY_KEY_TOKENS);
    assert_int_equal(use(keys, "bob", MIDNIGHT + 86400, 1), ASSAY_KEY_KNOWN);
    assay_keys_close(keys);
}

static void test_at_once(void **state)
{
    (void)state;
    assay_keys *keys = keys_of("alice " HASH_ALICE " 1000 at-once=2\n");
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_KNOWN);
    assay_grant first = grant;
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_KNOWN);
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_BUSY);
    assert_int_equal(retry_after, 1);
    assay_keys_done(keys, &grant, 0); /* of one that was refused: nothing to give back */
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_BUSY);
    assert_int_equal(assay_keys_reload(keys, &error), ASSAY_OK);
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_BUSY);
    assay_keys_done(keys, &first, 0);
    assay_keys_done(keys, &first, 0); /* once is enough */
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_KNOWN);
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_BUSY);
    assay_keys_close(keys);
}

static void test_bad_files(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "alice\n", "alice 12ab\n", "alice " HASH_ALICE " -1\n", "alice " HASH_ALICE " nan\n",
        "alice " HASH_ALICE " writes\n", "alice " HASH_ALICE " write 60\n",
        "alice " HASH_ALICE " at-once=0\n", "alice " HASH_ALICE " tokens-a-day=\n",
        "alice " HASH_ALICE " tokens-a-day=-5\n", "alice " HASH_ALICE " at-once=2x\n",
        "alice " HASH_ALICE " requests-a-day=99999999999999999999\n",
        "alice " HASH_ALICE "\nbob " HASH_ALICE " write\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assay_keys *keys;
        put(bad[i]);
        assert_int_equal(assay_keys_open(path, &keys, &error), ASSAY_E_FORMAT);
        assert_memory_equal(error.where, path, strlen(path));
    }
    assert_string_equal(error.message, "'alice' and 'bob' are the same key");
}

static void test_reading(void **state)
{
    (void)state;
    char line[1024];
    assay_keys *keys;
    snprintf(line, sizeof line, "#%510s", ""); /* the rest of a long line is no key */
    snprintf(line + 511, sizeof line - 511, "alice " HASH_ALICE "\n");
    put(line);
    assert_int_equal(assay_keys_open(path, &keys, &error), ASSAY_E_FORMAT);
    assert_non_null(strstr(error.message, "510 bytes"));
    snprintf(line, sizeof line, "%-510s\n", "alice " HASH_ALICE); /* as long as may be */
    put(line);
    assert_int_equal(assay_keys_open(path, &keys, &error), ASSAY_OK);
    assay_keys_close(keys);
    keys = keys_of("alice " HASH_ALICE); /* the end of the file ends a line, too */
    put("alice\n");
    assert_int_equal(assay_keys_reload(keys, &error), ASSAY_E_FORMAT);
    assert_int_equal(ask(keys, "alice", MIDNIGHT), ASSAY_KEY_KNOWN); /* as before */
    assay_keys_close(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights),  cmocka_unit_test(test_rate),
        cmocka_unit_test(test_quotas),  cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_bad_files), cmocka_unit_test(test_reading),
    };
    int descriptor = mkstemp(path);
    if (descriptor < 0)
        return 1;
    close(descriptor);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failures;
}
