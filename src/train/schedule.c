/* Learning rate by epoch. */
#include "train/schedule.h"

#include <math.h>

double schedule_rate(const struct schedule_opts *s, double lr, int64_t epoch, int64_t epochs)
{
    switch (s->name) {
    case SCHEDULE_STEP:
        return lr * pow(s->factor, (double)(epoch / s->every));
    case SCHEDULE_COSINE:
        return lr *
               (s->floor + (1 - s->floor) * 0.5 * (1 + cos(M_PI * (double)epoch / (double)epochs)));
    default:
        return lr;
    }
}
