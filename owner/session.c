/* SPDX-License-Identifier: MIT
 *
 * session.c - the table of sessions and their stored replies.
 *
 * An id is a slot's number in its low bits and a count, begun at a random number,
 * above: found by one array access, and never the same again.
 */
#include "owner/session.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_BITS = 20, FIRST_SLOTS = 64, HASH_SIZE = 4096, FIRST_ROOM = 4 };

struct sessions {
	struct session **slots;
	size_t *free_slots; /* stack of slots without a session */
	size_t free_count, slot_count, count, max;
	uint64_t replies_bytes_max, next_id;
	struct session *by_nonce[HASH_SIZE];
};

struct sessions *sessions_new(uint64_t seed, size_t sessions_max, uint64_t replies_bytes_max)
{
	struct sessions *sessions = calloc(1, sizeof *sessions);

	if (sessions == NULL)
		return NULL;
	sessions->max = sessions_max < ((size_t)1 << SLOT_BITS) ? sessions_max : ((size_t)1 << SLOT_BITS) - 1;
	sessions->replies_bytes_max = replies_bytes_max;
	/* The count above the slot starts anywhere in the lower half, so it cannot run out,
	 * and never at 0: no id is 0. */
	sessions->next_id = (seed >> (SLOT_BITS + 1)) | 1;
	return sessions;
}

static void replies_free(struct session *session)
{
	for (uint32_t i = 0; i < session->room; i++)
		if (session->replies[i].payload != session->replies[i].small)
			free(session->replies[i].payload);
	free(session->replies);
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

static bool grow(struct sessions *sessions)
{
	size_t size = sessions->slot_count ? sessions->slot_count * 2 : FIRST_SLOTS;

	if (size > sessions->max)
		size = sessions->max;
	struct session **slots = realloc(sessions->slots, size * sizeof *slots);
	if (slots == NULL)
		return false;
	sessions->slots = slots;
	size_t *free_slots = realloc(sessions->free_slots, size * sizeof *free_slots);
	if (free_slots == NULL)
		return false;
	sessions->free_slots = free_slots;
	for (size_t slot = size; slot-- > sessions->slot_count;) {
		slots[slot] = NULL;
		free_slots[sessions->free_count++] = slot;
	}
	sessions->slot_count = size;
	return true;
}

enum code sessions_open(struct sessions *sessions, const struct caller *caller,
			const uint8_t nonce[PROTOCOL_NONCE_BYTES], struct session **session, bool *new)
{
	struct session **head = bucket(sessions, nonce), *s;

	for (s = *head; s != NULL; s = s->next_same_hash)
		if (memcmp(s->nonce, nonce, PROTOCOL_NONCE_BYTES) == 0)
			break;
	if (s != NULL) {
		*session = s;
		*new = false;
		return session_belongs(s, caller) ? CODE_OK : CODE_DENIED;
	}
	if (sessions->count >= sessions->max)
		return CODE_BUSY;
	if (sessions->free_count == 0 && !grow(sessions))
		return CODE_NO_MEMORY;
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return CODE_NO_MEMORY;
	s->slot = sessions->free_slots[--sessions->free_count];
	s->id = (sessions->next_id++ << SLOT_BITS) | s->slot;
	memcpy(s->nonce, nonce, PROTOCOL_NONCE_BYTES);
	s->opener = *caller;
	s->oldest = 1;
	s->next_same_hash = *head;
	*head = s;
	sessions->slots[s->slot] = s;
	sessions->count++;
	*session = s;
	*new = true;
	return CODE_OK;
}

void sessions_end(struct sessions *sessions, struct session **session)
{
	struct session *s = *session, **link = bucket(sessions, s->nonce);

	while (*link != s)
		link = &(*link)->next_same_hash;
	*link = s->next_same_hash;
	sessions->slots[s->slot] = NULL;
	sessions->free_slots[sessions->free_count++] = s->slot;
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
	return session->opener.known == caller->known && (!caller->known || session->opener.uid == caller->uid);
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
	if (reply->payload != reply->small)
		free(reply->payload);
	reply->payload = NULL;
	session->replies_bytes -= reply->size;
	reply->size = 0;
	reply->kept = false;
}

void session_acknowledge(struct session *session, uint64_t sequence)
{
	if (sequence > session->last + 1)
		sequence = session->last + 1;
	for (; session->oldest < sequence; session->oldest++)
		drop(session, at(session, session->oldest));
}

enum code session_reserve(struct session *session)
{
	uint64_t unacknowledged = session->last + 1 - session->oldest;

	if (unacknowledged >= PROTOCOL_WINDOW)
		return CODE_BUSY;
	if (unacknowledged < session->room)
		return CODE_OK;
	uint32_t room = session->room ? session->room * 2 : FIRST_ROOM;
	struct stored_reply *grown = calloc(room, sizeof *grown);
	if (grown == NULL)
		return CODE_NO_MEMORY;
	for (uint64_t sequence = session->oldest; sequence <= session->last; sequence++) {
		struct stored_reply *from = at(session, sequence), *to = &grown[sequence & (room - 1)];
		*to = *from;
		if (from->payload == from->small)
			to->payload = to->small;
	}
	free(session->replies);
	session->replies = grown;
	session->room = room;
	return CODE_OK;
}

unsigned session_store(struct sessions *sessions, struct session *session, uint16_t code, uint64_t revision,
		       const uint8_t *payload, size_t size)
{
	unsigned dropped = 0;
	struct stored_reply *reply = at(session, ++session->last);

	*reply = (struct stored_reply){ .revision = revision, .code = code, .kept = true, .size = (uint32_t)size };
	reply->payload = size <= sizeof reply->small ? reply->small : malloc(size);
	if (reply->payload == NULL) {
		reply->size = 0;
		reply->kept = false;
		return 1;
	}
	if (size > 0)
		memcpy(reply->payload, payload, size);
	session->replies_bytes += size;
	for (uint64_t old = session->oldest;
	     session->replies_bytes > sessions->replies_bytes_max && old <= session->last; old++)
		if (at(session, old)->kept) {
			drop(session, at(session, old));
			dropped++;
		}
	return dropped;
}

const struct stored_reply *session_stored(const struct session *session, uint64_t sequence)
{
	if (sequence < session->oldest || sequence > session->last)
		return NULL;
	const struct stored_reply *reply = at(session, sequence);
	return reply->kept ? reply : NULL;
}
