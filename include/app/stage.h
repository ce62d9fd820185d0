/* A stage makes one model file: an origin, its retrained twin, or a method's result. */
#ifndef IAU_APP_STAGE_H
#define IAU_APP_STAGE_H

#include "app/job.h"
#include "io/output.h"
#include "io/record.h"
#include "train/trainer.h"

enum stage_kind { STAGE_ORIGIN, STAGE_RETRAIN, STAGE_METHOD };

struct stage {
    enum stage_kind kind;
    int index;               /* of the origin, of the twin (config_twins), or of the method */
    int origin;              /* index of the origin it belongs to */
    int is_given;            /* an origin that is a model file of the user's, not trained here */
    struct train_opts train; /* what it, or its origin, is trained with */
    char *folder;            /* owned; of its files, as config_folder says */
    char *name;              /* owned */
    char *path, *restart_path, *failure_path, *origin_path; /* owned */
};

struct stage_list {
    int n;
    struct stage *stage; /* owned: origins, then twins, then methods */
};

/** Local. All stages of a config. @return IAU_OK or IAU_ERR_MEM */
int stage_list_init(struct stage_list *l, const struct job *job);
void stage_list_free(struct stage_list *l);
/** Local. Keep the first n stages. */
void stage_list_cut(struct stage_list *l, int n);
const char *stage_kind_name(enum stage_kind k);
/** Local. How many stages of a kind a config has. */
int stage_count(const struct config *cfg, enum stage_kind k);
/** Local. The settings that a kind of stage depends on. */
enum config_scope stage_scope(enum stage_kind k);
/** Local. A stage's name, which is also its file's; `index` as in struct stage. The caller frees;
 * NULL when memory is short. */
char *stage_name(const struct config *cfg, enum stage_kind kind, int index);
/** Local. The training set of a stage: D, or D_r where it retrains. */
const struct index_set *stage_training_set(const struct job *job, const struct stage *s);
/** Local. What a stage that makes an ensemble goes without, where it starts from an origin's; NULL
 * where it trains all of it. */
const struct index_set *stage_forgotten_set(const struct job *job, const struct stage *s);
/** Local. Whether a stage trains (origins, twins, the method `retrain`) rather than unlearns. */
int stage_trains(const struct job *job, const struct stage *s);
/** Local. Whether the history of its file has a row an epoch, not a step. */
int stage_counts_epochs(const struct job *job, const struct stage *s);
/** Collective. Is its output there, or a restart file? Settings that differ are IAU_ERR_EXISTS
 * naming them, unless --force, as output_find has it. @param settings  from stage_settings */
int stage_find(const struct job *job, const struct stage *s, const char *settings,
               enum output_state *state);
/** Collective. The settings that define the stage's bytes, as text; reads the origin's file for a
 * method, and where that is gone the method's own. The caller frees *settings. */
int stage_settings(const struct job *job, const struct stage *s, char **settings);
/** Local. Is a stage's file made with the settings of now? A given origin must agree in those of
 * the data, the model and ensembles, and must have learned this training set. @return IAU_OK, or
 * IAU_ERR_DATA with a message that names what differs and ends with `advice` */
int stage_check_file(const struct job *job, const struct stage *s, const struct record *r,
                     const char *settings, const char *advice);
/** Local. The same as far as the config tells: the digests of data, samples and parents, which
 * follow, are left to a run. @param settings  those stored with the model, NULL: none @return
 * IAU_OK or IAU_ERR_MEM */
int stage_fits(const struct config *cfg, enum stage_kind kind, int index, const char *settings,
               int *fits);
/** Collective. Whether the file of the origin that a method starts from is there; rank 0 looks. */
int stage_has_origin(const struct job *job, const struct stage *s);
/** Collective. What is there of a stage before the stages in the bit set `kinds` run. Of a method
 * whose origin they are yet to make, all settings but the origin's digest are compared. Errors are
 * those of stage_settings and stage_find. */
int stage_preview(const struct job *job, const struct stage *s, unsigned kinds,
                  enum output_state *state);
/** Collective. Before the stages in the bit set `kinds` run: is there anything in the way of one of
 * them, and can each write its file and train on its samples? @return an agreed code, and nothing
 * is changed */
int stage_check_all(const struct job *job, const struct stage_list *l, unsigned kinds);
/** Collective. Make the file unless it is there. A method whose numbers run off is no error: the
 * job counts it, its restart files go, and failure_write keeps why. */
int stage_run(struct job *job, const struct stage *s);

#endif
