/* SPDX-License-Identifier: MIT
 *
 * actors.h - what sole-reader and sole-writer have in common: any number of
 * actors in one process, each asking in a loop with a pause between.
 *
 * An actor is one logical client, the goroutine of the program this is modelled
 * on: for i = 0, 1, 2 ... it asks, waits for the answer and pauses. All actors of
 * a process share one connection and one session; what they ask at the same
 * time travels together.
 */
#ifndef SOLE_CLIENTS_ACTORS_H
#define SOLE_CLIENTS_ACTORS_H

#include "clients/sole.h"

#include <stdint.h>

enum { ACTOR_ARGUMENTS_MAX = 2 };

struct actor_kind {
	const char *program; /* "sole-reader" */
	const char *about;   /* one sentence for --help */
	const char *example; /* commands for --help, each on its line */
	const char *total;   /* what its requests are called: "reads" */
	int flags;           /* of sole_submit */
	uint16_t operation;  /* SOLE_TABLE_... */
	uint16_t argument_count; /* the key, and what `arguments` adds */

	/* Stores what comes behind the key in round `i`, from arguments[1] on. NULL: nothing. */
	void (*arguments)(uint64_t i, struct sole_value arguments[ACTOR_ARGUMENTS_MAX]);
};

/* The whole program: options, connecting, asking, stopping, totals. Returns its
 * exit status; a usage error exits at once. sole-reader(1) documents both. */
int actors_main(const struct actor_kind *kind, int argc, char **argv);

#endif
