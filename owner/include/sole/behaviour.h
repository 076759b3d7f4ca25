/* SPDX-License-Identifier: MIT
 *
 * sole/behaviour.h - write the code of a state, and let an owner run it.
 *
 * A behaviour is a table of operations over maps. The owner decodes and checks what a
 * client sends, runs one operation at a time, records it, and answers. The behaviour says
 * what each operation does; nothing else. This is a whole one, of one operation:
 *
 *	#include <sole/behaviour.h>
 *
 *	static int add(struct sole_call *call)
 *	{
 *		struct sole_map *map = sole_call_context(call);
 *		struct sole_value key = sole_argument(call, 0), sum = sole_argument(call, 1), old;
 *
 *		if (sole_map_get(map, key, &old) && __builtin_add_overflow(old.integer, sum.integer, &sum.integer))
 *			return sole_refuse(call, SOLE_OVERFLOW, "it would be more than 64 bits can tell");
 *		sole_answer(call, sum);
 *		return sole_map_put(map, key, sum);
 *	}
 *
 *	static void *create(struct sole_store *store)
 *	{
 *		return sole_store_map(store, "counters");
 *	}
 *
 *	static const struct sole_operation_entry operations[] = {
 *		{ 1, SOLE_IS_COMMAND, "add", "adds to a counter, which begins at 0",
 *		  { { "counter", SOLE_FIELD_KEY }, { "delta", SOLE_FIELD_INTEGER } },
 *		  { { "sum", SOLE_FIELD_INTEGER } }, add },
 *	};
 *
 *	const struct sole_behaviour sole_behaviour = {
 *		.abi = SOLE_BEHAVIOUR_ABI, .name = "counters", .version = 1,
 *		.operations = operations, .operation_count = 1, .create = create,
 *	};
 *
 * The contract:
 *   - All state is in maps of the store: snapshots, restoring, digests and undo are the store's.
 *     What `create` returns holds handles and settings, never state.
 *   - A request takes effect whole or not at all. When an operation refuses, at any point,
 *     everything that the request has done is undone: changes of maps, events, late answers,
 *     tokens. What a map refuses (sole_map_put) refuses the request, whether or not the operation
 *     looks at it.
 *   - Same state, same inputs, same outcome, in another process and on another day, or what is
 *     recorded could not be replayed. An operation does no I/O, starts nothing, waits for nothing,
 *     asks for no time (but sole_call_now), no randomness, environment or process id, keeps
 *     nothing in variables (static ones neither: one process may hold two states), and makes
 *     nothing depend on an address. Memory of its own it frees before it returns. Numbers are
 *     integers: floating point is the same only for the same compiler and machine.
 *   - A loop whose length is decided by a client or by how much is stored calls sole_checkpoint.
 *   - One thread calls, one operation at a time; nothing here is for other threads. An operation
 *     that crashes ends the owner.
 *   - Values and keys that maps hand out are valid until the map is next changed or the call
 *     returns; values that are handed in are copied.
 *
 * sole-check(1) tries a behaviour against this: `sole-check ./x.so`, or `make check-behaviour
 * BEHAVIOUR=x.so` in the source tree. sole-behaviour(3) is this page at length; owner/examples has three
 * behaviours worth copying.
 *
 * Build: cc -shared -fPIC -o x.so x.c; run: sole-owner --behaviour ./x.so NAME. Or an owner of one's own:
 *
 *	#include <sole/behaviour.h>
 *	int main(int argc, char **argv) { return sole_owner_main(argc, argv, &sole_behaviour); }
 *
 * cc -o my-owner main.c x.c -lsole-owner -lczmq -lzmq -lxxhash -lisal
 */
#ifndef SOLE_BEHAVIOUR_H
#define SOLE_BEHAVIOUR_H

#include <sole.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SOLE_BEHAVIOUR_ABI 2

struct sole_store; /* opaque */
struct sole_map;   /* opaque */
struct sole_call;  /* opaque: one operation, tick, withdrawal or end of a session being run */

/* ---- the table of operations ---- */

enum sole_operation_kind {
	SOLE_IS_QUERY = 0,   /* only reads; may be asked again and again; nothing is recorded */
	SOLE_IS_COMMAND = 1, /* may change state; recorded; runs once */
};

enum sole_field_type {
	SOLE_FIELD_END = 0,
	SOLE_FIELD_INTEGER,
	SOLE_FIELD_BYTES,
	SOLE_FIELD_VALUE,    /* an integer or bytes */
	SOLE_FIELD_OPTIONAL, /* an integer, bytes or none */
	SOLE_FIELD_KEY,      /* bytes, within the limit for keys: those that fit into a map */
	SOLE_FIELD_KEYS,     /* last of the arguments: any number of keys, from one on. The last of the
	                        results then stands for one each */
	SOLE_FIELD_LIST,     /* of results only: a list of values */
};

enum { SOLE_FIELDS_MAX = 8 };

struct sole_field {
	const char *name;
	enum sole_field_type type;
};

