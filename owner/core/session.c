/* SPDX-License-Identifier: MIT
 *
 * session.c - the table of sessions and their stored replies.
 *
 * An id is a slot's number in its low bits and a count, begun at a random number,
 * above: found by one array access, and never the same again.
 */
#include "owner/core/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_BITS = SESSION_SLOT_BITS, FIRST_SLOTS = 64, HASH_SIZE = 4096, FIRST_ROOM = 4 };

struct sessions {
	struct session **slots;
	size_t *free_slots;  /* slots without a session, in no order; the last one is taken first */
	size_t *free_places; /* where in it a slot stands: valid for those that do */
	size_t free_count, slot_count, count, max;
	uint64_t replies_bytes_max, next_id;
	struct session *by_nonce[HASH_SIZE];
};

void sessions_set_limits(struct sessions *sessions, size_t sessions_max, uint64_t replies_bytes_max)
{
	sessions->max = sessions_max < ((size_t)1 << SLOT_BITS) ? sessions_max : ((size_t)1 << SLOT_BITS) - 1;
	sessions->replies_bytes_max = replies_bytes_max;
}

struct sessions *sessions_new(uint64_t seed, size_t sessions_max, uint64_t replies_bytes_max)
{
	struct sessions *sessions = calloc(1, sizeof *sessions);

	if (sessions == NULL)
		return NULL;
	sessions_set_limits(sessions, sessions_max, replies_bytes_max);
	/* The count above the slot starts anywhere in the lower half, so it cannot run out,
	 * and never at 0: no id is 0. */
	sessions->next_id = (seed >> (SLOT_BITS + 1)) | 1;
	return sessions;
}

static void payload_free(struct stored_reply *reply)
{
	if (reply->size > STORED_SMALL_BYTES)
		free(reply->large);
}

static void replies_free(struct session *session)
{
	for (uint32_t i = 0; i < session->room; i++)
		payload_free(&session->replies[i]);
	free(session->replies);
	for (uint32_t i = 0; i < session->parked_count; i++)
		payload_free(&session->parked[i].reply);
	free(session->parked);
}

void sessions_destroy(struct sessions **sessions)
{
	struct sessions *s = *sessions;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->slot_count; i++)
		if (s->slots[i] != NULL) {
			replies_free(s->slots[i]);
			free(s->slots[i]);
		}
	free(s->slots);
	free(s->free_slots);
	free(s->free_places);
	free(s);
	*sessions = NULL;
}

/* Nonces are random; whoever sends others only slows the opening of their own. */
static struct session **bucket(struct sessions *sessions, const uint8_t nonce[PROTOCOL_NONCE_BYTES])
{
	uint32_t hash;
	memcpy(&hash, nonce, sizeof hash);
	return &sessions->by_nonce[hash % HASH_SIZE];
}

static void give_slot(struct sessions *sessions, size_t slot)
{
	sessions->slots[slot] = NULL;
	sessions->free_places[slot] = sessions->free_count;
	sessions->free_slots[sessions->free_count++] = slot;
}

static void take_slot(struct sessions *sessions, size_t slot)
{
	size_t place = sessions->free_places[slot], last = sessions->free_slots[--sessions->free_count];

	sessions->free_slots[place] = last;
	sessions->free_places[last] = place;
}

static bool widen(size_t **array, size_t size)
{
	size_t *grown = realloc(*array, size * sizeof **array);

	if (grown != NULL)
		*array = grown;
	return grown != NULL;
}

static bool grow(struct sessions *sessions, size_t size)
{
	struct session **slots = realloc(sessions->slots, size * sizeof *slots);

	if (slots == NULL)
		return false;
	sessions->slots = slots;
	if (!widen(&sessions->free_slots, size) || !widen(&sessions->free_places, size))
		return false;
	for (size_t slot = size; slot-- > sessions->slot_count;)
		give_slot(sessions, slot);
	sessions->slot_count = size;
	return true;
}

static bool grow_within_limit(struct sessions *sessions)
{
	size_t size = sessions->slot_count ? sessions->slot_count * 2 : FIRST_SLOTS;

	return grow(sessions, size < sessions->max ? size : sessions->max);
}

static struct session *find_nonce(struct sessions *sessions, const uint8_t nonce[PROTOCOL_NONCE_BYTES])
{
	struct session *s = *bucket(sessions, nonce);

	while (s != NULL && memcmp(s->nonce, nonce, PROTOCOL_NONCE_BYTES) != 0)
		s = s->next_same_hash;
	return s;
}

