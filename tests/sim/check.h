/* SPDX-License-Identifier: MIT
 *
 * check.h - judges a history: was it one that a single state, changed by one command after the other, can make?
 *
 * The records name the order: revisions are the witness. A plain model (model.h) does the recorded commands in that
 * order; every answer, every result of a query at its revision, and every event must be the model's. What was
 * acknowledged must be recorded, once; what was refused must not be; what a caller began after it was told of
 * a revision must not be older. What nobody was told of may be recorded or not.
 */
#ifndef SOLE_TESTS_SIM_CHECK_H
#define SOLE_TESTS_SIM_CHECK_H

struct world;

/* Violations are told to the world. */
void check_history(struct world *world);

#endif
