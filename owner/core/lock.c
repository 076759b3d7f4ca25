/* SPDX-License-Identifier: MIT
 *
 * lock.c - locks of the behaviour `table`: fair, with fencing tokens, ending with their session.
 *
 *	locks    name                       -> session (8 bytes), token (8 bytes)
 *	held     session, name              -> 1       what a session holds
 *	line     name, 0, ticket            -> session (8 bytes), sequence (8 bytes)
 *	waiting  session, sequence          -> name, 0, ticket   the place in the line
 *
 * A ticket is a token: it grows, so the line is in order of arrival. A name ends with a zero
 * byte in `line` and so has none itself: no name's line lies within another's.
 */
#include "owner/core/table.h"

#include <string.h>

enum { NAME_MOST = 512, PAIR = 16, PLACE_LEAST = 1 + 8 };

struct place {
	unsigned char bytes[NAME_MOST + PLACE_LEAST];
};

static struct table *context(const struct sole_call *call)
{
	return sole_call_context(call);
}

static struct sole_value pair(unsigned char bytes[PAIR], uint64_t a, uint64_t b)
{
	sole_key_number(a, bytes);
	sole_key_number(b, bytes + 8);
	return sole_bytes(bytes, PAIR);
}

static uint64_t first_of(struct sole_value pair)
{
	return sole_number_of_key(pair.bytes);
}

static uint64_t second_of(struct sole_value pair)
{
	return sole_number_of_key((const unsigned char *)pair.bytes + 8);
}

static struct sole_value place_in_line(struct place *place, struct sole_value name, uint64_t ticket)
{
	memcpy(place->bytes, name.bytes, name.size);
	place->bytes[name.size] = 0;
	sole_key_number(ticket, place->bytes + name.size + 1);
	return sole_bytes(place->bytes, name.size + 1 + 8);
}

static struct sole_value held_key(struct place *place, uint64_t session, struct sole_value name)
{
	sole_key_number(session, place->bytes);
	memcpy(place->bytes + 8, name.bytes, name.size);
	return sole_bytes(place->bytes, 8 + name.size);
}

static int name_problem(struct sole_call *call, struct sole_value name)
{
	if (name.size == 0 || name.size > NAME_MOST || memchr(name.bytes, 0, name.size) != NULL)
		return sole_refuse(call, SOLE_INVALID, "a lock's name has 1 to %d bytes, none of them zero", NAME_MOST);
	if (sole_call_session(call) == 0)
		return sole_refuse(call, SOLE_INVALID, "a lock is held by a session, and the request has none");
	return SOLE_OK;
}

/* Gives the lock to a session, with this token. */
static int give(struct sole_call *call, struct sole_value name, uint64_t session, int64_t token)
{
	unsigned char holder[PAIR];
	struct place place;

	int code = sole_map_put(context(call)->locks, name, pair(holder, session, (uint64_t)token));
	if (code == SOLE_OK)
		code = sole_map_put(context(call)->held, held_key(&place, session, name), sole_integer(1));
	if (code == SOLE_OK)
		sole_emit(call, "lock", name, sole_integer(token));
	return code;
}

static int take(struct sole_call *call, int wait)
{
	struct table *table = context(call);
	struct sole_value name = sole_argument(call, 0), holder;
	unsigned char me[PAIR];
	struct place place;

	int code = name_problem(call, name);
	if (code != SOLE_OK)
		return code;
	if (!sole_map_get(table->locks, name, &holder)) {
		int64_t token = sole_call_token(call);
		sole_answer(call, sole_integer(token));
		return give(call, name, sole_call_session(call), token);
	}
	if (first_of(holder) == sole_call_session(call)) {
		sole_answer(call, sole_integer((int64_t)second_of(holder)));
		return SOLE_OK;
	}
	if (!wait) {
		sole_refuse_detail(call, sole_integer((int64_t)second_of(holder)));
		return sole_refuse(call, SOLE_CONFLICT, "the lock is held");
	}
	code = sole_later(call);
	if (code != SOLE_WAITING)
		return code;
	struct sole_value at = place_in_line(&place, name, (uint64_t)sole_call_token(call));
	struct sole_value self = pair(me, sole_call_session(call), sole_call_sequence(call));
	int put = sole_map_put(table->line, at, self);
	if (put == SOLE_OK)
		put = sole_map_put(table->waiting, self, at);
	return put != SOLE_OK ? put : SOLE_WAITING;
}

