/* SPDX-License-Identifier: MIT
 *
 * operations.h - a behaviour's table as the owner uses it: found by number, arguments
 * checked against it. The contract itself is sole/behaviour.h.
 */
#ifndef SOLE_OWNER_OPERATIONS_H
#define SOLE_OWNER_OPERATIONS_H

#include "common/wire.h"
#include "owner/core/limits.h"

#include <sole/behaviour.h>
#include <sys/types.h>

enum { KEY_NAME_MAX = 32 };

/* Who asks, by the kernel's word where there is one; on tcp by the key that the connection proved to have. */
struct caller {
	uid_t uid; /* of a keyed caller -1, as is the gid; its pid is 0 */
	gid_t gid;
	pid_t pid;
	bool known; /* false: relayed, or a transport that does not tell */
	bool keyed; /* known by a CURVE key: `born` is of the key, not of a process, and never 0 */
	bool clear; /* on tcp, in the clear: not known, and not relayed either */
	char key_name[KEY_NAME_MAX]; /* what the key's certificate is called; "" when not keyed, or long ago */
	uint64_t born; /* which of the processes that had this pid: of the boot and the start time; 0: not told */
};

/* Also of one that was read from a disk, where `keyed` and the name are not kept: no process runs as uid -1. */
static inline bool caller_is_keyed(const struct caller *caller)
{
	return caller->known && caller->uid == (uid_t)-1;
}

/* May the one go on with what the other began? A user's processes may, and who has the same key; of those that are not known
 * all may. */
static inline bool caller_same(const struct caller *a, const struct caller *b)
{
	if (a->known != b->known || (a->known && a->uid != b->uid))
		return false;
	bool keyed = caller_is_keyed(a);
	return keyed == caller_is_keyed(b) && (!keyed || a->born == b->born);
}

struct operation_index;

/* What keeps a behaviour from being run: another contract, no functions, a table that is not sound.
 * NULL when all is well, else a sentence, valid until the next call. */
const char *behaviour_problem(const struct sole_behaviour *behaviour);

/* For a behaviour without a problem. NULL when there is no memory. */
struct operation_index *operation_index_new(const struct sole_behaviour *behaviour);
void operation_index_destroy(struct operation_index **index);

/* The operation of that number, or NULL. Constant time. */
const struct sole_operation_entry *operation_find(const struct operation_index *index, uint16_t number);

/* CODE_OK when `arguments` are what the operation takes; else CODE_INVALID or
 * CODE_TOO_LARGE and a sentence in `text`. */
enum code operation_check(const struct sole_operation_entry *operation, const struct value *arguments, size_t count,
			  const struct limits *limits, char *text, size_t text_size);

/* Does it take a key, or several, and these first? */
static inline bool operation_begins_with_key(const struct sole_operation_entry *operation)
{
	enum sole_field_type first = operation->arguments[0].type;

	return first == SOLE_FIELD_KEY || first == SOLE_FIELD_KEYS;
}

/* Is the argument at `index` (a count that operation_check takes) a key? */
bool operation_takes_key(const struct sole_operation_entry *operation, size_t index);

/* Whether a value is what the field says. Nothing fits SOLE_FIELD_END. */
bool field_fits(enum sole_field_type type, const struct value *value);

/* As a person reads it: "integer or bytes". */
const char *field_type_name(enum sole_field_type type);

/* The behaviour that ships built in. */
extern const struct sole_behaviour table_behaviour;

#endif
