/* SPDX-License-Identifier: MIT
 *
 * signature.h - an operation as its owner describes it, and what words mean to it.
 *
 * Behind `sole ops`, `sole call` and `sole txn`, which know no behaviour: names, types and
 * the number of an operation come from the owner's answer to sole_describe.
 */
#ifndef SOLE_CLIENTS_SIGNATURE_H
#define SOLE_CLIENTS_SIGNATURE_H

#include "clients/command_script.h"
#include "clients/sole.h"

enum { SIGNATURE_FIELDS_MAX = 16, SIGNATURE_NAME_BYTES = 64, SIGNATURE_WHAT_BYTES = 512 };

struct field {
	char name[SIGNATURE_NAME_BYTES], type[SIGNATURE_NAME_BYTES];
};

struct fields {
	size_t count;
	struct field list[SIGNATURE_FIELDS_MAX];
};

struct signature {
	uint16_t number;
	bool query;
	char name[SIGNATURE_NAME_BYTES];
	struct fields arguments, results;
	struct sole_value help; /* lives as long as the reply */
};

/* From one list of a reply to sole_describe. False: it is not a description. */
bool signature_read(struct signature *signature, const struct sole_list *list);

/* Finds an operation in such a reply; of a script, `line` is where it stands, and else 0. STATUS_DONE, or the
 * exit status of what was told. */
int signature_find(const struct sole_reply *description, const char *name, unsigned line,
		   struct signature *signature);

/* Warns, unless --quiet, where it is known that an operation which was done took something that goes with the
 * session, and so with the command. No owner tells that: known are those of `table`. False: it is not known. */
bool signature_warn_of_session(uint16_t number, const char *name);

/* Words become `count` arguments, which point to the words' texts; `is_none` marks those that stand for
 * none. What is called "ms" may have a unit. NULL, or a sentence about what is wrong, in `what`. */
const char *signature_arguments(const struct signature *signature, const struct script_word *words,
				const bool *is_none, size_t count, struct sole_value *arguments,
				char what[SIGNATURE_WHAT_BYTES]);

#endif
