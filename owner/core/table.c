/* SPDX-License-Identifier: MIT
 *
 * table.c - the behaviour that ships built in: a map from bytes to integers or bytes, with
 * conditions, scans, expiry, entries that end with their session, and locks.
 *
 * Beside the map `table` stand indexes that are empty unless they are used:
 *	due      time, key       -> none   what expires, in order of time (microseconds)
 *	expiry   key             -> time
 *	bound    session, key    -> none   what goes with a session
 *	binding  key             -> session
 * Locks are lock.c's.
 */
#include "owner/core/table.h"

#include <stdlib.h>
#include <string.h>

enum { EXPIRE_AT_ONCE = 256, SCAN_MOST = 10000, SCAN_DEFAULT = 1000, KEY_MOST = 1024 };

static const struct sole_value present = { .type = SOLE_INTEGER, .integer = 1 };

/* ---- keys that begin with a number ---- */

struct joined {
	unsigned char bytes[8 + KEY_MOST];
};

static struct sole_value join(struct joined *joined, uint64_t number, struct sole_value key)
{
	sole_key_number(number, joined->bytes);
	if (key.size > 0)
		memcpy(joined->bytes + 8, key.bytes, key.size);
	return sole_bytes(joined->bytes, 8 + key.size);
}

static struct sole_value tail(struct sole_value joined)
{
	return sole_bytes((const unsigned char *)joined.bytes + 8, joined.size - 8);
}

/* ---- changing entries ---- */

static struct table *context(const struct sole_call *call)
{
	return sole_call_context(call);
}

static int unlink_expiry(struct table *table, struct sole_value key)
{
	struct sole_value time;
	struct joined joined;

	if (sole_map_count(table->expiry) == 0 || !sole_map_get(table->expiry, key, &time))
		return SOLE_OK;
	int code = sole_map_remove(table->due, join(&joined, (uint64_t)time.integer, key));
	return code != SOLE_OK ? code : sole_map_remove(table->expiry, key);
}

static int unlink_binding(struct table *table, struct sole_value key)
{
	struct sole_value session;
	struct joined joined;

	if (sole_map_count(table->binding) == 0 || !sole_map_get(table->binding, key, &session))
		return SOLE_OK;
	int code = sole_map_remove(table->bound, join(&joined, (uint64_t)session.integer, key));
	return code != SOLE_OK ? code : sole_map_remove(table->binding, key);
}

/* Neither expires nor goes with a session any more. */
static int unlink_all(struct table *table, struct sole_value key)
{
	int code = unlink_expiry(table, key);
	return code != SOLE_OK ? code : unlink_binding(table, key);
}

static int set(struct sole_call *call, struct sole_value key, struct sole_value value)
{
	struct table *table = context(call);
	int code = unlink_all(table, key);

	if (code == SOLE_OK)
		code = sole_map_put(table->map, key, value);
	if (code == SOLE_OK)
		sole_emit(call, "put", key, value);
	return code;
}

/* `kind` is what watchers hear. Not there: nothing happens. */
static int drop(struct sole_call *call, const char *kind, struct sole_value key)
{
	struct table *table = context(call);
	struct sole_value value;

	if (!sole_map_get(table->map, key, &value))
		return SOLE_OK;
	int code = unlink_all(table, key);
	if (code == SOLE_OK)
		sole_emit(call, kind, key, sole_none());
	return code != SOLE_OK ? code : sole_map_remove(table->map, key);
}

static struct sole_value lookup(const struct sole_call *call, struct sole_value key)
{
	struct sole_value value;

	return sole_map_get(context(call)->map, key, &value) ? value : sole_none();
}

static int same(struct sole_value a, struct sole_value b)
{
	if (a.type != b.type)
		return 0;
	if (a.type == SOLE_INTEGER)
		return a.integer == b.integer;
	return a.type == SOLE_NONE || (a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0));
}

static int conflict(struct sole_call *call, struct sole_value found, const char *why)
{
	sole_refuse_detail(call, found);
	return sole_refuse(call, SOLE_CONFLICT, "%s", why);
}

/* ---- reading ---- */

static int table_get(struct sole_call *call)
{
	sole_answer(call, lookup(call, sole_argument(call, 0)));
	return SOLE_OK;
}

static int table_get_many(struct sole_call *call)
{
	for (size_t i = 0; i < sole_argument_count(call); i++)
		sole_answer(call, lookup(call, sole_argument(call, i)));
	return SOLE_OK;
}

static int table_revision(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0);

	sole_answer(call, lookup(call, key));
	sole_answer(call, sole_integer((int64_t)sole_map_revision(context(call)->map, key)));
	return SOLE_OK;
}

