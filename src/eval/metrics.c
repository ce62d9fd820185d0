/* Lists of figures: gaps to the retrained model, the noise floor, and their place in files. */
#include "eval/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"

const char metric_like_retrain[] = "closer to the retrained model";

int metrics_add(struct metrics *m, const char *name, double value, const char *direction,
                double ideal, const char *unit, enum metric_kind kind)
{
    if (isnan(value))
        return IAU_OK;
    if (m->n == m->room) {
        int room = m->room ? 2 * m->room : 64;
        struct metric *v = realloc(m->v, (size_t)room * sizeof *v);
        if (!v)
            return FAIL(IAU_ERR_MEM, "no memory for %d metrics", room);
        m->v = v;
        m->room = room;
    }
    struct metric *next = &m->v[m->n++];
    *next = (struct metric){"", value, direction, ideal, unit, kind};
    REQUIRE(snprintf(next->name, sizeof next->name, "%s", name) < METRIC_NAME_CHARS);
    return IAU_OK;
}

void metrics_drop_ideals(struct metrics *m, const char *prefix)
{
    for (int i = 0; i < m->n; i++)
        if (strncmp(m->v[i].name, prefix, strlen(prefix)) == 0) {
            m->v[i].direction = metric_like_retrain;
            m->v[i].ideal = NAN;
        }
}

void metrics_free(struct metrics *m)
{
    free(m->v);
    *m = (struct metrics){0};
}

double metrics_value(const struct metrics *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->v[i].name, name) == 0)
            return m->v[i].value;
    return NAN;
}

static int add_gap(struct metrics *m, const char *name, double value, const char *unit)
{
    char gap[METRIC_NAME_CHARS];
    REQUIRE(snprintf(gap, sizeof gap, "gap_%s", name) < METRIC_NAME_CHARS);
    return metrics_add(m, gap, value, "lower", 0, unit, METRIC_GAP);
}

/* Of the gaps that are there. */
static int add_average(struct metrics *m)
{
    double sum = metrics_value(m, "gap_accuracy_forget") + metrics_value(m, "gap_accuracy_retain") +
                 metrics_value(m, "gap_accuracy_test") + metrics_value(m, "gap_mia_confidence_auc");
    return add_gap(m, "average", sum / 4, "mean of four gaps");
}

int metrics_add_gaps(struct metrics *m, const struct metrics *retrained)
{
    int rc = IAU_OK, n = m->n;
    for (int i = 0; i < n; i++) {
        struct metric own = m->v[i]; /* the list may move */
        if (own.kind == METRIC_COMPARED)
            TRY(add_gap(m, own.name, fabs(own.value - metrics_value(retrained, own.name)),
                        own.unit));
    }
    TRY(add_average(m));
out:
    return rc;
}

/* Mean absolute difference of a metric over the pairs of models. */
static double mean_difference(const struct metrics *const *m, int n, const char *name)
{
    double sum = 0;
    for (int i = 1; i < n; i++)
        for (int k = 0; k < i; k++)
            sum += fabs(metrics_value(m[i], name) - metrics_value(m[k], name));
    return sum / (n * (n - 1) / 2);
}

static double mean_of_others(const struct metrics *const *m, int n, const char *name)
{
    double sum = 0;
    for (int i = 1; i < n; i++)
        sum += metrics_value(m[i], name);
    return sum / (n - 1);
}

int metrics_floor(struct metrics *floor, const struct metrics *const *retrained, int n)
{
    int rc = IAU_OK;
    *floor = (struct metrics){0};
    for (int i = 0; n > 1 && i < retrained[1]->n; i++) {
        const struct metric *one = &retrained[1]->v[i];
        if (one->kind == METRIC_COMPARED)
            TRY(add_gap(floor, one->name, mean_difference(retrained, n, one->name), one->unit));
        else if (one->kind == METRIC_RELATIVE)
            TRY(metrics_add(floor, one->name, mean_of_others(retrained, n, one->name),
                            one->direction, one->ideal, one->unit, METRIC_RELATIVE));
    }
    TRY(add_average(floor));
out:
    if (rc != IAU_OK)
        metrics_free(floor);
    return rc;
}

int metrics_to_record(const struct metrics *m, const struct metrics *floor, const char *model,
                      struct record *r)
{
    char path[256];
    int rc = IAU_OK;
    for (int i = 0; i < m->n; i++) {
        const struct metric *one = &m->v[i];
        double noise = metrics_value(floor, one->name);
        snprintf(path, sizeof path, "/evaluation/%s/%s", model, one->name);
        TRY(record_add_scalar(r, path, one->value));
        TRY(record_set_text(r, path, "direction", one->direction));
        if (isnan(one->ideal))
            TRY(record_set_text(r, path, "ideal", "the retrained model's value"));
        else
            TRY(record_set_f64(r, path, "ideal", one->ideal));
        TRY(record_set_text(r, path, "unit", one->unit));
        if (!isnan(noise))
            TRY(record_set_f64(r, path, "noise_floor", noise));
    }
out:
    return rc;
}
