/* SPDX-License-Identifier: MIT
 *
 * local_out.c - replies and notices to a socket, and what waits for peers that do not read.
 *
 * A reply goes at once, in one system call. Several of a round to one peer are put together and go at its end. What the
 * socket does not take waits, and until it is gone nothing more is taken from that peer: so what waits is the answers of one
 * turn, whose size grows only while the peer reads. For all peers together it is bounded in bytes; beyond them a whole
 * message is dropped and counted, never a part of one, unless somebody has not read for so long that he is cut for it.
 */
#include "owner/transport/local_parts.h"

#include "common/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	CORK_BYTES = 65536,    /* what is put together of a round before it is written */
	KEEP_BYTES = 65536,    /* of an empty buffer */
	TURN_MOST = 16,        /* messages of one peer in one round */
	SMALL_BYTES = 4096,    /* copied together: cheaper than to write two pieces */
	AT_ONCE_BYTES = 32768, /* a socket takes all of it or nothing */
	STUCK_MS = 1000,       /* who has read nothing for so long makes room for others */
};

/* ---- the buffer of what waits ---- */

static uint64_t waiting_bytes(const struct link *link)
{
	return link->out.size - link->sent;
}

void link_drop_out(struct local *local, struct link *link)
{
	local->out_bytes -= waiting_bytes(link);
	link->sent = 0;
	if (link->out.capacity > KEEP_BYTES)
		buffer_clear(&link->out);
	else
		buffer_reset(&link->out);
}

static void watch_for_room(struct local *local, struct link *link)
{
	bool wanted = !link_is_clear(link) && !link->corked;

	if (wanted == link->watched_for_room)
		return;
	struct epoll_event event = { .events = wanted ? EPOLLOUT : EPOLLIN, .data.u64 = link_handle(link) };
	if (epoll_ctl(local->epoll, EPOLL_CTL_MOD, link->descriptor, &event) != 0)
		return;
	link->watched_for_room = wanted;
	local->counters->outbox_waits += wanted;
	if (!wanted && (link->readable || link->held.taken < link->held.size))
		link_line_up(local, link);
}

/* Its end is to be heard from reading, after what it still sent: also where the peer has not gone, but only reads no more,
 * or was sent half a message. */
static void give_up(struct local *local, struct link *link)
{
	link->broken = true;
	shutdown(link->descriptor, SHUT_RDWR);
	link_drop_out(local, link);
	watch_for_room(local, link);
}

static size_t write_some(struct local *local, struct link *link, const struct iovec *pieces, size_t count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = count };
	ssize_t sent;

	do
		sent = sendmsg(link->descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN)
		give_up(local, link);
	return sent > 0 ? (size_t)sent : 0;
}

void link_flush(struct local *local, struct link *link)
{
	while (!link_is_clear(link) && !link->broken) {
		const struct iovec piece = { link->out.data + link->sent, link->out.size - link->sent };
		size_t sent = write_some(local, link, &piece, 1);
		if (sent == 0)
			break;
		link->sent += sent;
		link->moved_ns = local->now_ns;
		local->out_bytes -= sent;
	}
	if (link_is_clear(link))
		link_drop_out(local, link);
	else if (link->sent > link->out.size / 2) {
		memmove(link->out.data, link->out.data + link->sent, link->out.size - link->sent);
		link->out.size -= link->sent;
		link->sent = 0;
	}
	watch_for_room(local, link);
}

/* Keeps what is left of the pieces behind `sent` bytes. False: no memory. */
static bool keep(struct local *local, struct link *link, const struct iovec *pieces, size_t count, size_t sent)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += pieces[i].iov_len;
	if (!buffer_reserve(&link->out, size - sent)) {
		link->out.failed = false;
		return false;
	}
	if (link_is_clear(link))
		link->moved_ns = local->now_ns;
	for (size_t i = 0; i < count; i++) {
		size_t skip = sent < pieces[i].iov_len ? sent : pieces[i].iov_len;
		sent -= skip;
		buffer_append(&link->out, (const uint8_t *)pieces[i].iov_base + skip, pieces[i].iov_len - skip);
		local->out_bytes += pieces[i].iov_len - skip;
	}
	return true;
}

void link_write(struct local *local, struct link *link, const uint8_t *bytes, size_t size)
{
	const struct iovec piece = { (void *)(uintptr_t)bytes, size };

	if (link->broken || waiting_bytes(link) > SMALL_BYTES)
		return; /* it does not read, or will ask again */
	size_t sent = link_is_clear(link) ? write_some(local, link, &piece, 1) : 0;
	if (sent < size && !link->broken && !keep(local, link, &piece, 1, sent))
		give_up(local, link);
	watch_for_room(local, link);
}

/* ---- messages ---- */

/* A message alone always does, however large. */
static bool fits(const struct local *local, size_t size)
{
	return local->out_bytes == 0 || local->out_bytes + size <= (uint64_t)local->limits->outbox_total_bytes;
}

static struct link *longest_stuck(const struct local *local)
{
	struct link *stuck = NULL;