static int table_count(struct sole_call *call)
{
	sole_answer(call, sole_integer((int64_t)sole_map_count(context(call)->map)));
	return SOLE_OK;
}

static int begins(struct sole_value key, struct sole_value prefix)
{
	return key.size >= prefix.size && (prefix.size == 0 || memcmp(key.bytes, prefix.bytes, prefix.size) == 0);
}

static int comes_before(struct sole_value a, struct sole_value b)
{
	uint32_t shorter = a.size < b.size ? a.size : b.size;
	int difference = shorter > 0 ? memcmp(a.bytes, b.bytes, shorter) : 0;

	return difference < 0 || (difference == 0 && a.size < b.size);
}

/* Where a scan begins: behind the cursor of the one before, or at the first key of the prefix. */
static int scan_first(struct sole_call *call, struct sole_value *key, struct sole_value *value)
{
	struct sole_value prefix = sole_argument(call, 0), after = sole_argument(call, 1);
	int resumed = after.type == SOLE_BYTES && !comes_before(after, prefix);

	return sole_map_seek(context(call)->map, resumed ? after : prefix, resumed, key, value);
}

static int table_scan(struct sole_call *call)
{
	enum { ENTRY_OVERHEAD = 64 };
	struct sole_map *map = context(call)->map;
	struct sole_value prefix = sole_argument(call, 0), after = sole_argument(call, 1), key, value;
	struct sole_value last = sole_none();
	int64_t limit = sole_argument(call, 2).integer, taken = 0;

	if (after.type == SOLE_INTEGER || limit < 0 || limit > SCAN_MOST)
		return sole_refuse(call, SOLE_INVALID,
				   "scan: 'after' is a key or none, and the limit 0 to %d (0: %d)", SCAN_MOST, SCAN_DEFAULT);
	if (limit == 0)
		limit = SCAN_DEFAULT;
	int more = scan_first(call, &key, &value);
	sole_answer_list(call);
	while (more && begins(key, prefix)) {
		size_t size = key.size + (value.type == SOLE_BYTES ? value.size : 0) + ENTRY_OVERHEAD;
		/* The cursor repeats the last key. The first entry is given whatever its size. */
		if (taken == limit || (taken > 0 && sole_answer_room(call) < size + 2 * KEY_MOST))
			break;
		int code = sole_checkpoint(call);
		if (code != SOLE_OK)
			return code;
		sole_answer(call, key);
		sole_answer(call, value);
		sole_answer(call, sole_integer((int64_t)sole_map_revision(map, key)));
		last = key;
		taken++;
		more = sole_map_seek(map, last, 1, &key, &value);
	}
	sole_answer_list_end(call);
	sole_answer(call, more && begins(key, prefix) ? last : sole_none());
	return SOLE_OK;
}

static int table_ttl(struct sole_call *call)
{
	struct table *table = context(call);
	struct sole_value key = sole_argument(call, 0), time;

	if (!sole_map_get(table->map, key, &time) || !sole_map_get(table->expiry, key, &time)) {
		sole_answer(call, sole_none());
		return SOLE_OK;
	}
	int64_t left = (time.integer - sole_call_now(call) + 999) / 1000;
	sole_answer(call, sole_integer(left > 0 ? left : 0));
	return SOLE_OK;
}

static int table_check(struct sole_call *call)
{
	struct sole_value found = lookup(call, sole_argument(call, 0));

	return same(found, sole_argument(call, 1)) ? SOLE_OK : conflict(call, found, "check: the value is not the expected one");
}

static int table_check_revision(struct sole_call *call)
{
	int64_t revision = (int64_t)sole_map_revision(context(call)->map, sole_argument(call, 0));

	if (revision == sole_argument(call, 1).integer)
		return SOLE_OK;
	return conflict(call, sole_integer(revision), "check-revision: the entry has changed since");
}

/* ---- writing ---- */

static int table_put(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0);

	sole_answer(call, sole_integer(lookup(call, key).type != SOLE_NONE));
	return set(call, key, sole_argument(call, 1));
}

static int table_insert(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0), found = lookup(call, key);

	if (found.type != SOLE_NONE)
		return conflict(call, found, "insert: the key is there already");
	return set(call, key, sole_argument(call, 1));
}

static int table_replace(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0);

	if (lookup(call, key).type == SOLE_NONE)
		return conflict(call, sole_none(), "replace: the key is not there");
	return set(call, key, sole_argument(call, 1));
}

static int table_delete(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0);

	sole_answer(call, sole_integer(lookup(call, key).type != SOLE_NONE));
	return drop(call, "delete", key);
}

