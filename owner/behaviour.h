/* SPDX-License-Identifier: MIT
 *
 * behaviour.h - the contract between an owner and the code of a state.
 *
 * A behaviour is a table of operations and a few functions. The owner decodes and
 * checks arguments before `run` is called, runs one operation at a time, and
 * undoes a request of which any operation fails: `run` just returns a code. All
 * state is in the store (store.h); a behaviour keeps nothing anywhere else and
 * does no I/O, reads no clock and no randomness: the same inputs in the same order
 * make the same state, which is what lets a record be replayed.
 */
#ifndef SOLE_OWNER_BEHAVIOUR_H
#define SOLE_OWNER_BEHAVIOUR_H

#include "owner/limits.h"
#include "owner/store.h"

#include <sys/types.h>

enum { OPERATION_ARGUMENTS_MAX = 8 };

enum operation_kind {
	OPERATION_QUERY,   /* only reads */
	OPERATION_COMMAND, /* may change state; recorded, run once */
};

enum field_type {
	FIELD_END = 0,  /* no further field */
	FIELD_INTEGER,
	FIELD_BYTES,
	FIELD_VALUE,    /* an integer or bytes */
	FIELD_OPTIONAL, /* an integer, bytes or none */
	FIELD_KEY,      /* bytes, at most the limit for keys */
};

struct field {
	const char *name;
	enum field_type type;
};

/* Who asks, by the kernel's word where there is one. */
struct caller {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	bool known; /* false: relayed, or a transport that does not tell */
};

struct call; /* one operation being run */

struct operation {
	uint16_t number; /* on the wire and in records: never reused */
	enum operation_kind kind;
	const char *name, *help;
	struct field arguments[OPERATION_ARGUMENTS_MAX + 1], results[OPERATION_ARGUMENTS_MAX + 1];
	/* CODE_OK, or the code of call_refuse, or any code of outcome REFUSED. */
	enum code (*run)(struct call *call);
};

struct behaviour {
	const char *name;
	unsigned version;
	const struct operation *operations;
	size_t operation_count;

	/* Called once for an empty store: make the maps, return the context that
	 * call_context gives; NULL means no memory. */
	void *(*create)(struct store *store);
	void (*destroy)(void *context);

	/* NULL when every invariant holds, else a sentence. May walk everything. */
	const char *(*invariant)(void *context);
};

/* For `run`: what is asked. Arguments were checked against the table. */
void *call_context(const struct call *call);
const struct value *call_argument(const struct call *call, size_t index);
const struct caller *call_caller(const struct call *call);
int64_t call_now_us(const struct call *call); /* the owner's recorded clock, microseconds since 1970 */

/* Appends one result. At most WIRE_LIST_MAX; further ones are refused by the owner. */
void call_answer(struct call *call, const struct value *value);
void call_answer_integer(struct call *call, int64_t integer);

/* Words a refusal and returns `code`; `detail` (may be NULL) travels with it. */
enum code call_refuse(struct call *call, enum code code, const struct value *detail, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The operation of that number, or NULL. Constant time. */
struct operation_index;
const struct operation *operation_find(const struct operation_index *index, uint16_t number);

/* NULL when no memory, or when the table has two operations of one number. */
struct operation_index *operation_index_new(const struct behaviour *behaviour);
void operation_index_destroy(struct operation_index **index);

/* CODE_OK when `arguments` are what the operation takes; else CODE_INVALID or
 * CODE_TOO_LARGE and a sentence in `text`. */
enum code operation_check(const struct operation *operation, const struct value *arguments, size_t count,
			  const struct limits *limits, char *text, size_t text_size);

const char *field_type_name(enum field_type type);

extern const struct behaviour table_behaviour;

#endif
