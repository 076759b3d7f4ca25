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

#include "owner/core/operations.h"

enum { SESSION_PARKED_MAX = 256, STORED_SMALL_BYTES = 32, SESSION_SLOT_BITS = 20 };

struct stored_reply {
	uint64_t revision;
	uint16_t code;
	bool kept;     /* false: answered, but the payload was dropped */
	uint32_t size; /* up to STORED_SMALL_BYTES it stands in `small` */
	union {
		uint8_t *large;
		uint8_t small[STORED_SMALL_BYTES];
	};
};

/* A command that waits, or waited, for its turn. It stands beside the window: however long it
 * waits, the commands behind it go on. */
struct parked {
	uint64_t sequence;
	bool waiting;
	int64_t until_ns;          /* the shell's: its deadline, monotonic; INT64_MAX: none */
	struct stored_reply reply; /* when it does not wait any more */
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
	struct parked *parked; /* in order of their sequences */
	uint32_t parked_count, parked_room, waiting_count;
	int64_t heard_ns;     /* the shell's: monotonic, not part of the state */
	bool dead;            /* the shell's: its process has ended, and it is to end, too */
	bool revoked;         /* the shell's: its user may not command any more, and it is to end, too */
	uint64_t connection;  /* the shell's: where it was last heard; 0: nowhere that takes notices */
	size_t slot;          /* the lowest SESSION_SLOT_BITS of the id: no two sessions have the same */
	struct session *next_same_hash;
};

struct sessions;

/* NULL: no memory. `seed` makes the ids differ from those of other incarnations. */
struct sessions *sessions_new(uint64_t seed, size_t sessions_max, uint64_t replies_bytes_max);
void sessions_set_limits(struct sessions *sessions, size_t sessions_max, uint64_t replies_bytes_max);
void sessions_destroy(struct sessions **sessions);

/* Opens a session, or finds the one that `nonce` opened before (*new tells). CODE_OK;
 * CODE_BUSY: as many as allowed; CODE_DENIED: the nonce is somebody else's; CODE_NO_MEMORY. */
enum code sessions_open(struct sessions *sessions, const struct caller *caller,
			const uint8_t nonce[PROTOCOL_NONCE_BYTES], struct session **session, bool *new);
void sessions_end(struct sessions *sessions, struct session **session);

/* A session as it was opened once, with its id: for snapshots and replay, which ask for no limit. The ids
 * that sessions_open gives from then on are others. CODE_OK, CODE_NO_MEMORY; CODE_INVALID: there is one of
 * that id or nonce, or no id can look like that. */
enum code sessions_restore(struct sessions *sessions, uint64_t id, const struct caller *caller,
			   const uint8_t nonce[PROTOCOL_NONCE_BYTES], struct session **session);

/* The count that the next id is made of: part of the state, or an id could be given out again. */
uint64_t sessions_next_id(const struct sessions *sessions);
void sessions_set_next_id(struct sessions *sessions, uint64_t next_id);

/* NULL when there is none of that id. Constant time. */
struct session *sessions_find(const struct sessions *sessions, uint64_t id);
size_t sessions_count(const struct sessions *sessions);

/* Walks all sessions, in order of their slots: start with *cursor = 0; NULL at the end. Ending the one
 * just returned is fine. */
struct session *sessions_next(const struct sessions *sessions, size_t *cursor);

/* Whether this caller may use the session: the uid, or the key, that opened it. */
bool session_belongs(const struct session *session, const struct caller *caller);

/* The client has every reply below `sequence`: those are dropped. */
void session_acknowledge(struct session *session, uint64_t sequence);

/* Before running sequence last+1: makes sure that its reply has a place when those below `acknowledged` (0:
 * no more than have been) are dropped, which is for session_acknowledge to do before the reply is stored:
 * what is not admitted changes nothing. CODE_OK, CODE_BUSY when PROTOCOL_WINDOW replies are unacknowledged,
 * CODE_NO_MEMORY. */
enum code session_reserve(struct session *session, uint64_t acknowledged);

/* Admits last+1 with its reply. session_reserve must have succeeded. Without memory for
 * the payload, or beyond the bytes allowed, older payloads or this one are dropped;
 * returns how many were. */
unsigned session_store(struct sessions *sessions, struct session *session, uint16_t code, uint64_t revision,
		       const uint8_t *payload, size_t size);

/* Before parking: CODE_OK, CODE_BUSY when SESSION_PARKED_MAX of the session wait,
 * CODE_NO_MEMORY. The oldest answer that was never acknowledged makes room. */
enum code session_reserve_parking(struct session *session);

/* Admits last+1 as waiting; session_reserve and session_reserve_parking must have succeeded. */
void session_park(struct session *session);
bool session_waits(const struct session *session, uint64_t sequence);

/* The lowest waiting sequence; 0: none. */
uint64_t session_first_waiting(const struct session *session);

/* Until when a waiting sequence may wait, unless that was said before. */
void session_limit_wait(struct session *session, uint64_t sequence, int64_t until_ns);

/* A waiting sequence of which the time is up at `now_ns`; 0: none (any more), and *next_ns is lowered
 * to when the next one's is. */
uint64_t session_overdue(const struct session *session, int64_t now_ns, int64_t *next_ns);

/* Gives a waiting sequence its reply. As session_store; a small reply is always kept. */
unsigned session_answer(struct sessions *sessions, struct session *session, uint64_t sequence, uint16_t code,
			uint64_t revision, const uint8_t *payload, size_t size);

/* The client has the late answer: it need not be kept. False: there is none of that sequence. */
bool session_received(struct session *session, uint64_t sequence);

/* The reply to a sequence up to `last`; NULL when it is no longer kept. */
const struct stored_reply *session_stored(const struct session *session, uint64_t sequence);

/* Whether a late answer was given and is not kept, nor was it acknowledged. */
bool session_lost_answer(const struct session *session, uint64_t sequence);

/* ---- for snapshots ---- */

/* The reply to a sequence from `oldest` to `last`, kept or not. */
const struct stored_reply *session_reply(const struct session *session, uint64_t sequence);

/* What a session was answered and waits for is put back behind sessions_restore: its window, whose replies
 * count as not kept until they are restored; those replies; and what is parked, in order of sequences. No
 * limit on bytes is asked. `reply` brings code, revision, kept and size, `payload` the bytes (copied); a
 * request without a reply waits. CODE_OK, CODE_NO_MEMORY; CODE_INVALID: no session can have come to that. */
enum code session_restore_window(struct session *session, uint64_t oldest, uint64_t last);
enum code session_restore_reply(struct session *session, uint64_t sequence, const struct stored_reply *reply,
				const uint8_t *payload);
enum code session_restore_parked(struct session *session, uint64_t sequence, const struct stored_reply *reply,
				 const uint8_t *payload);

static inline const uint8_t *stored_payload(const struct stored_reply *reply)
{
	return reply->size <= STORED_SMALL_BYTES ? reply->small : reply->large;
}

#endif