struct sole_operation_entry {
	uint16_t number; /* on the wire and in records: never reused. 1 to 65000 */
	enum sole_operation_kind kind;
	const char *name; /* letters, digits, '-' and '_' */
	const char *help; /* one line */
	struct sole_field arguments[SOLE_FIELDS_MAX + 1], results[SOLE_FIELDS_MAX + 1];

	/* Returns SOLE_OK with the results answered; what sole_refuse, sole_later, sole_checkpoint
	 * or a map's function returned; or SOLE_INVALID, DENIED, CONFLICT (the one that `otherwise`
	 * of a request is for), TOO_LARGE, OVERFLOW, WRONG_TYPE, NO_MEMORY or FULL. The other codes
	 * are the owner's: to return one is a fault. All but SOLE_OK and SOLE_WAITING undo the
	 * request. */
	int (*run)(struct sole_call *call);
};

struct sole_behaviour {
	unsigned abi;     /* SOLE_BEHAVIOUR_ABI */
	const char *name; /* up to 64 letters, digits, '-' and '_' */
	unsigned version; /* raise it when the meaning of what is stored changes: see `migrate` */
	const struct sole_operation_entry *operations;
	size_t operation_count;

	/* Called once, before anything else: fetches the maps (sole_store_map) and returns what
	 * sole_call_context is to give. NULL: no memory. Several may be made in one process. */
	void *(*create)(struct sole_store *store);
	void (*destroy)(void *context); /* may be NULL */

	/* NULL when all is well, else a sentence. Reads only, and may walk everything: it is what
	 * sole-check asks after each step, and is not asked after each operation of an owner, which
	 * guards itself by refusing. May be NULL. */
	const char *(*invariant)(void *context);

	/* When `tick` is to run next, microseconds since 1970; 0: not at all. Asked in every round,
	 * so it should be quick. Both may be NULL. */
	int64_t (*due)(void *context);
	/* Does what is due by sole_call_now, a bounded part of it; called again while `due` is not
	 * later than that. Recorded like a command. */
	int (*tick)(struct sole_call *call);

	/* A session has ended (goodbye, silence, or its process died): let go of what it held.
	 * sole_call_session is the one; its waiting requests were withdrawn before. May be NULL. */
	int (*session_ended)(struct sole_call *call);

	/* A request that sole_later parked is withdrawn (cancelled, past its deadline, session
	 * ended): take it out of its line. sole_call_session and sole_call_sequence name it. May be
	 * NULL, where nothing waits. */
	int (*withdrawn)(struct sole_call *call);

	/* Nobody asks for `tick`, `session_ended` and `withdrawn`: they answer to nobody but who waits,
	 * sole_checkpoint never refuses them, and what they refuse is undone, counted (hooks_failed) and
	 * not told. So they should not: give back entries before taking new ones, so that a full state
	 * has room. */

	/* Brings the maps that an older version wrote to this one: called once, before anything else is
	 * asked, when an owner starts on such a state, and recorded. Maps that `create` does not fetch are
	 * there by their names: sole_store_map(sole_call_store(call), "old"). Those that are emptied are gone
	 * from then on; what is not taken out of them stays. sole_checkpoint never refuses. SOLE_OK, or a
	 * refusal: then nothing is changed, and the owner does not start, with these words. NULL: a state of
	 * another version is refused. One of a later version always is.
	 *
	 * What stands in the journal behind the last snapshot was run by the older version, and is run again
	 * by this one before it migrates, on maps as the older one wrote them. Each record is compared, and
	 * where this version would do otherwise the owner does not start: then stop the older build cleanly
	 * first (SIGTERM), which leaves a snapshot with nothing behind it. */
	int (*migrate)(struct sole_call *call, unsigned from_version);
};

/* A shared object for `sole-owner --behaviour` defines this one. */
SOLE_API extern const struct sole_behaviour sole_behaviour;

/* The whole of an owner, for a main of one's own; NULL: the built-in table. Link libsole-owner.a,
 * and what it needs: -lczmq -lzmq -lxxhash -lisal. Returns the exit status, or exits with it. */
int sole_owner_main(int argc, char **argv, const struct sole_behaviour *behaviour);

/* ---- a call ---- */

void *sole_call_context(const struct sole_call *call);

/* The store, for `migrate`, which has maps to fetch that `create` knows nothing of. */
struct sole_store *sole_call_store(struct sole_call *call);

/* The number of the operation, where one function serves several; 0 in ticks and the like. */
uint16_t sole_call_operation(const struct sole_call *call);

/* How many values were given, and each; arguments were checked against the table. Beyond
 * the last: none. Valid until the call returns. */
size_t sole_argument_count(const struct sole_call *call);
struct sole_value sole_argument(const struct sole_call *call, size_t index);

/* Microseconds since 1970, by the owner's recorded clock: never goes back. */
int64_t sole_call_now(const struct sole_call *call);

/* The revision that this call's changes get. */
uint64_t sole_call_revision(const struct sole_call *call);

/* Who asks: by the kernel's word, or -1 when it gives none, and in ticks and the like. */
int64_t sole_call_uid(const struct sole_call *call);
int64_t sole_call_gid(const struct sole_call *call);

