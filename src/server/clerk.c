/* SPDX-License-Identifier: Apache-2.0 */
/* clerk.c: see clerk.h. */
#include "server/clerk.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "server/http.h"

typedef struct errand {
    assay_call *call;
    assay_clerk_work work;
    bool asked; /* the call waits for it */
} errand;

struct assay_clerk {
    pthread_mutex_t lock;
    pthread_cond_t some; /* came, or closing */
    pthread_t thread;
    bool closing, ended;
    size_t first, count, most;
    errand errands[];    /* [most], a ring */
};

static void *run(void *context)
{
    assay_clerk *c = context;
    pthread_mutex_lock(&c->lock);
    while (!c->closing || c->count > 0) {
        if (c->count == 0) {
            pthread_cond_wait(&c->some, &c->lock);
            continue;
        }
        errand one = c->errands[c->first];
        c->first = (c->first + 1) % c->most;
        c->count--;
        pthread_mutex_unlock(&c->lock);
        one.work(one.call);
        if (one.asked)
            assay_http_resume(one.call);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

assay_clerk *assay_clerk_open(size_t most)
{
    sigset_t all, before;
    assay_clerk *c = calloc(1, sizeof *c + most * sizeof *c->errands);
    if (c == NULL)
        return NULL;
    c->most = most;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->some, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&c->thread, NULL, run, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        return c;
    free(c);
    return NULL;
}

void assay_clerk_end(assay_clerk *c)
{
    if (c == NULL || c->ended)
        return;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    pthread_cond_signal(&c->some);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    c->ended = true;
}

void assay_clerk_close(assay_clerk *c)
{
    assay_clerk_end(c);
    free(c);
}

static bool put(assay_clerk *c, errand one)
{
    pthread_mutex_lock(&c->lock);
    bool room = !c->closing && c->count < c->most;
    if (room)
        c->errands[(c->first + c->count++) % c->most] = one;
    pthread_cond_signal(&c->some);
    pthread_mutex_unlock(&c->lock);
    return room;
}

bool assay_clerk_ask(assay_clerk *c, assay_call *call, assay_clerk_work work)
{
    assay_http_suspend(call); /* before: the answer may be there at once */
    if (put(c, (errand){call, work, true}))
        return true;
    assay_call_header(call, "Retry-After", "1");
    assay_call_fail(call, ASSAY_FAULT_OVERLOADED, NULL, "too much waits");
    assay_http_resume(call);
    return false;
}

bool assay_clerk_give(assay_clerk *c, assay_call *call, assay_clerk_work work)
{
    return put(c, (errand){call, work, false});
}