int lock_lock(struct sole_call *call)
{
	return take(call, 1);
}

int lock_try(struct sole_call *call)
{
	return take(call, 0);
}

/* The first in a lock's line: its place, and who it is. */
static int first_in_line(struct table *table, struct sole_value name, struct sole_value *place, struct sole_value *who)
{
	struct place from;
	struct sole_value begin = place_in_line(&from, name, 0);

	return sole_map_seek(table->line, begin, 0, place, who) && place->size == begin.size &&
	       memcmp(place->bytes, begin.bytes, name.size + 1) == 0;
}

/* Takes the first out of a lock's line. `waiter` gets session and sequence; *found tells whether there was one. */
static int leave_line(struct sole_call *call, struct sole_value name, unsigned char waiter[PAIR], int *found)
{
	struct table *table = context(call);
	struct sole_value at, who;
	struct place place;

	*found = first_in_line(table, name, &at, &who);
	if (!*found)
		return SOLE_OK;
	memcpy(waiter, who.bytes, PAIR);
	memcpy(place.bytes, at.bytes, at.size);
	int code = sole_map_remove(table->line, sole_bytes(place.bytes, at.size));
	return code != SOLE_OK ? code : sole_map_remove(table->waiting, sole_bytes(waiter, PAIR));
}

/* A session that has come to hold a lock has it for all its requests: those that wait are answered. */
static int answer_others(struct sole_call *call, struct sole_value name, uint64_t session,
			 struct sole_value token)
{
	struct table *table = context(call);
	unsigned char copy[PAIR];
	struct sole_value self = pair(copy, session, 0), found, at;
	struct place begin, place;
	uint32_t size = place_in_line(&begin, name, 0).size;

	while (sole_map_seek(table->waiting, self, 1, &found, &at) && first_of(found) == session) {
		memcpy(copy, found.bytes, PAIR);
		if (at.size != size || memcmp(at.bytes, begin.bytes, name.size + 1) != 0)
			continue;
		memcpy(place.bytes, at.bytes, at.size);
		int code = sole_map_remove(table->line, sole_bytes(place.bytes, at.size));
		if (code == SOLE_OK)
			code = sole_map_remove(table->waiting, self);
		if (code != SOLE_OK)
			return code;
		sole_answer_later(call, session, second_of(self), &token, 1);
	}
	return SOLE_OK;
}

/* The lock is free: it goes to the next in line, if there is one. `name` is the caller's copy. */
static int pass_on(struct sole_call *call, struct sole_value name)
{
	unsigned char waiter[PAIR];
	int found, code = sole_map_remove(context(call)->locks, name);

	while (code == SOLE_OK) {
		code = leave_line(call, name, waiter, &found);
		if (code != SOLE_OK)
			return code;
		if (!found) {
			sole_emit(call, "unlock", name, sole_none());
			return SOLE_OK;
		}
		struct sole_value self = sole_bytes(waiter, PAIR),
				  answer = sole_integer(sole_call_token(call));
		/* Who does not wait any more would hold it for ever. */
		if (!sole_answer_later(call, first_of(self), second_of(self), &answer, 1))
			continue;
		code = give(call, name, first_of(self), answer.integer);
		return code != SOLE_OK ? code : answer_others(call, name, first_of(self), answer);
	}
	return code;
}

static int let_go(struct sole_call *call, uint64_t session, struct sole_value name)
{
	struct place place;
	int code = sole_map_remove(context(call)->held, held_key(&place, session, name));

	return code != SOLE_OK ? code : pass_on(call, name);
}

int lock_unlock(struct sole_call *call)
{
	struct sole_value name = sole_argument(call, 0), holder;
	int code = name_problem(call, name);

	if (code != SOLE_OK)
		return code;
	if (!sole_map_get(context(call)->locks, name, &holder) || first_of(holder) != sole_call_session(call))
		return sole_refuse(call, SOLE_CONFLICT, "this session does not hold the lock");
	return let_go(call, sole_call_session(call), name);
}