/* Keeps what the key has of expiry and session. */
static int table_add(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0), found = lookup(call, key);
	int64_t delta = sole_argument(call, 1).integer, sum = delta;

	if (found.type == SOLE_BYTES)
		return sole_refuse(call, SOLE_WRONG_TYPE, "add: the value at this key is bytes, not an integer");
	if (found.type == SOLE_INTEGER && __builtin_add_overflow(found.integer, delta, &sum)) {
		sole_refuse_detail(call, found);
		return sole_refuse(call, SOLE_OVERFLOW, "add: %lld plus %lld does not fit into 64 bits",
				   (long long)found.integer, (long long)delta);
	}
	sole_answer(call, sole_integer(sum));
	sole_emit(call, "put", key, sole_integer(sum));
	return sole_map_put(context(call)->map, key, sole_integer(sum));
}

static int set_or_drop(struct sole_call *call, struct sole_value key, struct sole_value value)
{
	return value.type == SOLE_NONE ? drop(call, "delete", key) : set(call, key, value);
}

static int table_cas(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0), found = lookup(call, key);

	if (!same(found, sole_argument(call, 1)))
		return conflict(call, found, "cas: the value is not the expected one");
	return set_or_drop(call, key, sole_argument(call, 2));
}

static int table_cas_revision(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0);
	int64_t revision = (int64_t)sole_map_revision(context(call)->map, key);

	if (revision != sole_argument(call, 1).integer)
		return conflict(call, sole_integer(revision), "cas-revision: the entry has changed since");
	return set_or_drop(call, key, sole_argument(call, 2));
}

/* ---- expiry ---- */

static int set_expiry(struct sole_call *call, struct sole_value key, int64_t ms)
{
	struct table *table = context(call);
	struct joined joined;
	int64_t time;

	if (ms <= 0 || __builtin_mul_overflow(ms, 1000, &time) ||
	    __builtin_add_overflow(time, sole_call_now(call), &time))
		return sole_refuse(call, SOLE_INVALID, "the time to live is a positive number of milliseconds");
	if (key.size > KEY_MOST - 8)
		return sole_refuse(call, SOLE_TOO_LARGE, "a key that expires has at most %d bytes", KEY_MOST - 8);
	int code = unlink_expiry(table, key);
	if (code == SOLE_OK)
		code = sole_map_put(table->expiry, key, sole_integer(time));
	return code != SOLE_OK ? code : sole_map_put(table->due, join(&joined, (uint64_t)time, key), present);
}

static int table_put_for(struct sole_call *call)
{
	int code = table_put(call);

	return code != SOLE_OK ? code : set_expiry(call, sole_argument(call, 0), sole_argument(call, 2).integer);
}

static int table_expire(struct sole_call *call)
{
	struct sole_value key = sole_argument(call, 0), ms = sole_argument(call, 1);
	int there = lookup(call, key).type != SOLE_NONE;

	if (ms.type == SOLE_BYTES)
		return sole_refuse(call, SOLE_INVALID, "expire takes milliseconds, or none for never, and not bytes");
	sole_answer(call, sole_integer(there));
	if (!there)
		return SOLE_OK;
	return ms.type == SOLE_NONE ? unlink_expiry(context(call), key) : set_expiry(call, key, ms.integer);
}

static int64_t table_due(void *pointer)
{
	struct table *table = pointer;
	struct sole_value key, value;

	return sole_map_seek(table->due, sole_bytes("", 0), 0, &key, &value) ? (int64_t)sole_number_of_key(key.bytes) : 0;
}

static int table_tick(struct sole_call *call)
{
	struct table *table = context(call);
	struct sole_value at = sole_bytes("", 0), found, value;
	struct joined copy; /* the entry it stands in goes */

	/* On from the one before: what was removed is stepped over again and again from the start. */
	for (int i = 0; i < EXPIRE_AT_ONCE; i++) {
		if (!sole_map_seek(table->due, at, i > 0, &found, &value) ||
		    (int64_t)sole_number_of_key(found.bytes) > sole_call_now(call))
			return SOLE_OK;
		memcpy(copy.bytes, found.bytes, found.size);
		at = sole_bytes(copy.bytes, found.size);
		int code = drop(call, "expire", tail(at));
		if (code != SOLE_OK)
			return code;
	}
	return SOLE_OK;
}

/* ---- entries that go with a session ---- */

