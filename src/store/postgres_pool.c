/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_pool.c: the connections of a process, shared by the stores of one URL.
 *
 * A store takes one for a statement or a transaction and gives it back. One that has
 * lain idle is asked whether it still answers before it is used, so that a server
 * that was restarted, or a firewall that forgot, costs a new connection and no error.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "store/postgres.h"

enum { MOST = 16 }; /* open at a time */

static const double TRUSTED = 5; /* seconds idle, not asked */

struct assay_pg_pool {
    char *url;
    char name[512];
    size_t stores;
    pthread_mutex_t mutex;
    pthread_cond_t given;
    size_t open;         /* idle, lent or being made */
    assay_pg_link *idle; /* the last used first */
    struct assay_pg_pool *next;
};

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static assay_pg_pool *all;

static void pool_free(assay_pg_pool *pool)
{
    while (pool->idle != NULL) {
        assay_pg_link *link = pool->idle;
        pool->idle = link->next;
        assay_pg_disconnect(link);
    }
    pthread_cond_destroy(&pool->given);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->url);
    free(pool);
}

static assay_pg_pool *pool_new(const char *url, const char name[512])
{
    assay_pg_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->given, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&pool->mutex, NULL);
    memcpy(pool->name, name, sizeof pool->name);
    pool->url = strdup(url);
    if (pool->url == NULL) {
        pool_free(pool);
        return NULL;
    }
    return pool;
}

assay_status assay_pg_pool_open(const char *url, assay_pg_pool **out, assay_error *error)
{
    char name[512];
    ASSAY_TRY(assay_pg_describe(url, name, error));
    pthread_mutex_lock(&all_mutex);
    assay_pg_pool *pool = all;
    while (pool != NULL && strcmp(pool->url, url) != 0)
        pool = pool->next;
    if (pool == NULL && (pool = pool_new(url, name)) != NULL) {
        pool->next = all;
        all = pool;
    }
    if (pool != NULL)
        pool->stores++;
    pthread_mutex_unlock(&all_mutex);
    *out = pool;
    return pool != NULL ? ASSAY_OK : assay_fail_memory(error, sizeof *pool);
}

void assay_pg_pool_close(assay_pg_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&all_mutex);
    bool last = --pool->stores == 0;
    assay_pg_pool **place = &all;
    while (last && *place != pool)
        place = &(*place)->next;
    if (last)
        *place = pool->next;
    pthread_mutex_unlock(&all_mutex);
    if (last)
        pool_free(pool);
}

const char *assay_pg_pool_name(const assay_pg_pool *pool)
{
    return pool->name;
}

/* Takes an idle one, or leave to make one (*out is NULL); BUSY. */
static assay_status reserve(assay_pg_pool *pool, uint32_t milliseconds, assay_pg_link **out,
                            assay_error *error)
{
    struct timespec end;
    int code = 0;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += milliseconds / 1000;
    end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&pool->mutex);
    while (pool->idle == NULL && pool->open >= MOST && code == 0)
        code = pthread_cond_timedwait(&pool->given, &pool->mutex, &end);
    *out = pool->idle;
    if (*out != NULL)
        pool->idle = (*out)->next;
    bool may = *out != NULL || pool->open < MOST;
    if (may && *out == NULL)
        pool->open++;
    pthread_mutex_unlock(&pool->mutex);
    return may ? ASSAY_OK
               : assay_fail(error, ASSAY_E_BUSY, pool->name,
                            "all %d connections are in use; try again", MOST);
}

/* One connection less. */
static void leave(assay_pg_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->open--;
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->mutex);
}

assay_status assay_pg_pool_take(assay_pg_pool *pool, uint32_t milliseconds, assay_pg_link **out,
                                assay_error *error)
{
    assay_pg_link *link;
    for (;;) {
        ASSAY_TRY(reserve(pool, milliseconds, &link, error));
        if (link == NULL)
            break;
        if (assay_pg_alive(link, assay_seconds() - link->idle_since > TRUSTED)) {
            *out = link;
            return ASSAY_OK;
        }
        assay_pg_disconnect(link);
        leave(pool);
    }
    assay_status status = assay_pg_connect(pool->url, pool->name, out, error);
    if (status != ASSAY_OK)
        leave(pool);
    return status;
}

void assay_pg_pool_give(assay_pg_pool *pool, assay_pg_link *link)
{
    if (!assay_pg_alive(link, false)) {
        assay_pg_disconnect(link);
        leave(pool);
        return;
    }
    link->idle_since = assay_seconds();
    pthread_mutex_lock(&pool->mutex);
    link->next = pool->idle;
    pool->idle = link;
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->mutex);
}
