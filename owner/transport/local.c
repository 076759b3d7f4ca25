/* SPDX-License-Identifier: MIT
 *
 * local.c - who is connected: newcomers, ends, handles, what is due.
 *
 * A place for a connection is used again when its end has been told; its generation then tells the
 * two apart, so a handle never stands for another connection.
 */
#include "owner/transport/local_parts.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	ACCEPTS_AT_ONCE = 64,
	HANDSHAKE_MS = 5000, /* a silent connection is no client */
	SLOTS_LEAST = 64,
};

static const uint64_t listener_data = UINT64_MAX;

/* ---- places and handles ---- */

uint64_t link_handle(const struct link *link)
{
	return (uint64_t)link->generation << 32 | LOCAL_HANDLE | link->slot;
}

struct link *link_find(const struct local *local, uint64_t handle)
{
	size_t slot = (uint32_t)(handle ^ LOCAL_HANDLE);
	struct link *link = slot < local->slot_count ? local->slots[slot] : NULL;

	return link != NULL && link->descriptor >= 0 && link_handle(link) == handle ? link : NULL;
}

/* A place for a newcomer; NULL: no memory. */
static struct link *make_place(struct local *local)
{
	struct link *link = local->free;

	if (link != NULL) {
		local->free = link->next;
		return link;
	}
	if (local->slot_count == local->slot_room) {
		size_t room = local->slot_room > 0 ? 2 * local->slot_room : SLOTS_LEAST;
		struct link **grown = realloc(local->slots, room * sizeof *grown);
		if (grown == NULL)
			return NULL;
		local->slots = grown;
		local->slot_room = room;
	}
	link = calloc(1, sizeof *link);
	if (link == NULL)
		return NULL;
	link->slot = (uint32_t)local->slot_count;
	local->slots[local->slot_count++] = link;
	return link;
}

void link_line_up(struct local *local, struct link *link)
{
	if (link->pending)
		return;
	link->pending = true;
	link->next = NULL;
	*local->pending_end = link;
	local->pending_end = &link->next;
}

/* ---- beginnings ---- */

static void begin_handshake(struct local *local, struct link *link)
{
	link->handshake_next = NULL;
	link->handshake_before = local->handshakes_last;
	*(local->handshakes_last != NULL ? &local->handshakes_last->handshake_next : &local->handshakes) = link;
	local->handshakes_last = link;
}

void link_end_handshake(struct local *local, struct link *link)
{
	struct link *before = link->handshake_before, *next = link->handshake_next;

	*(before != NULL ? &before->handshake_next : &local->handshakes) = next;
	*(next != NULL ? &next->handshake_before : &local->handshakes_last) = before;
	link->handshake_before = link->handshake_next = NULL;
}

/* The kernel's word; a process of another namespace has no number here. */
static struct caller caller_of(int descriptor)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid == 0)
		return (struct caller){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	return (struct caller){ .uid = peer.uid, .gid = peer.gid, .pid = peer.pid, .known = true };
}

/* Where strangers can reach the socket, one of them must not keep out the others. Root and the owner's own user have better
 * means than that. */
static bool has_many(struct local *local, const struct caller *caller)
{
	uint64_t most = local->limits->user_connections > 0 ? (uint64_t)local->limits->user_connections :
							      (local->most + 1) / 2, count = 0;

	if (caller->known && (caller->uid == 0 || caller->uid == geteuid()))
		return false;
	for (size_t i = 0; i < local->slot_count && count < most; i++) {
		const struct link *link = local->slots[i];
		count += link->descriptor >= 0 && link->caller.known == caller->known && link->caller.uid == caller->uid;
	}
	if (count < most)
		return false;
	local->counters->limit_user_connections++;
	return true;
}

static void welcome(struct local *local, int descriptor)
{
	const struct caller caller = caller_of(descriptor);
	struct link *link = local->open < local->most && !has_many(local, &caller) ? make_place(local) : NULL;
	uint8_t opening[ZMTP_OPENING_BYTES];

	local->counters->connections_opened++;
	if (link == NULL) {
		local->counters->connections_refused++;
		close(descriptor);
		return;
	}
	*link = (struct link){ .descriptor = descriptor, .slot = link->slot, .generation = link->generation + 1,
			       .caller = caller, .whole_ns = local->now_ns, .turn = 1 };
	local->open++;
	begin_handshake(local, link);
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = link_handle(link) };
	if (epoll_ctl(local->epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
		local->counters->connections_refused++;
		link_end(local, link);
		return;
	}
	zmtp_opening(opening, ZMTP_ROUTER);
	link_write(local, link, opening, sizeof opening);
	/* Who connects has something to say. */
	link->readable = true;
	link_line_up(local, link);
}

