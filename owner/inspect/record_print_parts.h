/* SPDX-License-Identifier: MIT
 *
 * record_print_parts.h - what record_print.c and record_json.c share. Nobody else includes it.
 */
#ifndef SOLE_OWNER_RECORD_PRINT_PARTS_H
#define SOLE_OWNER_RECORD_PRINT_PARTS_H

#include "owner/inspect/record_print.h"

#include <uthash.h>

struct known_session {
	uint64_t id;
	struct caller caller;
	UT_hash_handle hh;
};

struct record_printer {
	const struct sole_behaviour *behaviour;
	struct operation_index *index;
	bool words; /* the operations are those of the behaviour */
	bool json;
	struct known_session *sessions;
	uint64_t ended; /* the one that the last record ended, which is known until the next; 0: none */
	struct buffer text;
};

/* Who asked: of the record itself, or whose session it is. */
struct caller record_caller(const struct record_printer *printer, const struct record *record);

/* Does it say what came of something? */
bool record_has_outcome(enum record_kind kind);

struct record_operation {
	uint16_t number;
	const char *name; /* NULL: not known */
	struct value arguments[WIRE_LIST_MAX];
	size_t count;
};

/* The next one of a request. False: there is none. */
bool record_next_operation(const struct record_printer *printer, struct wire_reader *reader,
			   struct record_operation *operation);

void record_print_json(struct record_printer *printer, FILE *out, const struct round *round,
		       const struct record *record);

#endif
