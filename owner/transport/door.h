/* SPDX-License-Identifier: MIT
 *
 * door.h - the way in from other hosts: a ROUTER socket, its monitor, and the connections that came by it.
 */
#ifndef SOLE_OWNER_DOOR_H
#define SOLE_OWNER_DOOR_H

#include "owner/transport/connections.h"
#include "owner/transport/envelope.h"
#include "owner/transport/keyring.h"
#include "owner/transport/refusals.h"

enum door_kind {
	DOOR_CURVE, /* the key tells who calls */
	DOOR_CLEAR, /* nothing does */
};

struct door_settings {
	enum door_kind kind;
	const char *endpoint;    /* in libzmq's words; the port may be '*' */
	const struct certificate *certificate; /* DOOR_CURVE: the owner's own pair of keys */
	const struct keyring *keyring;         /* DOOR_CURVE: who may come */
	struct counters *counters;
};

/* Why a handshake failed. */
enum door_reason { DOOR_OTHER_MECHANISM, DOOR_OTHER_KEY, DOOR_NO_ZEROMQ, DOOR_LEFT, DOOR_SILENT, DOOR_REASONS };

struct door {
	enum door_kind kind;
	void *router, *monitor;
	int router_descriptor, monitor_descriptor;
	struct connections *connections;
	const struct keyring *keyring;
	struct counters *counters;
	struct refusals refusals[DOOR_REASONS]; /* of each kind: many of one do not hide another */
	uint16_t failure;        /* the event that told of a failed handshake: the next end is its connection's; 0: none */
	uint32_t failure_value;
};

/* Listens. Takes `connections` over, whatever comes of it; NULL fails. 0, or -1 with errno's number and the step that failed
 * in *step. */
int door_open(struct door *door, void *context, const struct door_settings *settings, struct connections *connections,
	      const char **step);

/* What was sent has up to `linger_ms`, in which it does not block: ending the context does. The connections stay
 * until door_clear. */
void door_close(struct door *door, int linger_ms);
void door_clear(struct door *door);

/* Where it listens, with the port that the system chose. */
void door_endpoint(const struct door *door, char *endpoint, size_t size);

/* Whether there is anything to receive, or an event: their descriptors tell of changes only. */
bool door_has_input(const struct door *door);

/* Tells in the log what is due. Returns when it is again; INT64_MAX: not at all. */
int64_t door_tend(struct door *door, int64_t now_ns);

/* Takes in beginnings and ends of connections, as many as there are, up to a bound. */
void door_take_events(struct door *door, int64_t now_ns);

/* Who sent it. False: it came with a key that may not come any more. */
bool door_caller(const struct door *door, struct envelope *envelope, struct caller *caller);

/* Of such a message: cuts its connection, if that is known by now. The message is to be dropped. */
void door_refuse(struct door *door, struct envelope *envelope, int64_t now_ns);

/* The connection it came by, after door_take_events; 0: that has ended, or is not known. */
uint64_t door_heard(struct door *door, struct envelope *envelope, int64_t now_ns);

/* Cuts connections whose key may not come any more. Returns how many. */
unsigned door_cut_revoked(struct door *door);

#endif
