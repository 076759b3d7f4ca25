/* SPDX-License-Identifier: MIT
 *
 * envelope.h - one message as frames: return path, empty delimiter, body (28/REQREP).
 *
 * Takes a message apart as it leaves the ROUTER socket and puts a reply's frames
 * together again. Nothing here blocks, counts, or knows of other messages.
 */
#ifndef SOLE_OWNER_ENVELOPE_H
#define SOLE_OWNER_ENVELOPE_H

#include "owner/core/operations.h"
#include "common/protocol.h"

#include <zmq.h>

/* The frames that lead back to who asked. The first is the routing id that the ROUTER socket gave
 * to a connection; with more, a broker stands between. */
struct return_path {
	void *router; /* whose connection that is */
	zmq_msg_t frames[PROTOCOL_RETURN_PATH_MAX];
	int count;
};

struct envelope {
	struct return_path path;
	zmq_msg_t body;
	bool overlong; /* frames followed the body, and were dropped */
};

enum envelope_taken {
	ENVELOPE_NOTHING, /* no message is there; nothing to clear */
	ENVELOPE_WHOLE,   /* whoever asked clears it */
	ENVELOPE_GARBAGE, /* a message that is not framed so, dropped; nothing to clear */
};

/* Takes the next message from `router`, if there is one. */
enum envelope_taken envelope_receive(struct envelope *envelope, void *router);
void envelope_clear(struct envelope *envelope);

/* The key of the connection it came by, as the owner's answer to 27/ZAP had it; "" when there was none. For messages that
 * came by CURVE: of others it would be the peer's own word. Valid as long as the body. */
const char *envelope_key(struct envelope *envelope);

/* The same number for all messages of one return path. */
uint64_t envelope_peer(struct envelope *envelope);

/* The descriptor of the connection it came by, -1 when libzmq does not tell. It may stand for a
 * later connection by now. */
int envelope_descriptor(struct envelope *envelope);

/* A path of one frame. False when there is no memory. */
bool return_path_init(struct return_path *path, void *router, const void *id, size_t id_size);
void return_path_copy(struct return_path *copy, struct return_path *path);
void return_path_clear(struct return_path *path);

enum sent {
	SENT,      /* the body is libzmq's now */
	SENT_FULL, /* the peer's pipe takes no more: try again later */
	SENT_GONE, /* there is no such peer (any longer) */
};

/* Sends `body` back along `path`, which stays as it is. Unless SENT, the body is still the caller's. */
enum sent return_path_send(struct return_path *path, zmq_msg_t *body);

#endif
