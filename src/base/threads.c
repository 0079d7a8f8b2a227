/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.c: see threads.h.
 *
 * Loops that wait for helpers stand in a list under one lock. A pool thread
 * joins the first loop that still has items and room for a worker, takes items
 * by an atomic counter until there are none, and leaves. The caller works too,
 * so a loop ends even when every pool thread is busy elsewhere. Callers count
 * among the threads at work: with several at a time, pool threads stay out, or
 * leave after the item at hand, so that no more run than there are cores.
 *
 * The items of a loop's steps are numbered through. Whoever takes one waits until
 * those of the steps before are done: they have been taken, by threads that wait
 * for earlier ones at most, so somebody always works and any number of threads may
 * join at any time. Waiting is spinning first, since steps are short.
 */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_THREADS = 256,
    SPINS = 4000, /* some 20 to 100 microseconds: what falling asleep and waking take */
};

typedef struct loop {
    struct loop *next;
    const size_t *counts;         /* items of each step */
    size_t count;                 /* of all steps */
    atomic_size_t taken, done;
    atomic_uint sleepers;         /* that wait for a step's end; raised under the lock */
    assay_steps_fn fn;
    void *context;
    uint32_t workers;             /* at most this many at one time */
    uint32_t joined;              /* pool threads in it; under the lock */
    bool busy[MAX_THREADS];       /* worker numbers in use; under the lock */
} loop;

static pthread_once_t pool_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER; /* a loop was put in */
static pthread_cond_t left = PTHREAD_COND_INITIALIZER; /* a thread left a loop,
                                                           or a step ended */
static loop *loops;
static atomic_uint at_work; /* threads inside a loop, callers counted */
static _Thread_local bool counted; /* this thread is one of them */

/* The cgroup's CPU quota in cores, rounded up; 0 when there is none. Reads
 * cgroup v2's cpu.max or v1's cpu.cfs_* of this process's own group, and the
 * mount's root, which is the same inside a container. */
static uint32_t quota_cores(void)
{
    long long quota = -1, period = 0;
    char path[600] = "", line[512];
    FILE *groups = fopen("/proc/self/cgroup", "re");
    while (groups != NULL && fgets(line, sizeof line, groups) != NULL) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", line + 3);
    }
    if (groups != NULL)
        fclose(groups);
    FILE *file = path[0] != '\0' ? fopen(path, "re") : NULL;
    if (file == NULL)
        file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file != NULL) {
        if (fscanf(file, "%lld %lld", &quota, &period) != 2)
            quota = -1; /* "max" */
        fclose(file);
    } else {
        file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
        if (file != NULL) {
            if (fscanf(file, "%lld", &quota) != 1)
                quota = -1;
            fclose(file);
        }
        file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
        if (file != NULL) {
            if (fscanf(file, "%lld", &period) != 1)
                period = 0;
            fclose(file);
        }
    }
    if (quota <= 0 || period <= 0)
        return 0;
    return (uint32_t)((quota + period - 1) / period);
}

static uint32_t cores;

static void count_cores(void)
{
    cpu_set_t set;
    int found = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    uint32_t quota = quota_cores();
    cores = found > 0 ? (uint32_t)found : 1;
    if (quota > 0 && quota < cores)
        cores = quota;
    if (cores > MAX_THREADS)
        cores = MAX_THREADS;
}

uint32_t assay_cores(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, count_cores);
    return cores;
}

static void pause_a_moment(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

/* Until so many items are done. */
static void wait_for(loop *l, size_t done)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&l->done) >= done)
            return;
        pause_a_moment();
    }
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&l->sleepers, 1);
    while (atomic_load(&l->done) < done)
        pthread_cond_wait(&left, &lock);
    atomic_fetch_sub(&l->sleepers, 1);
    pthread_mutex_unlock(&lock);
}

/* One of a step's items is; `end` are when all of them are. */
static void item_done(loop *l, size_t end)
{
    if (atomic_fetch_add(&l->done, 1) + 1 != end || atomic_load(&l->sleepers) == 0)
        return;
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&left);
    pthread_mutex_unlock(&lock);
}