static int table_bind(struct sole_call *call)
{
	struct table *table = context(call);
	struct sole_value key = sole_argument(call, 0);
	struct joined joined;

	if (sole_call_session(call) == 0)
		return sole_refuse(call, SOLE_INVALID, "bind: the entry would end with the session, and the request has none");
	if (key.size > KEY_MOST - 8)
		return sole_refuse(call, SOLE_TOO_LARGE, "a key that goes with a session has at most %d bytes", KEY_MOST - 8);
	int code = table_put(call);
	if (code == SOLE_OK)
		code = sole_map_put(table->binding, key, sole_integer((int64_t)sole_call_session(call)));
	return code != SOLE_OK ? code : sole_map_put(table->bound, join(&joined, sole_call_session(call), key), present);
}

static int table_session_ended(struct sole_call *call)
{
	struct table *table = context(call);
	struct sole_value at, found, value;
	struct joined copy;

	at = join(&copy, sole_call_session(call), sole_bytes("", 0));
	for (int after = 0; sole_map_seek(table->bound, at, after, &found, &value) &&
			    sole_number_of_key(found.bytes) == sole_call_session(call); after = 1) {
		memcpy(copy.bytes, found.bytes, found.size);
		at = sole_bytes(copy.bytes, found.size);
		int code = drop(call, "end", tail(at));
		if (code != SOLE_OK)
			return code;
	}
	return lock_session_ended(call);
}

/* ---- the whole ---- */

static void *table_create(struct sole_store *store)
{
	struct table *table = malloc(sizeof *table); /* handles only; the state is in the store */

	if (table == NULL)
		return NULL;
	*table = (struct table){
		.map = sole_store_map(store, "table"),
		.due = sole_store_map(store, "due"),
		.expiry = sole_store_map(store, "expiry"),
		.bound = sole_store_map(store, "bound"),
		.binding = sole_store_map(store, "binding"),
		.locks = sole_store_map(store, "locks"),
		.held = sole_store_map(store, "held"),
		.line = sole_store_map(store, "line"),
		.waiting = sole_store_map(store, "waiting"),
	};
	if (table->map != NULL && table->due != NULL && table->expiry != NULL && table->bound != NULL &&
	    table->binding != NULL && table->locks != NULL && table->held != NULL && table->line != NULL &&
	    table->waiting != NULL)
		return table;
	free(table);
	return NULL;
}

/* Each index and what it is an index of have the same entries. */
static const char *table_invariant(void *pointer)
{
	struct table *table = pointer;
	struct sole_value key, value, other;
	struct joined joined;

	if (sole_map_count(table->due) != sole_map_count(table->expiry))
		return "what is due and what expires are not the same entries";
	if (sole_map_count(table->bound) != sole_map_count(table->binding))
		return "what is bound to sessions is not what sessions are bound to";
	for (int more = sole_map_seek(table->expiry, sole_bytes("", 0), 0, &key, &value); more;
	     more = sole_map_seek(table->expiry, key, 1, &key, &value))
		if (value.type != SOLE_INTEGER || !sole_map_get(table->map, key, &other) ||
		    !sole_map_get(table->due, join(&joined, (uint64_t)value.integer, key), &other))
			return "an entry that expires is not there, or not due";
	for (int more = sole_map_seek(table->binding, sole_bytes("", 0), 0, &key, &value); more;
	     more = sole_map_seek(table->binding, key, 1, &key, &value))
		if (value.type != SOLE_INTEGER || !sole_map_get(table->map, key, &other) ||
		    !sole_map_get(table->bound, join(&joined, (uint64_t)value.integer, key), &other))
			return "an entry bound to a session is not there, or the session does not know it";
	return lock_invariant(table);
}

#define KEY { "key", SOLE_FIELD_KEY }
#define VALUE { "value", SOLE_FIELD_VALUE }
#define EXISTED { "existed", SOLE_FIELD_INTEGER }
#define LOCK { "lock", SOLE_FIELD_KEY }
#define TOKEN { "token", SOLE_FIELD_INTEGER }
#define NOTHING { 0 }

