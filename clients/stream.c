/* SPDX-License-Identifier: MIT
 *
 * stream.c - a Unix socket that speaks ZMTP.
 *
 *	connect ok, the peer's READY: up -> the socket ends, or the peer breaks the framing:
 *	down -> (at once, then after 10 ms, 20 ms ... 200 ms) connect
 *
 * Of a lost connection nothing is kept: what was under way in it the engine asks again.
 * What the peer had sent before it went is read to its end first.
 */
#include "clients/stream.h"

#include "common/clock.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RETRY_MS = 10,        /* an owner that is restarted is back within some of these */
	RETRY_MAX_MS = 200,   /* while nobody listens */
	HANDSHAKE_MS = 10000, /* an owner that was stopped accepts and says nothing */
	ON_STACK_BYTES = 2048, /* a message up to this goes in one system call */
	PONGS_BYTES = 4096,    /* that wait: no more of them for a peer that does not read */
};

static void set_address(struct stream *stream, const char *path)
{
	size_t size = strlen(path);
	const size_t room = sizeof stream->address.sun_path;

	stream->address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(stream->address.sun_path, path, size < room ? size : room);
	if (path[0] == '@')
		stream->address.sun_path[0] = '\0';
	stream->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] != '@'));
}

/* ---- in an epoll set ---- */

short stream_poll_events(const struct stream *stream)
{
	return stream->sent < stream->out.size ? POLLIN | POLLOUT : POLLIN;
}

static bool watch(struct stream *stream, int what)
{
	bool room = stream->sent < stream->out.size;
	struct epoll_event event = { .events = room ? EPOLLIN | EPOLLOUT : EPOLLIN };

	stream->watched_for_room = room;
	return epoll_ctl(stream->epoll, what, stream->descriptor, &event) == 0;
}

bool stream_watch(struct stream *stream, int epoll)
{
	stream->epoll = epoll;
	return stream->descriptor < 0 || watch(stream, EPOLL_CTL_ADD);
}

static void watch_for_room(struct stream *stream)
{
	if (stream->epoll >= 0 && stream->watched_for_room != (stream->sent < stream->out.size))
		watch(stream, EPOLL_CTL_MOD);
}

/* ---- connecting ---- */

static int64_t pause_ns(unsigned tries)
{
	int64_t ms = tries < 6 ? RETRY_MS << tries : RETRY_MAX_MS;

	return (ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS) * NS_PER_MS;
}

/* Forgets the connection: closing takes the descriptor out of the epoll set. */
static void drop(struct stream *stream)
{
	if (stream->descriptor >= 0)
		close(stream->descriptor);
	stream->descriptor = -1;
	buffer_reset(&stream->out);
	stream->sent = 0;
	stream->mute = stream->drained = stream->ahead = false;
	if (stream->up) {
		stream->up = false;
		stream->down_untold = true;
		stream->tries = 0;
		stream->next_ns = INT64_MIN; /* at once, when it has been told */
	}
}

static void fail(struct stream *stream)
{
	bool was_up = stream->up;

	drop(stream);
	if (!was_up)
		stream->next_ns = clock_monotonic_ns() + pause_ns(stream->tries++);
}

