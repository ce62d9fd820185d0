/* The models of a config on their way into results.h5 and the table on the terminal. Private to the
 * evaluation. */
#ifndef IAU_APP_RESULTS_H
#define IAU_APP_RESULTS_H

#include "app/audit.h"
#include "app/model_file.h"
#include "app/stage.h"
#include "eval/evaluate.h"
#include "eval/ranking.h"

/* One model. */
struct entry {
    const struct stage *stage;  /* borrowed; NULL where there is no model to speak of */
    char failure[REASON_CHARS]; /* why, of a method that has failed; "": the file is not there */
    struct model_file file;     /* of one that has failed, rank 0: a record with its settings */
    struct evaluation evaluation;
    struct findings findings; /* of the audit */
    struct metrics metrics;   /* rank 0; without, then with the gaps to the retrained twin */
    struct ranking ranking;   /* rank 0; among the methods */
};

struct results {
    struct job *job;
    const struct stage_list *stages;
    const struct audit *audit; /* borrowed; NULL: none */
    struct evidence evidence;  /* of it */
    struct entry *entry;       /* owned, [stages->n] */
    struct metrics *floor;     /* owned, [n_origin]; rank 0; of the origin's retrained twins */
};

/** Local. The retrained twin of a stage's origin that others are compared with, or NULL where it is
 * not there. */
struct entry *results_twin(const struct results *r, const struct stage *s);
/** Local. Whether a model is ranked: what methods make, and where settings ask for it retrained
 * models that they are compared with. */
int results_is_ranked(const struct results *r, const struct entry *entry);
/** Local. Seconds that making a model took, NAN where its file does not say. */
double results_seconds(const struct entry *entry);
/** Local, rank 0. Fill in the metrics of all entries, the floors and the ranking. */
int results_complete(struct results *r);
/** Local, rank 0. Write the file, as a whole. */
int results_write(const struct results *r, const char *path);
/** Local, rank 0. Print the table. */
void results_print(const struct results *r);
/** Local. Release everything; fine on results in the making. */
void results_free(struct results *r);

#endif