static const struct sole_operation_entry operations[] = {
	{ 1, SOLE_IS_QUERY, "get", "the value at a key, or none",
	  { KEY }, { { "value", SOLE_FIELD_OPTIONAL } }, table_get },
	{ 2, SOLE_IS_COMMAND, "put", "sets a key; tells whether it was there",
	  { KEY, VALUE }, { EXISTED }, table_put },
	{ 3, SOLE_IS_COMMAND, "delete", "removes a key; tells whether it was there",
	  { KEY }, { EXISTED }, table_delete },
	{ 4, SOLE_IS_COMMAND, "add", "adds to an integer; an absent key counts as 0",
	  { KEY, { "delta", SOLE_FIELD_INTEGER } }, { { "sum", SOLE_FIELD_INTEGER } }, table_add },
	{ 5, SOLE_IS_COMMAND, "cas", "sets a key if it has the value expected; none stands for absent",
	  { KEY, { "expected", SOLE_FIELD_OPTIONAL }, { "new", SOLE_FIELD_OPTIONAL } }, { NOTHING }, table_cas },
	{ 6, SOLE_IS_QUERY, "count", "how many keys there are",
	  { NOTHING }, { { "keys", SOLE_FIELD_INTEGER } }, table_count },
	{ 7, SOLE_IS_COMMAND, "insert", "sets a key only if it is not there",
	  { KEY, VALUE }, { NOTHING }, table_insert },
	{ 8, SOLE_IS_COMMAND, "replace", "sets a key only if it is there",
	  { KEY, VALUE }, { NOTHING }, table_replace },
	{ 9, SOLE_IS_QUERY, "get-many", "the values at several keys, in their order",
	  { { "keys", SOLE_FIELD_KEYS } }, { { "value", SOLE_FIELD_OPTIONAL } }, table_get_many },
	{ 10, SOLE_IS_QUERY, "scan", "keys, values and revisions in order of keys, and the cursor for more",
	  { { "prefix", SOLE_FIELD_KEY }, { "after", SOLE_FIELD_OPTIONAL }, { "limit", SOLE_FIELD_INTEGER } },
	  { { "entries", SOLE_FIELD_LIST }, { "cursor", SOLE_FIELD_OPTIONAL } }, table_scan },
	{ 11, SOLE_IS_COMMAND, "cas-revision", "sets a key if its entry is of the revision expected; 0 stands for absent",
	  { KEY, { "revision", SOLE_FIELD_INTEGER }, { "new", SOLE_FIELD_OPTIONAL } }, { NOTHING }, table_cas_revision },
	{ 12, SOLE_IS_COMMAND, "put-for", "sets a key for so many milliseconds",
	  { KEY, VALUE, { "ms", SOLE_FIELD_INTEGER } }, { EXISTED }, table_put_for },
	{ 13, SOLE_IS_COMMAND, "expire", "lets a key expire in so many milliseconds; none: never",
	  { KEY, { "ms", SOLE_FIELD_OPTIONAL } }, { EXISTED }, table_expire },
	{ 14, SOLE_IS_QUERY, "ttl", "milliseconds until a key expires; none: it does not, or is not there",
	  { KEY }, { { "ms", SOLE_FIELD_OPTIONAL } }, table_ttl },
	{ 15, SOLE_IS_COMMAND, "bind", "sets a key that goes when this session ends",
	  { KEY, VALUE }, { EXISTED }, table_bind },
	{ 16, SOLE_IS_QUERY, "check", "refuses the whole request unless a key has the value expected",
	  { KEY, { "expected", SOLE_FIELD_OPTIONAL } }, { NOTHING }, table_check },
	{ 17, SOLE_IS_QUERY, "check-revision", "refuses the whole request unless an entry is of the revision expected",
	  { KEY, { "revision", SOLE_FIELD_INTEGER } }, { NOTHING }, table_check_revision },
	{ 18, SOLE_IS_QUERY, "revision", "the value at a key, or none, and the revision of its last change, or 0",
	  { KEY }, { { "value", SOLE_FIELD_OPTIONAL }, { "revision", SOLE_FIELD_INTEGER } }, table_revision },
	{ 20, SOLE_IS_COMMAND, "lock", "waits for a lock and holds it until unlock or the session's end",
	  { LOCK }, { TOKEN }, lock_lock },
	{ 21, SOLE_IS_COMMAND, "try-lock", "takes a lock if it is free",
	  { LOCK }, { TOKEN }, lock_try },
	{ 22, SOLE_IS_COMMAND, "unlock", "lets go of a lock that this session holds",
	  { LOCK }, { NOTHING }, lock_unlock },
	{ 23, SOLE_IS_QUERY, "holder", "session and token of a lock's holder, or none, and how many wait",
	  { LOCK }, { { "session", SOLE_FIELD_OPTIONAL }, { "token", SOLE_FIELD_OPTIONAL },
		      { "waiting", SOLE_FIELD_INTEGER } }, lock_holder },
	{ 24, SOLE_IS_QUERY, "check-lock", "refuses the whole request unless a lock is held with this token",
	  { LOCK, TOKEN }, { NOTHING }, lock_check },
};

const struct sole_behaviour table_behaviour = {
	.abi = SOLE_BEHAVIOUR_ABI,
	.name = "table",
	.version = 2,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = table_create,
	.destroy = free,
	.invariant = table_invariant,
	.due = table_due,
	.tick = table_tick,
	.session_ended = table_session_ended,
	.withdrawn = lock_withdrawn,
};