int lock_holder(struct sole_call *call)
{
	struct table *table = context(call);
	struct sole_value name = sole_argument(call, 0), holder, place, who;
	struct place from;
	int64_t waiting = 0;
	int held = sole_map_get(table->locks, name, &holder);

	sole_answer(call, held ? sole_integer((int64_t)first_of(holder)) : sole_none());
	sole_answer(call, held ? sole_integer((int64_t)second_of(holder)) : sole_none());
	if (held && first_in_line(table, name, &place, &who)) {
		struct sole_value begin = place_in_line(&from, name, 0);
		do {
			waiting++;
			int code = sole_checkpoint(call);
			if (code != SOLE_OK)
				return code;
		} while (sole_map_seek(table->line, place, 1, &place, &who) && place.size == begin.size &&
			 memcmp(place.bytes, begin.bytes, name.size + 1) == 0);
	}
	sole_answer(call, sole_integer(waiting));
	return SOLE_OK;
}

int lock_check(struct sole_call *call)
{
	struct sole_value holder;

	if (sole_map_get(context(call)->locks, sole_argument(call, 0), &holder) &&
	    second_of(holder) == (uint64_t)sole_argument(call, 1).integer)
		return SOLE_OK;
	return sole_refuse(call, SOLE_CONFLICT, "the lock is not held with this token");
}

int lock_session_ended(struct sole_call *call)
{
	struct table *table = context(call);
	uint64_t session = sole_call_session(call);
	struct sole_value at, key, value;
	struct place copy; /* the entry it stands in goes */

	/* On from the one before: what was removed is stepped over again and again from the start. */
	at = held_key(&copy, session, sole_bytes("", 0));
	for (int after = 0; sole_map_seek(table->held, at, after, &key, &value) &&
			    sole_number_of_key(key.bytes) == session; after = 1) {
		memcpy(copy.bytes, key.bytes, key.size);
		at = sole_bytes(copy.bytes, key.size);
		int code = let_go(call, session, sole_bytes(copy.bytes + 8, key.size - 8));
		if (code != SOLE_OK)
			return code;
	}
	return SOLE_OK;
}

int lock_withdrawn(struct sole_call *call)
{
	struct table *table = context(call);
	unsigned char me[PAIR];
	struct sole_value self = pair(me, sole_call_session(call), sole_call_sequence(call)), at;
	struct place place;

	if (!sole_map_get(table->waiting, self, &at))
		return SOLE_OK;
	memcpy(place.bytes, at.bytes, at.size);
	int code = sole_map_remove(table->line, sole_bytes(place.bytes, at.size));
	return code != SOLE_OK ? code : sole_map_remove(table->waiting, self);
}

static int is_pair(struct sole_value value)
{
	return value.type == SOLE_BYTES && value.size == PAIR;
}

/* Who holds is who is noted to hold, and nobody waits for what is free. Also what cannot come from here is looked at:
 * a state comes from a file. */
const char *lock_invariant(struct table *table)
{
	struct sole_value key, value, other;
	unsigned char name[NAME_MOST];
	struct place place;

	if (sole_map_count(table->locks) != sole_map_count(table->held))
		return "locks that are held are not those that sessions hold";
	if (sole_map_count(table->line) != sole_map_count(table->waiting))
		return "those in line are not those that wait";
	for (int more = sole_map_seek(table->locks, sole_bytes("", 0), 0, &key, &value); more;
	     more = sole_map_seek(table->locks, key, 1, &key, &value))
		if (key.size > NAME_MOST || !is_pair(value) ||
		    !sole_map_get(table->held, held_key(&place, first_of(value), key), &other))
			return "a lock's holder does not know that it holds it";
	for (int more = sole_map_seek(table->line, sole_bytes("", 0), 0, &key, &value); more;
	     more = sole_map_seek(table->line, key, 1, &key, &value)) {
		if (key.size < PLACE_LEAST || key.size > sizeof place.bytes || !is_pair(value) ||
		    !sole_map_get(table->waiting, value, &other) || other.type != SOLE_BYTES || other.size != key.size ||
		    memcmp(other.bytes, key.bytes, key.size) != 0)
			return "somebody in line does not know the place";
		uint32_t size = key.size - PLACE_LEAST;
		memcpy(name, key.bytes, size);
		if (!sole_map_get(table->locks, sole_bytes(name, size), &other))
			return "somebody waits for a lock that is free";
	}
	return NULL;
}