/* For a slot that is free. NULL: no memory. */
static struct session *make(struct sessions *sessions, uint64_t id, size_t slot, const struct caller *caller,
			    const uint8_t nonce[PROTOCOL_NONCE_BYTES])
{
	struct session **head = bucket(sessions, nonce), *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	take_slot(sessions, slot);
	s->slot = slot;
	s->id = id;
	memcpy(s->nonce, nonce, PROTOCOL_NONCE_BYTES);
	s->opener = *caller;
	s->oldest = 1;
	s->next_same_hash = *head;
	*head = s;
	sessions->slots[slot] = s;
	sessions->count++;
	return s;
}

enum code sessions_open(struct sessions *sessions, const struct caller *caller,
			const uint8_t nonce[PROTOCOL_NONCE_BYTES], struct session **session, bool *new)
{
	struct session *s = find_nonce(sessions, nonce);

	*new = s == NULL;
	if (s != NULL) {
		*session = s;
		return session_belongs(s, caller) ? CODE_OK : CODE_DENIED;
	}
	if (sessions->count >= sessions->max)
		return CODE_BUSY;
	if (sessions->free_count == 0 && !grow_within_limit(sessions))
		return CODE_NO_MEMORY;
	size_t slot = sessions->free_slots[sessions->free_count - 1];
	s = make(sessions, (sessions->next_id << SLOT_BITS) | slot, slot, caller, nonce);
	if (s == NULL)
		return CODE_NO_MEMORY;
	sessions->next_id++;
	*session = s;
	return CODE_OK;
}

enum code sessions_restore(struct sessions *sessions, uint64_t id, const struct caller *caller,
			   const uint8_t nonce[PROTOCOL_NONCE_BYTES], struct session **session)
{
	size_t slot = id & (((size_t)1 << SLOT_BITS) - 1), size = FIRST_SLOTS;

	if (id >> SLOT_BITS == 0 || find_nonce(sessions, nonce) != NULL ||
	    (slot < sessions->slot_count && sessions->slots[slot] != NULL))
		return CODE_INVALID;
	while (size <= slot)
		size *= 2;
	if (size > sessions->slot_count && !grow(sessions, size))
		return CODE_NO_MEMORY;
	*session = make(sessions, id, slot, caller, nonce);
	if (*session == NULL)
		return CODE_NO_MEMORY;
	if (sessions->next_id <= id >> SLOT_BITS)
		sessions->next_id = (id >> SLOT_BITS) + 1;
	return CODE_OK;
}

uint64_t sessions_next_id(const struct sessions *sessions)
{
	return sessions->next_id;
}

void sessions_set_next_id(struct sessions *sessions, uint64_t next_id)
{
	sessions->next_id = next_id;
}

void sessions_end(struct sessions *sessions, struct session **session)
{
	struct session *s = *session, **link = bucket(sessions, s->nonce);

	while (*link != s)
		link = &(*link)->next_same_hash;
	*link = s->next_same_hash;
	give_slot(sessions, s->slot);
	sessions->count--;
	replies_free(s);
	free(s);
	*session = NULL;
}

struct session *sessions_find(const struct sessions *sessions, uint64_t id)
{
	size_t slot = id & (((size_t)1 << SLOT_BITS) - 1);
	struct session *session = slot < sessions->slot_count ? sessions->slots[slot] : NULL;

	return session != NULL && session->id == id ? session : NULL;
}

size_t sessions_count(const struct sessions *sessions)
{
	return sessions->count;
}

struct session *sessions_next(const struct sessions *sessions, size_t *cursor)
{
	while (*cursor < sessions->slot_count) {
		struct session *session = sessions->slots[(*cursor)++];
		if (session != NULL)
			return session;
	}
	return NULL;
}

bool session_belongs(const struct session *session, const struct caller *caller)
{
	return caller_same(&session->opener, caller);
}

static struct stored_reply *at(const struct session *session, uint64_t sequence)
{
	return &session->replies[sequence & (session->room - 1)];
}

/* gcc 12 loses sight of what hangs in an array, and takes it for leaked. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

static void drop(struct session *session, struct stored_reply *reply)
{
	payload_free(reply);
	session->replies_bytes -= reply->size;
	reply->size = 0;
	reply->kept = false;
}

/* The lowest sequence whose reply is kept when those below `acknowledged` are not. */
static uint64_t oldest_after(const struct session *session, uint64_t acknowledged)
{
	if (acknowledged > session->last + 1)
		return session->last + 1;
	return acknowledged > session->oldest ? acknowledged : session->oldest;
}

void session_acknowledge(struct session *session, uint64_t sequence)
{
	for (uint64_t oldest = oldest_after(session, sequence); session->oldest < oldest; session->oldest++)
		drop(session, at(session, session->oldest));
}

