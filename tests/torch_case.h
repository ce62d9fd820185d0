/* The case of a fixture that PyTorch made: samples, model and parameters from fixtures/torch.h5,
 * and comparison with the quantities in this or another file. Everything here is local. */
#ifndef IAU_TESTS_TORCH_CASE_H
#define IAU_TESTS_TORCH_CASE_H

#include "io/record.h"
#include "nn/model.h"
#include "sweep/sweep.h"

struct torch_case {
    const char *name;       /* borrowed; "lenet5_3", "lenet5_1" or "mlp" */
    struct record inputs;   /* torch.h5 */
    struct dataset dataset; /* in memory; borrows from the file */
    struct rows rows;       /* borrowed */
    struct model model;
    float *w; /* owned, [n_param] */
};

/** Open a case, or abort. The struct must not move. */
void torch_case_open(struct torch_case *c, const char *name);
void torch_case_close(struct torch_case *c);
/** Read a file below tests/fixtures/, or abort. */
void torch_read(struct record *r, const char *file);
/** The array /CASE/ITEM of a file, or abort. */
__attribute__((format(printf, 3, 4))) const struct record_array *
torch_find(const struct torch_case *c, const struct record *r, const char *fmt, ...);
/** A number that is an attribute of /CASE/OBJECT, or abort; "": of the case itself. */
double torch_attribute(const struct torch_case *c, const struct record *r, const char *object,
                       const char *name);
/** Assert that an error is at most `bound`, else say of what. */
void torch_expect_error(const struct torch_case *c, const char *what, const char *tensor,
                        double error, double bound);
/** Assert that x [n_param] is what the file holds of a quantity: tensor by tensor in norm, over the
 * elements stored, and the norm of all. */
void torch_expect(const struct torch_case *c, const struct record *r, const char *quantity,
                  const float *x, double bound);
/** Assert the same of how far parameters w [n_param] have moved from the case's, over the stored
 * elements with |q| > least (q NULL: all). */
void torch_expect_moves(const struct torch_case *c, const struct record *r, const char *quantity,
                        const float *w, const float *q, double least, double bound);

#endif
