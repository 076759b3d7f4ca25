/* SPDX-License-Identifier: MIT
 *
 * local.h - the Unix socket's door: a ROUTER, written here, for the peers of this host.
 *
 * To a peer it is what libzmq's ROUTER is: it speaks ZMTP 3 (common/zmtp.h), any DEALER, REQ or ROUTER may
 * connect. It works in the owner's own thread, so a request costs no wake-up but the owner's, and every byte that is
 * kept for a peer is counted here: a message that has no end, or a peer without a handshake, ends that connection
 * and nothing else. Nothing here blocks.
 *
 * The transport waits: what it is told of in its epoll set it passes on to local_event, and then asks local_receive. Handles
 * have LOCAL_HANDLE set, and are the data of the epoll events.
 */
#ifndef SOLE_OWNER_LOCAL_H
#define SOLE_OWNER_LOCAL_H

#include "common/buffer.h"
#include "owner/core/counters.h"
#include "owner/core/limits.h"
#include "owner/transport/message.h"

#define LOCAL_HANDLE (UINT64_C(1) << 31) /* in the lower half, where others have a descriptor */

struct local;

struct local_settings {
	int listener; /* a listening Unix socket; taken over on success */
	int epoll;    /* where what is to be waited for goes */
	uint64_t most; /* connections */
	const struct limits *limits;
	struct counters *counters;
};

/* NULL with errno. */
struct local *local_new(const struct local_settings *settings);

/* Gives what waits for peers up to `linger_ms`, in which it blocks; then ends all connections and closes the listener. */
void local_destroy(struct local **local, int linger_ms);

/* An epoll event with this handle as its data. */
void local_event(struct local *local, uint64_t handle, uint32_t events);

/* Is there anything to receive already? */
bool local_has_input(const struct local *local);

/* Takes in newcomers and messages; each message is stored at `messages`, its number in the return value. They stay until
 * local_release. */
size_t local_receive(struct local *local, int64_t now_ns, struct intake *left, struct transport_message *messages);

/* As the transport's functions of these names; `index` counts the messages of the last local_receive. */
void local_reply(struct local *local, size_t index, const struct buffer *body);
void local_release(struct local *local);
void local_subscribe(struct local *local, uint64_t connection, bool wanted);
bool local_ready(const struct local *local, uint64_t connection);
bool local_send(struct local *local, uint64_t connection, const struct buffer *body);
void local_broadcast(struct local *local, const struct buffer *body);
void local_tend(struct local *local, int64_t now_ns, int64_t *next_ns);
bool local_ended(struct local *local, uint64_t *connection);
unsigned local_cut_silent(struct local *local, int64_t since_ns, bool filling);

/* From now on so many may be open. */
void local_set_most(struct local *local, uint64_t most);
uint64_t local_connections(const struct local *local);
uint64_t local_outbox_bytes(const struct local *local);

#endif
