/* SPDX-License-Identifier: MIT
 *
 * stream.h - the way to an owner on this host: one Unix socket that speaks ZMTP, by the
 * thread that calls.
 *
 * To the owner's ROUTER it is a DEALER like any other. What libzmq's would do in a thread of its own is
 * done here where it is asked for: with one request at a time, that thread's two wake-ups are half of
 * what a request costs. It reconnects by itself, at the times that it tells. Nothing here blocks but
 * stream_wait.
 */
#ifndef SOLE_CLIENTS_STREAM_H
#define SOLE_CLIENTS_STREAM_H

#include "clients/connection_event.h"
#include "clients/inbound.h"
#include "common/buffer.h"

#include <sys/socket.h>
#include <sys/un.h>

struct stream {
	struct sockaddr_un address;
	socklen_t address_size;
	int descriptor; /* -1: not connected */
	int epoll;      /* where it is watched; -1: nowhere */
	bool watched_for_room;
	bool mute;      /* nothing can be written any more; there may be something to read */
	bool drained;   /* the last read took less than there was room for */
	bool ahead;     /* behind the body that was given out last stands more that was read */
	struct inbound in;
	struct buffer out; /* what the socket did not take yet, from `sent` on */
	size_t sent;
	bool up, up_untold, down_untold;
	int64_t next_ns;   /* when to connect, or to give up the handshake; INT64_MAX: neither */
	unsigned tries;    /* that failed, in a row */
};

/* Begins to connect to the socket at `path` ("@name": in the abstract namespace), which may not be there yet. The path fits. */
void stream_open(struct stream *stream, const char *path, int64_t now_ns);
void stream_close(struct stream *stream);

/* Leaves the connection, if there is one, for the socket at `path`. */
void stream_move(struct stream *stream, const char *path, int64_t now_ns);

/* From now on the epoll set `epoll` tells when to call; false: it cannot. */
bool stream_watch(struct stream *stream, int epoll);

/* What poll(2) should wait for on `descriptor`. */
short stream_poll_events(const struct stream *stream);

/* When to call stream_tend at the latest; INT64_MAX: not at all. */
static inline int64_t stream_deadline(const struct stream *stream)
{
	return stream->down_untold ? INT64_MAX : stream->next_ns;
}

/* Connects, or gives a handshake up, if it is time for that. */
void stream_tend(struct stream *stream, int64_t now_ns);

/* What has happened since; call until CONNECTION_NOTHING. Nothing connects again before a loss was told. */
enum connection_event stream_event(struct stream *stream);

static inline bool stream_eventful(const struct stream *stream)
{
	return stream->up_untold || stream->down_untold;
}

/* poll(2) has found something, or may have: stream_receive reads again. */
static inline void stream_look_again(struct stream *stream)
{
	stream->drained = false;
}

/* Is there something to receive, or to hear of, that poll(2) need not tell? */
static inline bool stream_recheck(const struct stream *stream)
{
	return stream->mute || stream->ahead || stream_eventful(stream);
}

/* False: not now, or not to this peer: it does not get all of it. A peer that has gone is noticed here, at once:
 * there is no network between. True: it is sent, or will be, unless the connection is lost before. The body is
 * not kept. */
bool stream_send(struct stream *stream, const struct buffer *body);

/* Writes on what is to be written still. stream_send and stream_receive do that too. */
void stream_flush(struct stream *stream);

/* The next body that has arrived, until the next call of stream_receive or stream_wait. False: none. */
bool stream_receive(struct stream *stream, const uint8_t **body, size_t *size);

/* The same, but waits for up to STREAM_WAIT_MS where nothing has, and is deaf to everything else meanwhile. False
 * at once where something is still to be written. */
enum { STREAM_WAIT_MS = 100 };
bool stream_wait(struct stream *stream, const uint8_t **body, size_t *size);

#endif