enum code session_reserve(struct session *session, uint64_t acknowledged)
{
	uint64_t unacknowledged = session->last + 1 - oldest_after(session, acknowledged);

	if (unacknowledged >= PROTOCOL_WINDOW)
		return CODE_BUSY;
	if (unacknowledged < session->room)
		return CODE_OK;
	uint32_t room = session->room ? session->room * 2 : FIRST_ROOM;
	struct stored_reply *grown = calloc(room, sizeof *grown);
	if (grown == NULL)
		return CODE_NO_MEMORY;
	for (uint64_t sequence = session->oldest; sequence <= session->last; sequence++)
		grown[sequence & (room - 1)] = *at(session, sequence);
	free(session->replies);
	session->replies = grown;
	session->room = room;
	return CODE_OK;
}

/* Drops replies until they take no more than is allowed: the oldest first, late answers behind the
 * others, the newest last of all. Returns how many. */
static unsigned trim(const struct sessions *sessions, struct session *session, struct stored_reply *newest)
{
	uint64_t most = sessions->replies_bytes_max;
	unsigned dropped = 0;

	for (uint64_t old = session->oldest; session->replies_bytes > most && old <= session->last; old++)
		if (at(session, old)->kept && at(session, old) != newest) {
			drop(session, at(session, old));
			dropped++;
		}
	for (uint32_t i = 0; session->replies_bytes > most && i < session->parked_count; i++)
		if (session->parked[i].reply.kept && &session->parked[i].reply != newest) {
			drop(session, &session->parked[i].reply);
			dropped++;
		}
	if (session->replies_bytes > most) {
		drop(session, newest);
		dropped++;
	}
	return dropped;
}

static bool copy_payload(struct session *session, struct stored_reply *reply, const uint8_t *payload, size_t size)
{
	uint8_t *copy = size <= STORED_SMALL_BYTES ? reply->small : malloc(size);

	if (copy == NULL)
		return false;
	if (size > 0)
		memcpy(copy, payload, size);
	if (size > STORED_SMALL_BYTES)
		reply->large = copy;
	reply->size = (uint32_t)size;
	reply->kept = true;
	session->replies_bytes += size;
	return true;
}

/* Returns how many replies were dropped for it, itself included. */
static unsigned keep(struct sessions *sessions, struct session *session, struct stored_reply *reply,
		     const uint8_t *payload, size_t size)
{
	return copy_payload(session, reply, payload, size) ? trim(sessions, session, reply) : 1;
}

unsigned session_store(struct sessions *sessions, struct session *session, uint16_t code, uint64_t revision,
		       const uint8_t *payload, size_t size)
{
	struct stored_reply *reply = at(session, ++session->last);

	*reply = (struct stored_reply){ .revision = revision, .code = code };
	return keep(sessions, session, reply, payload, size);
}

/* ---- what waits ---- */

static struct parked *find_parked(const struct session *session, uint64_t sequence)
{
	for (uint32_t i = 0; i < session->parked_count; i++)
		if (session->parked[i].sequence == sequence)
			return &session->parked[i];
	return NULL;
}

static void remove_parked(struct session *session, struct parked *parked)
{
	struct parked *end = session->parked + session->parked_count--;

	drop(session, &parked->reply);
	memmove(parked, parked + 1, (size_t)((uint8_t *)end - (uint8_t *)(parked + 1)));
}

static bool grow_parking(struct session *session)
{
	if (session->parked_count < session->parked_room)
		return true;
	uint32_t room = session->parked_room ? session->parked_room * 2 : FIRST_ROOM;
	struct parked *grown = realloc(session->parked, room * sizeof *grown);
	if (grown == NULL)
		return false;
	session->parked = grown;
	session->parked_room = room;
	return true;
}

enum code session_reserve_parking(struct session *session)
{
	if (session->parked_count == SESSION_PARKED_MAX) {
		for (uint32_t i = 0; i < session->parked_count; i++)
			if (!session->parked[i].waiting) {
				remove_parked(session, &session->parked[i]);
				return CODE_OK;
			}
		return CODE_BUSY;
	}
	return grow_parking(session) ? CODE_OK : CODE_NO_MEMORY;
}

void session_park(struct session *session)
{
	*at(session, ++session->last) = (struct stored_reply){ .kept = false };
	session->parked[session->parked_count++] =
		(struct parked){ .sequence = session->last, .waiting = true, .until_ns = INT64_MAX };
	session->waiting_count++;
}

bool session_waits(const struct session *session, uint64_t sequence)
{
	const struct parked *parked = find_parked(session, sequence);

	return parked != NULL && parked->waiting;
}