/* Not through the gate, which is for libzmq's thread. */
static int accept_one(const struct local *local)
{
	return (int)syscall(SYS_accept4, local->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* Nobody has a descriptor left for a newcomer: it is taken from the queue all the same, or the queue would stay full, and
 * be told of for ever. */
static bool turn_away(struct local *local)
{
	if (errno != EMFILE && errno != ENFILE)
		return false;
	if (local->spare >= 0)
		close(local->spare);
	int descriptor = accept_one(local);
	if (descriptor >= 0) {
		close(descriptor);
		local->counters->connections_refused++;
	}
	local->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return descriptor >= 0;
}

static void accept_newcomers(struct local *local)
{
	local->knocked = false;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		int descriptor = accept_one(local);
		if (descriptor >= 0)
			welcome(local, descriptor);
		else if (errno != EINTR && errno != ECONNABORTED && !turn_away(local))
			return;
	}
}

/* ---- ends ---- */

static void note_ended(struct local *local, struct link *link)
{
	link->next = local->ended;
	local->ended = link;
}

void link_end(struct local *local, struct link *link)
{
	if (link->descriptor < 0)
		return;
	if (link->phase != LINK_TRAFFIC)
		link_end_handshake(local, link);
	link_drop_out(local, link);
	close(link->descriptor);
	link->descriptor = -1;
	link->subscribed = link->readable = false;
	local->open--;
	if (!link->pending) /* else the line hands it over */
		note_ended(local, link);
}

bool local_ended(struct local *local, uint64_t *connection)
{
	struct link *link = local->ended;

	if (link == NULL)
		return false;
	local->ended = link->next;
	*connection = link_handle(link);
	free(link->held.bytes);
	link->held.bytes = NULL;
	buffer_clear(&link->out);
	link->next = local->free;
	local->free = link;
	return true;
}

unsigned local_cut_silent(struct local *local, int64_t since_ns, bool filling)
{
	unsigned cut = 0;

	for (size_t i = 0; i < local->slot_count; i++) {
		struct link *link = local->slots[i];
		if (link->descriptor < 0 || link->whole_ns > since_ns ||
		    (filling && link->held.size == link->held.taken && !link->readable && link_is_clear(link)))
			continue;
		link_end(local, link);
		cut++;
	}
	local->counters->connections_cut += cut;
	return cut;
}

void local_tend(struct local *local, int64_t now_ns, int64_t *next_ns)
{
	const int64_t limit_ns = HANDSHAKE_MS * NS_PER_MS;

	local->now_ns = now_ns;
	while (local->handshakes != NULL && local->handshakes->whole_ns + limit_ns <= now_ns) {
		local->counters->connections_wrong++;
		link_end(local, local->handshakes);
	}
	*next_ns = local->handshakes != NULL ? local->handshakes->whole_ns + limit_ns : INT64_MAX;
}

/* ---- opening and closing ---- */

struct local *local_new(const struct local_settings *settings)
{
	struct local *local = calloc(1, sizeof *local);
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = listener_data };

	if (local == NULL)
		return NULL;
	local->listener = -1;
	local->epoll = settings->epoll;
	local->most = settings->most;
	local->limits = settings->limits;
	local->counters = settings->counters;
	local->pending_end = &local->pending;
	local->round_room = (size_t)settings->limits->round_messages;
	local->round = calloc(local->round_room, sizeof *local->round);
	local->corked = calloc(local->round_room, sizeof *local->corked);
	local->arena = malloc(LOCAL_ARENA_BYTES);
	local->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int flags = fcntl(settings->listener, F_GETFL);
	if (local->round == NULL || local->corked == NULL || local->arena == NULL || local->spare < 0 || flags < 0 ||
	    fcntl(settings->listener, F_SETFL, flags | O_NONBLOCK) != 0 ||
	    epoll_ctl(local->epoll, EPOLL_CTL_ADD, settings->listener, &event) != 0) {
		int saved = errno;
		local_destroy(&local, 0);
		errno = saved;
		return NULL;
	}
	local->listener = settings->listener;
	local->knocked = true; /* a socket that was handed over may have them waiting */
	return local;
}

