/* The table of results on the terminal. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/results.h"
#include "core/log.h"

enum { CELL_CHARS = 16, N_METRIC = 6, COLUMN_SECONDS = N_METRIC, COLUMN_RANK, N_COLUMN };

/* Names of metrics, digits behind the point, and what to multiply with. */
static const struct column {
    const char *metric, *gap;
    int digits;
    double factor;
} columns[N_METRIC] = {
    {"accuracy_retain", "gap_accuracy_retain", 2, 100},
    {"accuracy_forget", "gap_accuracy_forget", 2, 100},
    {"accuracy_valid", "gap_accuracy_valid", 2, 100},
    {"accuracy_test", "gap_accuracy_test", 2, 100},
    {"mia_confidence_auc", "gap_mia_confidence_auc", 4, 1},
    {"gap_average", "gap_average", 4, 1},
};

/* A number of the table; "-" for one that does not exist, such as an accuracy on no validation
 * samples. */
static const char *cell(char text[CELL_CHARS], int digits, double x)
{
    if (isnan(x))
        return "-";
    snprintf(text, CELL_CHARS, "%.*f", digits, x);
    return text;
}

static void print_row(const char *name, int name_chars, const double value[N_COLUMN])
{
    char text[N_COLUMN][CELL_CHARS];
    const char *shown[N_COLUMN];
    for (int i = 0; i < N_COLUMN; i++)
        shown[i] = cell(text[i],
                        i < N_METRIC          ? columns[i].digits
                        : i == COLUMN_SECONDS ? 3
                                              : 2,
                        value[i]);
    log_line("%-*s %9s %9s %9s %9s %8s %8s %9s %6s", name_chars, name, shown[0], shown[1], shown[2],
             shown[3], shown[4], shown[5], shown[6], shown[7]);
}

static void print_entry(const struct results *r, const struct entry *entry, int name_chars)
{
    double value[N_COLUMN];
    int is_twin = results_twin(r, entry->stage) == entry; /* whose gap is to itself */
    for (int i = 0; i < N_METRIC; i++)
        value[i] = columns[i].factor * metrics_value(&entry->metrics, columns[i].metric);
    value[N_METRIC - 1] = is_twin ? NAN : value[N_METRIC - 1];
    value[COLUMN_SECONDS] = results_seconds(entry);
    value[COLUMN_RANK] = results_is_ranked(r, entry) ? entry->ranking.rank[RANK_AVERAGE_GAP] : NAN;
    print_row(entry->stage->name, name_chars, value);
}

static void print_floor(const struct results *r, int origin, int name_chars)
{
    double value[N_COLUMN];
    char name[64];
    const struct metrics *floor = &r->floor[origin];
    if (!floor->n)
        return;
    snprintf(name, sizeof name, "noise: %s", r->job->cfg.origin[origin].name);
    for (int i = 0; i < N_METRIC; i++)
        value[i] = columns[i].factor * metrics_value(floor, columns[i].gap);
    value[COLUMN_SECONDS] = value[COLUMN_RANK] = NAN;
    print_row(name, name_chars, value);
}

static int widest_name(const struct results *r)
{
    int chars = 12;
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage && (int)strlen(r->entry[i].stage->name) > chars)
            chars = (int)strlen(r->entry[i].stage->name);
    for (int i = 0; i < r->job->cfg.n_origin; i++) {
        int n = (int)strlen(r->job->cfg.origin[i].name) + 7;
        chars = r->floor[i].n && n > chars ? n : chars;
    }
    return chars;
}

void results_print(const struct results *r)
{
    int name_chars = widest_name(r), n_floor = 0;
    log_line("%s", "");
    log_line("%-*s %s %8s %8s", name_chars, "", "------------- accuracy in % -------------",
             "attack", "gap to");
    log_line("%-*s %9s %9s %9s %9s %8s %8s %9s %6s", name_chars, "model", "retained", "forgotten",
             "validat.", "test", "AUC", "retrain", "seconds", "rank");
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage)
            print_entry(r, &r->entry[i], name_chars);
    for (int i = 0; i < r->job->cfg.n_origin; i++) {
        print_floor(r, i, name_chars);
        n_floor += r->floor[i].n > 0;
    }
    log_line("%s", "");
    log_line("Good unlearning gets what the retrained model gets. Attack: telling forgotten from "
             "test samples by");
    log_line("confidence, 0.5 is guessing. Gap: mean difference to the retrained model in accuracy "
             "on retained,");
    log_line("forgotten and test samples and in attack AUC; 0 is best. Seconds: computing, without "
             "files.");
    log_line("Rank: mean of those among the methods by gap in attack AUC, by seconds and by test "
             "accuracy; 1 is best.");
    if (n_floor)
        log_line("Noise: how far retrained models of different seeds lie apart, on average; a "
                 "smaller gap says nothing.");
}