	for (size_t i = 0; i < local->slot_count; i++) {
		struct link *link = local->slots[i];
		if (link->descriptor >= 0 && !link_is_clear(link) && !link->corked &&
		    (stuck == NULL || link->moved_ns < stuck->moved_ns))
			stuck = link;
	}
	return stuck;
}

/* For one that reads, at the cost of those that do not: else few of them could keep large answers from all others. */
static bool make_room(struct local *local, size_t size)
{
	while (!fits(local, size)) {
		struct link *stuck = longest_stuck(local);
		if (stuck == NULL || stuck->moved_ns + STUCK_MS * NS_PER_MS > local->now_ns)
			return false;
		local->counters->connections_cut++;
		link_end(local, stuck);
	}
	return true;
}

static bool drop(struct local *local)
{
	local->counters->outbox_drops++;
	return false;
}

/* Puts a message behind those of the round. */
static bool cork(struct local *local, struct link *link, const struct iovec *pieces, size_t count)
{
	if (!link->corked) {
		link->corked = true;
		local->corked[local->corked_count++] = link;
	}
	if (!keep(local, link, pieces, count, 0))
		return drop(local);
	local->counters->messages_sent++;
	if (waiting_bytes(link) > CORK_BYTES)
		link_flush(local, link);
	return true;
}

static bool send_pieces(struct local *local, struct link *link, const struct iovec *pieces, size_t count, bool with_others)
{
	size_t size = 0, sent = 0;

	for (size_t i = 0; i < count; i++)
		size += pieces[i].iov_len;
	if (with_others && fits(local, size))
		return cork(local, link, pieces, count);
	if (link->corked && !fits(local, size))
		link_flush(local, link);
	bool clear = link_is_clear(link);
	if (!clear && !fits(local, size))
		return drop(local);
	/* What the socket takes a part of must be kept. */
	if (size > AT_ONCE_BYTES && !make_room(local, size))
		return drop(local);
	if (clear) {
		sent = write_some(local, link, pieces, count);
		if (link->broken) {
			local->counters->unroutable++;
			return true;
		}
		if (sent == size) {
			local->counters->messages_sent++;
			return true;
		}
		if (sent == 0 && !fits(local, size))
			return drop(local);
	}
	if (!keep(local, link, pieces, count, sent)) {
		if (sent > 0)
			give_up(local, link); /* half a message: nothing can follow it */
		return drop(local);
	}
	local->counters->messages_sent++;
	watch_for_room(local, link);
	return true;
}

static bool send_message(struct local *local, struct link *link, const uint8_t *path, size_t path_size,
			 const struct buffer *body, bool with_others)
{
	uint8_t head[ZMTP_HEAD_BYTES], whole[SMALL_BYTES];
	size_t head_size = zmtp_head(head, false, body->size), size = path_size + head_size + body->size;

	if (body->failed)
		return drop(local);
	if (link->broken) {
		local->counters->unroutable++;
		return true;
	}
	if (size > sizeof whole) {
		const struct iovec pieces[] = { { (void *)(uintptr_t)path, path_size }, { head, head_size }, { body->data, body->size } };
		return send_pieces(local, link, pieces, 3, with_others);
	}
	memcpy(whole, path, path_size);
	memcpy(whole + path_size, head, head_size);
	memcpy(whole + path_size + head_size, body->data, body->size);
	const struct iovec piece = { whole, size };
	return send_pieces(local, link, &piece, 1, with_others);
}

void local_reply(struct local *local, size_t index, const struct buffer *body)
{
	const struct local_message *message = &local->round[index];
	struct link *link = message->link;

	if (link->descriptor < 0 || link->generation != message->generation)
		local->counters->unroutable++;
	else
		send_message(local, link, message->path, message->path_size, body, link->in_round > 1);
}

void local_release(struct local *local)
{
	for (size_t i = 0; i < local->corked_count; i++) {
		struct link *link = local->corked[i];
		link->corked = false;
		if (link->descriptor >= 0)
			link_flush(local, link);
	}
	for (size_t i = 0; i < local->round_count; i++) {
		struct link *link = local->round[i].link;
		if (link->in_round == 0)
			continue;
		link->in_round = 0;
		link->turn = !link_is_clear(link) ? 1 : link->turn < TURN_MOST ? 2 * link->turn : TURN_MOST;
	}
	local->round_count = local->corked_count = local->arena_used = 0;
}

bool local_ready(const struct local *local, uint64_t connection)
{
	const struct link *link = link_find(local, connection);

	return link != NULL && link->subscribed && link_is_clear(link);
}

bool local_send(struct local *local, uint64_t connection, const struct buffer *body)
{
	static const uint8_t delimiter[] = { ZMTP_MORE, 0 };
	struct link *link = link_find(local, connection);

	if (link != NULL && link->subscribed)
		return send_message(local, link, delimiter, sizeof delimiter, body, false);
	local->counters->unroutable++;
	return true;
}

void local_broadcast(struct local *local, const struct buffer *body)
{
	for (size_t i = 0; i < local->slot_count; i++)
		if (local->slots[i]->descriptor >= 0 && local->slots[i]->subscribed)
			local_send(local, link_handle(local->slots[i]), body);
}