uint64_t session_first_waiting(const struct session *session)
{
	for (uint32_t i = 0; i < session->parked_count; i++)
		if (session->parked[i].waiting)
			return session->parked[i].sequence;
	return 0;
}

void session_limit_wait(struct session *session, uint64_t sequence, int64_t until_ns)
{
	struct parked *parked = find_parked(session, sequence);

	if (parked != NULL && parked->until_ns == INT64_MAX)
		parked->until_ns = until_ns;
}

uint64_t session_overdue(const struct session *session, int64_t now_ns, int64_t *next_ns)
{
	if (session->waiting_count == 0)
		return 0;
	for (uint32_t i = 0; i < session->parked_count; i++) {
		const struct parked *parked = &session->parked[i];
		if (!parked->waiting)
			continue;
		if (parked->until_ns <= now_ns)
			return parked->sequence;
		if (parked->until_ns < *next_ns)
			*next_ns = parked->until_ns;
	}
	return 0;
}

unsigned session_answer(struct sessions *sessions, struct session *session, uint64_t sequence, uint16_t code,
			uint64_t revision, const uint8_t *payload, size_t size)
{
	struct parked *parked = find_parked(session, sequence);

	assert(parked != NULL && parked->waiting);
	parked->waiting = false;
	session->waiting_count--;
	parked->reply = (struct stored_reply){ .revision = revision, .code = code };
	return keep(sessions, session, &parked->reply, payload, size);
}

bool session_received(struct session *session, uint64_t sequence)
{
	struct parked *parked = find_parked(session, sequence);

	if (parked == NULL || parked->waiting)
		return false;
	remove_parked(session, parked);
	return true;
}

const struct stored_reply *session_stored(const struct session *session, uint64_t sequence)
{
	const struct parked *parked = session->parked_count > 0 ? find_parked(session, sequence) : NULL;

	if (parked != NULL)
		return !parked->waiting && parked->reply.kept ? &parked->reply : NULL;
	if (sequence < session->oldest || sequence > session->last)
		return NULL;
	const struct stored_reply *reply = at(session, sequence);
	return reply->kept ? reply : NULL;
}

bool session_lost_answer(const struct session *session, uint64_t sequence)
{
	const struct parked *parked = find_parked(session, sequence);

	return parked != NULL && !parked->waiting && !parked->reply.kept;
}

/* ---- for snapshots ---- */

const struct stored_reply *session_reply(const struct session *session, uint64_t sequence)
{
	return at(session, sequence);
}

enum code session_restore_window(struct session *session, uint64_t oldest, uint64_t last)
{
	uint32_t room = FIRST_ROOM;

	if (session->last != 0 || oldest == 0 || last > INT64_MAX || oldest > last + 1 ||
	    last + 1 - oldest > PROTOCOL_WINDOW)
		return CODE_INVALID;
	if (oldest <= last) {
		while (room < last + 1 - oldest)
			room *= 2;
		session->replies = calloc(room, sizeof *session->replies);
		if (session->replies == NULL)
			return CODE_NO_MEMORY;
		session->room = room;
	}
	session->oldest = oldest;
	session->last = last;
	return CODE_OK;
}

static enum code restore(struct session *session, struct stored_reply *place, const struct stored_reply *reply,
			 const uint8_t *payload)
{
	*place = (struct stored_reply){ .revision = reply->revision, .code = reply->code };
	return !reply->kept || copy_payload(session, place, payload, reply->size) ? CODE_OK : CODE_NO_MEMORY;
}

enum code session_restore_reply(struct session *session, uint64_t sequence, const struct stored_reply *reply,
				const uint8_t *payload)
{
	if (sequence < session->oldest || sequence > session->last || at(session, sequence)->kept)
		return CODE_INVALID;
	return restore(session, at(session, sequence), reply, payload);
}

enum code session_restore_parked(struct session *session, uint64_t sequence, const struct stored_reply *reply,
				 const uint8_t *payload)
{
	uint64_t before = session->parked_count > 0 ? session->parked[session->parked_count - 1].sequence : 0;

	if (sequence <= before || sequence > session->last || session->parked_count == SESSION_PARKED_MAX)
		return CODE_INVALID;
	if (!grow_parking(session))
		return CODE_NO_MEMORY;
	struct parked *parked = &session->parked[session->parked_count++];
	*parked = (struct parked){ .sequence = sequence, .waiting = reply == NULL, .until_ns = INT64_MAX };
	session->waiting_count += parked->waiting;
	return parked->waiting ? CODE_OK : restore(session, &parked->reply, reply, payload);
}
