/* The table of results on the terminal. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/results.h"
#include "core/log.h"

enum {
    CELL_CHARS = 16,
    N_METRIC = 7,
    TRUE_COLUMN = 2,
    SECONDS_COLUMN = N_METRIC,
    RANK_COLUMN,
    N_COLUMN
};

/* Names of metrics, titles, widths, digits behind the point, and what to multiply with; behind them
 * come seconds and a rank. */
static const struct column {
    const char *metric, *gap, *title;
    int chars, digits;
    double factor;
} columns[N_METRIC] = {
    {"accuracy_retain", "gap_accuracy_retain", "retained", 9, 2, 100},
    {"accuracy_forget", "gap_accuracy_forget", "forgotten", 9, 2, 100},
    {"accuracy_forget_true", "gap_accuracy_forget_true", "by truth", 9, 2, 100},
    {"accuracy_valid", "gap_accuracy_valid", "validat.", 9, 2, 100},
    {"accuracy_test", "gap_accuracy_test", "test", 9, 2, 100},
    {"mia_confidence_auc", "gap_mia_confidence_auc", "AUC", 8, 4, 1},
    {"gap_average", "gap_average", "retrain", 8, 4, 1},
};

static int is_shown(const struct results *r, int column)
{
    return column != TRUE_COLUMN || r->job->cfg.forget.poison;
}

/* A number of the table; "-" for one that does not exist, such as an accuracy on no validation
 * samples. */
static const char *cell(char text[CELL_CHARS], int digits, double x)
{
    if (isnan(x))
        return "-";
    snprintf(text, CELL_CHARS, "%.*f", digits, x);
    return text;
}

static void print_row(const struct results *r, const char *name, int name_chars,
                      const double value[N_COLUMN])
{
    char line[160] = "", text[CELL_CHARS];
    int at = 0;
    for (int i = 0; i < N_METRIC; i++)
        if (is_shown(r, i))
            at += snprintf(line + at, sizeof line - (size_t)at, " %*s", columns[i].chars,
                           cell(text, columns[i].digits, value[i]));
    char seconds[CELL_CHARS];
    log_line("%-*s%s %9s %6s", name_chars, name, line, cell(seconds, 3, value[SECONDS_COLUMN]),
             cell(text, 2, value[RANK_COLUMN]));
}

static void print_head(const struct results *r, int name_chars)
{
    char line[160] = "";
    int at = 0;
    for (int i = 0; i < N_METRIC; i++)
        if (is_shown(r, i))
            at += snprintf(line + at, sizeof line - (size_t)at, " %*s", columns[i].chars,
                           columns[i].title);
    log_line("%-*s %s %8s %8s", name_chars, "",
             is_shown(r, TRUE_COLUMN) ? "----------------- accuracy in % -----------------"
                                      : "------------ accuracy in % ------------",
             "attack", "gap to");
    log_line("%-*s%s %9s %6s", name_chars, "model", line, "seconds", "rank");
}

static void print_entry(const struct results *r, const struct entry *entry, int name_chars)
{
    double value[N_COLUMN];
    int is_twin = results_twin(r, entry->stage) == entry; /* whose gap is to itself */
    for (int i = 0; i < N_METRIC; i++)
        value[i] = columns[i].factor * metrics_value(&entry->metrics, columns[i].metric);
    value[N_METRIC - 1] = is_twin ? NAN : value[N_METRIC - 1];
    value[SECONDS_COLUMN] = results_seconds(entry);
    value[RANK_COLUMN] = results_is_ranked(r, entry) ? entry->ranking.rank[RANK_AVERAGE_GAP] : NAN;
    print_row(r, entry->stage->name, name_chars, value);
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
    value[SECONDS_COLUMN] = value[RANK_COLUMN] = NAN;
    print_row(r, name, name_chars, value);
}

static int widest_name(const struct results *r)
{
    int chars = 12;
    for (int i = 0; i < r->stages->n; i++)
        if ((r->entry[i].stage || *r->entry[i].failure) &&
            (int)strlen(r->stages->stage[i].name) > chars)
            chars = (int)strlen(r->stages->stage[i].name);
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
    print_head(r, name_chars);
    for (int i = 0; i < r->stages->n; i++)
        if (r->entry[i].stage)
            print_entry(r, &r->entry[i], name_chars);
        else if (*r->entry[i].failure)
            log_line("%-*s  failed: %s", name_chars, r->stages->stage[i].name, r->entry[i].failure);
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
    if (r->job->cfg.forget.poison)
        log_line("By truth: forgotten samples by their true labels; training had wrong ones. "
                 "Higher is better.");
    if (n_floor)
        log_line("Noise: how far retrained models of different seeds lie apart, on average; a "
                 "smaller gap says nothing.");
}