/* The session and sequence of the request; 0: it has none, as queries and what scripts ask. Sessions
 * are never used again. */
uint64_t sole_call_session(const struct sole_call *call);
uint64_t sole_call_sequence(const struct sole_call *call);

/* A number that was never given out before by this state, and is larger than all that were: for ids,
 * places in a line, fencing tokens. Grows across the deaths of a memory-only owner, too. Not for
 * queries. */
int64_t sole_call_token(struct sole_call *call);

/* Appends one result, of the types that the table says. */
void sole_answer(struct sole_call *call, struct sole_value value);

/* Appends one result that is a list: begin, sole_answer for each, end. Not nested. */
void sole_answer_list(struct sole_call *call);
void sole_answer_list_end(struct sole_call *call);

/* Bytes that can still be answered before the reply is too large, and the request refused for it. A
 * value takes at most 9, or 5 more than its bytes. */
size_t sole_answer_room(const struct sole_call *call);

/* Words a refusal, in one line of less than 200 bytes, and returns `code`: `return
 * sole_refuse(...)`. */
int sole_refuse(struct sole_call *call, int code, const char *format, ...)
#ifdef __GNUC__
	__attribute__((format(printf, 3, 4)))
#endif
	;
/* A value that travels with the refusal (the one found, say). Before sole_refuse. */
void sole_refuse_detail(struct sole_call *call, struct sole_value detail);

/* The answer comes later: `return sole_later(call)`, when it returned SOLE_WAITING and the behaviour
 * has put (session, sequence) into a line of its own, to answer it from another call with
 * sole_answer_later. Only for a command of a session, alone in its request: else it refuses, and
 * that is returned. */
int sole_later(struct sole_call *call);

/* Answers the parked request (session, sequence) with `count` results, which fit into a message. 0 and
 * nothing done: it does not wait (any more). */
int sole_answer_later(struct sole_call *call, uint64_t session, uint64_t sequence,
                      const struct sole_value *results, size_t count);

/* Tells watchers: `kind` is a word ("put"), `key` bytes that they filter by. Not for queries. */
void sole_emit(struct sole_call *call, const char *kind, struct sole_value key, struct sole_value value);

/* Counts one unit of work; SOLE_OK, or SOLE_TOO_LARGE when the request has used up its budget
 * (max-checkpoints): return that. */
int sole_checkpoint(struct sole_call *call);

/* ---- maps: ordered by key, bytes to values ---- */

/* The map of that name (copied; at most 255 bytes), made if it is not there. A behaviour makes at most
 * 16. NULL beyond that, or without memory: the state is not made, or the call refused, and the behaviour
 * need not look if it does nothing with the map. */
struct sole_map *sole_store_map(struct sole_store *store, const char *name);

/* 1 and the value, or 0. Keys are bytes of at most 1024. */
int sole_map_get(struct sole_map *map, struct sole_value key, struct sole_value *value);

/* The revision at which the entry was last put; 0: it is not there. */
uint64_t sole_map_revision(struct sole_map *map, struct sole_value key);

/* SOLE_OK; or SOLE_TOO_LARGE (the key), SOLE_FULL or SOLE_NO_MEMORY, and the request is refused
 * with it. `value` is an integer or bytes. */
int sole_map_put(struct sole_map *map, struct sole_value key, struct sole_value value);

/* SOLE_OK also when it was not there; or SOLE_NO_MEMORY, as above. */
int sole_map_remove(struct sole_map *map, struct sole_value key);

uint64_t sole_map_count(const struct sole_map *map);

/* The first entry whose key is at or above `from` (above it, if `after`), byte by byte; from none on:
 * the first of all. 1 and the entry, or 0. A walk, as long as the map is not changed:
 *	struct sole_value key = sole_none(), value;
 *	while (sole_map_seek(map, key, 1, &key, &value)) ... */
int sole_map_seek(struct sole_map *map, struct sole_value from, int after, struct sole_value *key,
                  struct sole_value *value);

/* ---- numbers as keys and as values ---- */

/* Numbers packed into bytes, which sort as the numbers do: 8 bytes each, most significant first. What
 * sole_numbers returns points into `to`; sole_number gives the one at `index`, 0 beyond the last. */
enum { SOLE_NUMBERS_MAX = 4 };
struct sole_numbers {
	unsigned char bytes[8 * SOLE_NUMBERS_MAX];
};
struct sole_value sole_numbers(struct sole_numbers *to, size_t count, const uint64_t *numbers);
uint64_t sole_number(struct sole_value value, size_t index);

#ifndef __cplusplus
/* SOLE_NUMBERS(a, b): such a value, until the end of the block that it stands in. */
#define SOLE_NUMBERS(...)                                                                             \
	sole_numbers(&(struct sole_numbers){ { 0 } }, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), \
	             (const uint64_t[]){ __VA_ARGS__ })
#endif

/* The same for one number in bytes of one's own, followed by other bytes, say. */
void sole_key_number(uint64_t number, unsigned char key[8]);
uint64_t sole_number_of_key(const void *key);

#ifdef __cplusplus
}
#endif

#endif
