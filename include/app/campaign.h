/* A campaign: a grid of tasks over one config, each in a folder of its own, and the trained models
 * that several of them share. */
#ifndef IAU_APP_CAMPAIGN_H
#define IAU_APP_CAMPAIGN_H

#include "app/cli.h"
#include "app/grid.h"
#include "app/run_state.h"
#include "app/stage.h"

/* An origin that is trained, or a retrained twin. */
struct shared {
    enum stage_kind kind;
    int index;           /* of the origin */
    char *name, *folder; /* owned */
    int64_t first;       /* the first task that needs it */
    int64_t n_task;      /* how many do */
};

struct task {
    char *folder;   /* owned; also its output.dir */
    int n_stage;    /* origins and twins that it needs, but for given ones */
    int64_t *stage; /* owned; into shared[]; -1 where no other task needs it */
};

struct campaign {
    const struct cli *cli;     /* borrowed */
    const struct comm *comm;   /* borrowed */
    char *text;                /* owned; the config file */
    char *dir;                 /* owned; its output.dir: shared/ and tasks/ lie in it */
    char *origins, *retrained; /* owned; what output.origins and output.retrained are for tasks */
    double silence_s;
    struct grid grid;
    struct task *task; /* owned, [grid.n_task] */
    int64_t n_shared;
    struct shared *shared; /* owned; those that two tasks or more need, in the order of tasks */
};

/* What stands of a task or a shared stage. */
struct standing {
    enum run_outcome outcome;      /* RUN_UNKNOWN: missing */
    int is_of_requeued;            /* done by this job before it was requeued */
    int n_failed;                  /* methods that have failed in a task that is done */
    char note[REASON_CHARS + 256]; /* who works on it, why it failed, or which methods and why */
};

/** Collective. Read a config and expand its grid; every task's settings are checked. `c` is empty
 * on error. @return IAU_OK or an agreed error */
int campaign_open(struct campaign *c, const struct cli *cli, const struct comm *comm);
void campaign_close(struct campaign *c);
/** Local. The settings of a task as overrides of the config; `dir` NULL: its folder is output.dir.
 * Release with campaign_free_overrides. @return IAU_OK or IAU_ERR_MEM */
int campaign_overrides(const struct campaign *c, int64_t task, const char *dir,
                       struct text_list *out);
void campaign_free_overrides(struct text_list *list);
/** Local. A task's config. @return as config_parse */
int campaign_config(const struct campaign *c, int64_t task, struct config *cfg);
/** Local. Whose number is in a list such as "0,3-5" (NULL: all are), as flags [n]. The caller
 * frees.
 * @return IAU_OK, IAU_ERR_USAGE naming `option`, or IAU_ERR_MEM */
int campaign_choose(const char *option, const char *list, int64_t n, char **chosen);

/** Local. The flagged ones of n numbers as such a list. The caller frees; NULL when memory is
 * short. */
char *campaign_numbers(const char *flag, int64_t n);

/** Local, rank 0. How a task or a shared stage stands. @return IAU_OK or an error */
int campaign_look_at_task(const struct campaign *c, int64_t task, struct standing *s);
int campaign_look_at_stage(const struct campaign *c, int64_t stage, struct standing *s);

/** Local, rank 0. `iau campaign status` and `merge`. */
int campaign_status(const struct campaign *c);
int campaign_merge(const struct campaign *c);

/** Collective. `iau run`: of a config with a grid, every task of it and their merging. */
int command_run_config(const struct cli *cli, const struct comm *comm);
/** Collective. `iau campaign VERB`. */
int command_campaign(const struct cli *cli, const struct comm *comm);

#endif