/* A helper, unlike the caller, leaves when the cores are needed elsewhere. */
static void take_items(loop *l, uint32_t worker)
{
    size_t step = 0, first = 0; /* that step's first item */
    while (worker == 0 || atomic_load(&at_work) <= assay_cores()) {
        size_t item = atomic_fetch_add(&l->taken, 1);
        if (item >= l->count)
            return;
        while (item - first >= l->counts[step])
            first += l->counts[step++];
        wait_for(l, first);
        l->fn(l->context, step, item - first, worker);
        item_done(l, first + l->counts[step]);
    }
}

/* A loop that a pool thread can join; call with the lock held. */
static loop *joinable(void)
{
    if (atomic_load(&at_work) >= assay_cores())
        return NULL;
    for (loop *l = loops; l != NULL; l = l->next)
        if (l->joined + 1 < l->workers && atomic_load(&l->taken) < l->count)
            return l;
    return NULL;
}

static void *pool_thread(void *unused)
{
    (void)unused;
    counted = true; /* whenever it has work */
    pthread_mutex_lock(&lock);
    for (;;) {
        loop *l = joinable();
        if (l == NULL) {
            pthread_cond_wait(&work, &lock);
            continue;
        }
        uint32_t worker = 1;
        while (l->busy[worker])
            worker++;
        l->busy[worker] = true;
        l->joined++;
        atomic_fetch_add(&at_work, 1);
        pthread_mutex_unlock(&lock);
        take_items(l, worker);
        pthread_mutex_lock(&lock);
        l->busy[worker] = false;
        l->joined--;
        atomic_fetch_sub(&at_work, 1);
        pthread_cond_broadcast(&left);
    }
    return NULL;
}

/* Pool threads take no signals: those belong to the program's own threads. A
 * thread that cannot be made is a slower pool, not an error. */
static void start_pool(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (uint32_t i = 1; i < assay_cores(); i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, pool_thread, NULL) != 0)
            break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A caller begins. */
static void enter(void)
{
    atomic_fetch_add(&at_work, 1);
    counted = true;
}

/* A caller is done: a core is free for a helper of another loop. */
static void leave(void)
{
    pthread_mutex_lock(&lock);
    atomic_fetch_sub(&at_work, 1);
    counted = false;
    if (loops != NULL)
        pthread_cond_signal(&work);
    pthread_mutex_unlock(&lock);
}

/* Who does so inside a loop is at work already: counted twice, it would drive helpers
 * out of that loop. */
static void run_alone(const size_t *counts, size_t steps, assay_steps_fn fn, void *context)
{
    bool inside = counted;
    if (!inside)
        enter();
    for (size_t step = 0; step < steps; step++)
        for (size_t i = 0; i < counts[step]; i++)
            fn(context, step, i, 0);
    if (!inside)
        leave();
}

void assay_loop_steps(const size_t *counts, size_t steps, uint32_t workers, assay_steps_fn fn,
                      void *context)
{
    size_t count = 0, widest = 0;
    for (size_t step = 0; step < steps; step++) {
        count += counts[step];
        widest = counts[step] > widest ? counts[step] : widest;
    }
    if (workers == 0 || workers > assay_cores())
        workers = assay_cores();
    if (workers == 1 || widest < 2) {
        run_alone(counts, steps, fn, context);
        return;
    }
    pthread_once(&pool_once, start_pool);
    loop l = {.counts = counts, .count = count, .fn = fn, .context = context,
              .workers = workers};
    pthread_mutex_lock(&lock);
    loop **end = &loops;
    while (*end != NULL)
        end = &(*end)->next;
    *end = &l;
    enter();
    pthread_cond_broadcast(&work);
    pthread_mutex_unlock(&lock);

    take_items(&l, 0);

    pthread_mutex_lock(&lock);
    for (loop **at = &loops; *at != NULL; at = &(*at)->next) {
        if (*at == &l) {
            *at = l.next;
            break;
        }
    }
    while (l.joined > 0)
        pthread_cond_wait(&left, &lock);
    pthread_mutex_unlock(&lock);
    leave();
}

typedef struct plain {
    assay_loop_fn fn;
    void *context;
} plain;

static void run_plain(void *context, size_t step, size_t item, uint32_t worker)
{
    (void)step;
    const plain *p = context;
    p->fn(p->context, item, worker);
}

void assay_loop(size_t count, uint32_t workers, assay_loop_fn fn, void *context)
{
    plain p = {fn, context};
    assay_loop_steps(&count, 1, workers, run_plain, &p);
}
