/* SPDX-License-Identifier: MIT
 *
 * session.h - who asks, across reconnects, and what they were answered: the memory
 * that makes a command's retry run once.
 *
 * A session numbers its commands from 1. `last` is the highest that was admitted;
 * the replies of those the client has not yet acknowledged are kept, at most
 * PROTOCOL_WINDOW of them and a bounded number of bytes. Pure: no clock, no I/O.
 */
#ifndef SOLE_OWNER_SESSION_H
#define SOLE_OWNER_SESSION_H

#include "owner/behaviour.h"

struct stored_reply {
	uint64_t revision;
	uint16_t code;
	bool kept;     /* false: answered, but the payload was dropped */
	uint32_t size;
	uint8_t *payload; /* inside the struct when it is small */
	uint8_t small[32];
};

struct session {
	uint64_t id;
	uint8_t nonce[PROTOCOL_NONCE_BYTES];
	struct caller opener;
	uint64_t last;        /* highest sequence admitted */
	uint64_t oldest;      /* lowest sequence whose reply may be kept */
	struct stored_reply *replies; /* ring of `room`, by sequence */
	uint32_t room;
	uint64_t replies_bytes;
	uint32_t silence_ms;
	int64_t heard_ns;     /* the shell's: monotonic, not part of the state */
	size_t slot;
	struct session *next_same_hash;
};

struct sessions;

/* NULL: no memory. `seed` makes the ids differ from those of other incarnations. */
struct sessions *sessions_new(uint64_t seed, size_t sessions_max, uint64_t replies_bytes_max);
void sessions_destroy(struct sessions **sessions);

/* Opens a session, or finds the one that `nonce` opened before (*new tells). CODE_OK;
 * CODE_BUSY: as many as allowed; CODE_DENIED: the nonce is somebody else's; CODE_NO_MEMORY. */
enum code sessions_open(struct sessions *sessions, const struct caller *caller,
			const uint8_t nonce[PROTOCOL_NONCE_BYTES], struct session **session, bool *new);
void sessions_end(struct sessions *sessions, struct session **session);

/* NULL when there is none of that id. Constant time. */
struct session *sessions_find(const struct sessions *sessions, uint64_t id);
size_t sessions_count(const struct sessions *sessions);

/* Walks all sessions: start with *cursor = 0; NULL at the end. Ending the one
 * just returned is fine. */
struct session *sessions_next(const struct sessions *sessions, size_t *cursor);

/* Whether this caller may use the session: the uid that opened it. */
bool session_belongs(const struct session *session, const struct caller *caller);

/* The client has every reply below `sequence`: those are dropped. */
void session_acknowledge(struct session *session, uint64_t sequence);

/* Before running sequence last+1: makes sure that its reply has a place.
 * CODE_OK, CODE_BUSY when PROTOCOL_WINDOW replies are unacknowledged, CODE_NO_MEMORY. */
enum code session_reserve(struct session *session);

/* Admits last+1 with its reply. session_reserve must have succeeded. Without memory for
 * the payload, or beyond the bytes allowed, older payloads or this one are dropped;
 * returns how many were. */
unsigned session_store(struct sessions *sessions, struct session *session, uint16_t code, uint64_t revision,
		       const uint8_t *payload, size_t size);

/* The reply to a sequence up to `last`; NULL when it is no longer kept. */
const struct stored_reply *session_stored(const struct session *session, uint64_t sequence);

#endif
