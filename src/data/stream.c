/* A thread that reads samples, and the queue of what it is to read. */
#define _GNU_SOURCE /* pthread_sigmask */
#include "data/stream.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"

/* The next request, which stays first in the queue while it is served; NULL: it is time to end. */
static struct stream_request *next_request(struct stream *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->is_closing)
        pthread_cond_wait(&s->asked, &s->lock);
    struct stream_request *q = s->is_closing ? NULL : s->first;
    pthread_mutex_unlock(&s->lock);
    return q;
}

static void hand_over(struct stream *s, struct stream_request *q, int rc)
{
    pthread_mutex_lock(&s->lock);
    q->rc = rc;
    snprintf(q->message, sizeof q->message, "%s", error_message());
    error_clear();
    s->first = q->next;
    q->is_served = 1;
    pthread_cond_broadcast(&s->served);
    pthread_mutex_unlock(&s->lock);
}

static void *serve(void *stream)
{
    struct stream *s = stream;
    for (struct stream_request *q; (q = next_request(s));)
        hand_over(s, q, row_reader_read(&s->reader, q->row, q->n, q->x, q->is_known));
    return NULL;
}

int stream_open(struct stream *s, const struct dataset *d, enum dataset_part part)
{
    *s = (struct stream){0};
    int rc = row_reader_open(&s->reader, d, part);
    if (rc != IAU_OK)
        return rc;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->asked, NULL);
    pthread_cond_init(&s->served, NULL);
    sigset_t all, before; /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&s->thread, NULL, serve, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->is_running = !failed;
    if (failed) {
        stream_close(s);
        return FAIL(IAU_ERR_MEM, "no thread to read %s: %s", d->path, strerror(failed));
    }
    return IAU_OK;
}

void stream_ask(struct stream *s, struct stream_request *q)
{
    REQUIRE(!q->is_open);
    q->is_open = 1;
    q->is_served = 0;
    q->next = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->first)
        s->last->next = q;
    else
        s->first = q;
    s->last = q;
    pthread_cond_signal(&s->asked);
    pthread_mutex_unlock(&s->lock);
}

void stream_drop(struct stream *s, struct stream_request *q)
{
    REQUIRE(q->is_open);
    pthread_mutex_lock(&s->lock);
    while (!q->is_served)
        pthread_cond_wait(&s->served, &s->lock);
    pthread_mutex_unlock(&s->lock);
    q->is_open = 0;
}

int stream_wait(struct stream *s, struct stream_request *q)
{
    stream_drop(s, q);
    return q->rc == IAU_OK ? IAU_OK : FAIL(q->rc, "%s", q->message);
}

void stream_close(struct stream *s)
{
    if (s->is_running) {
        pthread_mutex_lock(&s->lock);
        s->is_closing = 1;
        pthread_cond_signal(&s->asked);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    if (s->reader.dataset) {
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->asked);
        pthread_cond_destroy(&s->served);
    }
    row_reader_close(&s->reader);
    *s = (struct stream){0};
}