static bool has_waiting(const struct link *link)
{
	return link->descriptor >= 0 && !link_is_clear(link);
}

/* What waits has until then to leave: one that does not read takes nobody's time but its own. */
static void linger(struct local *local, int64_t until_ns)
{
	struct pollfd *list = calloc(local->slot_count, sizeof *list);

	for (int64_t now_ns = 0; list != NULL && now_ns < until_ns; now_ns = clock_monotonic_ns()) {
		nfds_t count = 0;
		for (size_t i = 0; i < local->slot_count; i++) {
			if (has_waiting(local->slots[i]))
				link_flush(local, local->slots[i]);
			if (has_waiting(local->slots[i]))
				list[count++] = (struct pollfd){ .fd = local->slots[i]->descriptor, .events = POLLOUT };
		}
		if (count == 0)
			break;
		poll(list, count, clock_poll_ms(clock_monotonic_ns(), until_ns));
	}
	free(list);
}

void local_destroy(struct local **local, int linger_ms)
{
	struct local *l = *local;

	if (l == NULL)
		return;
	*local = NULL;
	local_release(l);
	linger(l, clock_monotonic_ns() + linger_ms * NS_PER_MS);
	for (size_t i = 0; i < l->slot_count; i++) {
		link_end(l, l->slots[i]);
		free(l->slots[i]->held.bytes);
		buffer_clear(&l->slots[i]->out);
		free(l->slots[i]);
	}
	if (l->listener >= 0)
		close(l->listener);
	if (l->spare >= 0)
		close(l->spare);
	free(l->slots);
	free(l->arena);
	free(l->round);
	free(l->corked);
	free(l);
}

/* ---- events and rounds ---- */

void local_event(struct local *local, uint64_t handle, uint32_t events)
{
	struct link *link;

	if (handle == listener_data) {
		local->knocked = true;
		return;
	}
	link = link_find(local, handle);
	if (link == NULL)
		return;
	if ((events & EPOLLOUT) != 0)
		link_flush(local, link);
	if ((events & ~(uint32_t)EPOLLOUT) == 0)
		return;
	if (!link_is_clear(link)) { /* it has gone, and nobody will read what waits */
		link_end(local, link);
		return;
	}
	link->readable = true;
	link_line_up(local, link);
}

bool local_has_input(const struct local *local)
{
	return local->knocked || local->pending != NULL;
}

/* Each who is in the line has one turn, so that a fast one is no faster than its turn. Who has more goes to its end;
 * who had none, because the round was full, stays before all. */
size_t local_receive(struct local *local, int64_t now_ns, struct intake *left, struct transport_message *messages)
{
	local->now_ns = now_ns;
	if (local->knocked)
		accept_newcomers(local);

	struct link *turn = local->pending, **turn_end = local->pending_end;
	local->pending = NULL;
	local->pending_end = &local->pending;
	while (turn != NULL && left->messages > 0 && left->bytes > 0) {
		struct link *link = turn;
		turn = link->next;
		link->pending = false;
		if (link->descriptor < 0) {
			note_ended(local, link);
		} else if (link_take(local, link, left, messages)) {
			if (left->bytes == 0 && link->in_round == 0) { /* no room was left for its turn */
				link->pending = true;
				link->next = turn;
				turn = link;
				break;
			}
			link_line_up(local, link);
		}
	}
	if (turn != NULL) {
		*turn_end = local->pending;
		if (local->pending == NULL)
			local->pending_end = turn_end;
		local->pending = turn;
	}
	return local->round_count;
}

void local_subscribe(struct local *local, uint64_t connection, bool wanted)
{
	struct link *link = link_find(local, connection);

	if (link != NULL)
		link->subscribed = wanted;
}

void local_set_most(struct local *local, uint64_t most)
{
	local->most = most;
}

uint64_t local_connections(const struct local *local)
{
	return local->open;
}

uint64_t local_outbox_bytes(const struct local *local)
{
	return local->out_bytes;
}