/* As much as the socket takes. False: it takes nothing any more. */
static bool write_out(struct stream *stream)
{
	while (stream->sent < stream->out.size) {
		ssize_t sent = send(stream->descriptor, stream->out.data + stream->sent, stream->out.size - stream->sent,
				    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN;
		stream->sent += (size_t)sent;
	}
	buffer_reset(&stream->out);
	stream->sent = 0;
	return true;
}

/* A Unix socket is connected at once or not at all: EAGAIN tells of an owner's full queue. */
static bool reach(struct stream *stream)
{
	uint8_t opening[ZMTP_OPENING_BYTES];

	stream->descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (stream->descriptor < 0)
		return false;
	if (connect(stream->descriptor, (const struct sockaddr *)&stream->address, stream->address_size) != 0)
		return false;
	inbound_reset(&stream->in);
	zmtp_opening(opening, ZMTP_DEALER);
	buffer_append(&stream->out, opening, sizeof opening);
	return !stream->out.failed && write_out(stream) &&
	       (stream->epoll < 0 || watch(stream, EPOLL_CTL_ADD));
}

void stream_tend(struct stream *stream, int64_t now_ns)
{
	if (stream_deadline(stream) > now_ns)
		return;
	if (stream->descriptor >= 0 || !reach(stream))
		fail(stream);
	else
		stream->next_ns = now_ns + HANDSHAKE_MS * NS_PER_MS;
}

void stream_open(struct stream *stream, const char *path, int64_t now_ns)
{
	*stream = (struct stream){ .descriptor = -1, .epoll = -1, .next_ns = INT64_MIN };
	set_address(stream, path);
	stream_tend(stream, now_ns);
}

void stream_move(struct stream *stream, const char *path, int64_t now_ns)
{
	drop(stream);
	set_address(stream, path);
	stream->tries = 0;
	stream->next_ns = INT64_MIN;
	stream_tend(stream, now_ns);
}

void stream_close(struct stream *stream)
{
	drop(stream);
	inbound_clear(&stream->in);
	buffer_clear(&stream->out);
}

enum connection_event stream_event(struct stream *stream)
{
	if (stream->up_untold) {
		stream->up_untold = false;
		return CONNECTION_UP;
	}
	if (stream->down_untold) {
		stream->down_untold = false;
		return CONNECTION_DOWN;
	}
	return CONNECTION_NOTHING;
}

/* ---- messages ---- */

/* Nothing can be written any more. What the peer sent before it went is still to be read, and then its end. */
static void fall_mute(struct stream *stream)
{
	stream->mute = true;
	stream->drained = false;
	buffer_reset(&stream->out);
	stream->sent = 0;
	shutdown(stream->descriptor, SHUT_RDWR);
}

void stream_flush(struct stream *stream)
{
	if (stream->sent == stream->out.size)
		return;
	if (!write_out(stream))
		fall_mute(stream);
	watch_for_room(stream);
}

/* The delimiter, and the head of the body's frame. */
static size_t put_head(uint8_t *bytes, size_t body_size)
{
	size_t delimiter = zmtp_head(bytes, true, 0);

	return delimiter + zmtp_head(bytes + delimiter, false, body_size);
}

/* The common case, in one system call: a small message, and nothing waits before it. Returns how much is sent. */
static size_t send_small(struct stream *stream, uint8_t whole[ON_STACK_BYTES], size_t head, const struct buffer *body)
{
	if (body->size > 0)
		memcpy(whole + head, body->data, body->size);
	ssize_t sent = send(stream->descriptor, whole, head + body->size, MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent > 0 ? (size_t)sent : 0;
}

bool stream_send(struct stream *stream, const struct buffer *body)
{
	uint8_t whole[ON_STACK_BYTES];
	size_t head = put_head(whole, body->size), sent = 0;

	stream_flush(stream);
	if (!stream->up || stream->mute || stream->out.size > 0)
		return false;
	if (body->size <= sizeof whole - head)
		sent = send_small(stream, whole, head, body);
	if (sent == head + body->size)
		return true;
	if (!buffer_reserve(&stream->out, head + body->size)) {
		buffer_reset(&stream->out);
		if (sent > 0)
			fall_mute(stream); /* half a message: nothing can follow it */
		return false;
	}
	buffer_append(&stream->out, whole, head);
	buffer_append(&stream->out, body->data, body->size);
	stream->sent = sent;
	stream_flush(stream);
	return !stream->mute;
}

static void answer_ping(struct stream *stream, const uint8_t *context, size_t size)
{
	uint8_t pong[ZMTP_PONG_BYTES];
	size_t pong_size = zmtp_pong(pong, context, size);

	if (stream->mute || stream->out.size - stream->sent > PONGS_BYTES || !buffer_reserve(&stream->out, pong_size))
		return; /* it does not read, or will ask again */
	buffer_append(&stream->out, pong, pong_size);
	stream_flush(stream);
}

/* A body among what was read. False: there is none (any more); the connection may be gone. */
static bool next_body(struct stream *stream, const uint8_t **body, size_t *size)
{
	for (;;) {
		switch (inbound_next(&stream->in, body, size)) {
		case INBOUND_BODY:
			return true;
		case INBOUND_READY:
			stream->up = stream->up_untold = true;
			stream->tries = 0;
			stream->next_ns = INT64_MAX;
			break;
		case INBOUND_MISSHAPEN: /* not from an owner */
			break;
		case INBOUND_PING:
			answer_ping(stream, *body, *size);
			break;
		case INBOUND_FAULT:
			fail(stream);
			return false;
		case INBOUND_NOTHING:
			return false;
		}
	}
}

/* Reads once. False: nothing has come, or the connection is gone. */
static bool read_in(struct stream *stream)
{
	size_t room;
	uint8_t *to = inbound_room(&stream->in, &room);

	if (to == NULL) {
		fail(stream); /* no memory: what was under way is asked again */
		return false;
	}
	ssize_t got = recv(stream->descriptor, to, room, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		fail(stream);
		return false;
	}
	inbound_filled(&stream->in, (size_t)got);
	stream->drained = (size_t)got < room && !stream->mute;
	return true;
}

bool stream_receive(struct stream *stream, const uint8_t **body, size_t *size)
{
	stream_flush(stream);
	while (stream->descriptor >= 0) {
		bool found = next_body(stream, body, size);
		/* poll(2) knows nothing of what has been read already. */
		stream->ahead = found && stream->in.taken < stream->in.filled;
		if (found)
			return true;
		if (stream->descriptor < 0)
			return false;
		/* What has come since, poll(2) tells. Was it the end, a send is refused. */
		if (stream->drained) {
			stream->drained = false;
			return false;
		}
		if (!read_in(stream))
			return false;
	}
	return false;
}

bool stream_wait(struct stream *stream, const uint8_t **body, size_t *size)
{
	struct pollfd one = { .fd = stream->descriptor, .events = POLLIN };

	if (stream->sent < stream->out.size)
		return false; /* the peer waits, too */
	/* A read that blocks would take one system call less, and be woken twice: also when the peer reads what was
	 * sent, to find nothing and to sleep again. Among a hundred processes that costs two fifths of what they do. */
	if (!stream_recheck(stream) && poll(&one, 1, STREAM_WAIT_MS) <= 0)
		return false;
	stream_look_again(stream);
	return stream_receive(stream, body, size);
}
