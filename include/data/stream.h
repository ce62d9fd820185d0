/* Samples read in the background: requests are served by a thread of their own, one after another,
 * in the order they were made. Everything here is local. */
#ifndef IAU_DATA_STREAM_H
#define IAU_DATA_STREAM_H

#include <pthread.h>

#include "data/rows.h"

enum { STREAM_MESSAGE_CHARS = 512 };

struct stream_request {
    const int64_t *row; /* borrowed until it is served; [n], ascending */
    int64_t n;
    void *x;      /* borrowed; room for n samples */
    int is_known; /* see row_reader_read */
    int is_open;  /* asked for, and not yet waited for */
    /* Kept by the stream: */
    int is_served, rc;
    char message[STREAM_MESSAGE_CHARS];
    struct stream_request *next;
};

struct stream {
    int is_running;
    struct row_reader reader;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked, served;
    struct stream_request *first, *last; /* borrowed; not yet served */
    int is_closing;
};

/** Open a part and start the thread. The struct must not move. */
int stream_open(struct stream *s, const struct dataset *d, enum dataset_part part);
/** Ask for samples; the request must not move, nor end, before it is waited for. */
void stream_ask(struct stream *s, struct stream_request *q);
/** Wait until a request is served. @return what reading gave; the message is this thread's then */
int stream_wait(struct stream *s, struct stream_request *q);
/** Wait for a request whose outcome does not matter any more. */
void stream_drop(struct stream *s, struct stream_request *q);
/** End the thread; requests that it has not begun are dropped. Fine on a zeroed or closed stream.
 */
void stream_close(struct stream *s);

#endif
