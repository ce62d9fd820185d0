/* A share that is streamed: two windows of rows in memory, one in use, one being read. Private to
 * the layer. */
#ifndef IAU_SWEEP_SHARE_STREAM_H
#define IAU_SWEEP_SHARE_STREAM_H

#include "sweep/sweep.h"

struct share_stream {
    const int64_t *row;     /* borrowed; [n] rows of the file */
    int64_t n, window_rows; /* samples of the share, and of a window: whole units */
    size_t sample_bytes;
    char *x;            /* owned, [2][window_rows] samples */
    int64_t now, asked; /* windows: the one in use, and how many were asked for; of this sweep */
    int64_t n_known;    /* windows that an earlier sweep has read */
    struct stream_request request[2];
    struct stream stream;
};

/** Go to the first window. */
void share_stream_start(struct share_stream *s);
/** Take the next window: samples [begin, end) of the share are in memory until the next call; none
 * after the last one. @return IAU_OK, or what reading gave */
int share_stream_next(struct share_stream *s, struct range *window);
/** The stored values of a sample in the window. */
static inline const uint8_t *share_stream_sample(const struct share_stream *s, int64_t place)
{
    int64_t at = place - s->now * s->window_rows + s->now % 2 * s->window_rows;
    return (const uint8_t *)s->x + (size_t)at * s->sample_bytes;
}

#endif
