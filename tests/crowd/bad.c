/* SPDX-License-Identifier: MIT
 *
 * bad.c - many clients of an owner in one process that misbehave, each in its way and at a bounded rate: what is
 * looked at is what an owner makes of them, and not how fast they are.
 *
 *	bad PATH COUNT [WAY]
 *
 * The ways, taken in turn, or WAY for all of them:
 *
 *	garbage    messages that are none, items that are none, bytes that are no ZMTP; 50 a second each
 *	deaf       asks for 40 KB again and again, 50 times a second, and never reads
 *	fleeting   connects and leaves, 50 times a second: at once, in the greeting, in the handshake, while it is answered
 *	expired    sends eight requests whose time is over, 100 times a second
 *	halves     sends half of a frame of 60 KB, or of its head, and holds it for half a second; then a new one
 *
 * SIGTERM ends it.
 */
#include "tests/crowd/zmtp.h"
#include "common/clock.h"
#include "common/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

struct client;

struct way {
	const char *name;
	int64_t pause_ns;
	void (*act)(struct client *client);
};

struct client {
	const struct way *way;
	int fd; /* -1: none */
	int64_t next_ns;
	bool greeted;
	unsigned acts;
};

static const char *path;
static volatile sig_atomic_t stopping;
static uint64_t drawn = 88172645463325252;

static void stop(int number)
{
	(void)number;
	stopping = 1;
}

static uint64_t draw(uint64_t limit)
{
	drawn ^= drawn << 13;
	drawn ^= drawn >> 7;
	drawn ^= drawn << 17;
	return drawn % limit;
}

static void leave(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

/* False: not sent, or not all of it. */
static bool send_bytes(const struct client *client, const void *bytes, size_t size)
{
	return client->fd >= 0 && send(client->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}

static void come(struct client *client)
{
	uint8_t handshake[HANDSHAKE_BYTES];

	client->fd = zmtp_connect(path);
	client->greeted = false;
	zmtp_handshake(handshake);
	if (!send_bytes(client, handshake, sizeof handshake))
		leave(client);
}

/* Connects if need be. True once messages may be sent: libzmq takes none before it has sent its own READY, which
 * is seen here and stays to be read, by those who read. */
static bool is_there(struct client *client)
{
	uint8_t greeting[GREETING_BYTES + 32];

	if (client->fd < 0)
		come(client);
	else if (!client->greeted) {
		ssize_t got = recv(client->fd, greeting, sizeof greeting, MSG_PEEK | MSG_DONTWAIT);
		client->greeted = got == (ssize_t)sizeof greeting;
		if (got == 0)
			leave(client);
	}
	return client->fd >= 0 && client->greeted;
}

/* What was answered so far. False: the other side has gone. */
static bool swallow(const struct client *client)
{
	static uint8_t bytes[65536];
	ssize_t got;

	while ((got = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		;
	return got < 0 && errno == EAGAIN;
}

static void fill(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)draw(256);
}

static void garbage(struct client *client)
{
	struct frames frames;
	uint8_t noise[512];
	bool sent;

	if (!is_there(client))
		return;
	frames_begin(&frames);
	frames_run(&frames, REQUEST_FLAG_QUERY, 0, 1, "good1", 0);
	frames_end(&frames);
	switch (draw(8)) {
	case 0: /* no ZMTP at all */
		fill(noise, sizeof noise);
		sent = send_bytes(client, noise, sizeof noise);
		break;
	case 1: /* a message of noise */
	case 2:
		noise[0] = 1, noise[1] = 0, noise[2] = 0, noise[3] = 200;
		fill(noise + 4, 200);
		sent = send_bytes(client, noise, 204);
		break;
	default: /* behind the magic number nothing is safe */
		for (int i = 0; i < 6; i++)
			frames.bytes[15 + draw(frames.size - 15)] = (uint8_t)draw(256);
		sent = send_bytes(client, frames.bytes, frames.size);
	}
	if (!sent || !swallow(client))
		leave(client);
}

static void deaf(struct client *client)
{
	struct frames frames;

	if (!is_there(client))
		return;
	frames_begin(&frames);
	frames_run(&frames, REQUEST_FLAG_QUERY, 0, 1, "large", 0);
	frames_end(&frames);
	/* In the end there is no room for its questions either. */
	send_bytes(client, frames.bytes, frames.size);
	if (++client->acts % 500 == 0)
		leave(client);
}

static void fleeting(struct client *client)
{
	struct frames frames;
	uint8_t handshake[HANDSHAKE_BYTES];

	/* One that waits for READY goes on with that. */
	bool waits = client->fd >= 0;
	if (!waits)
		client->fd = zmtp_connect(path);
	zmtp_handshake(handshake);
	switch (waits ? 3 : draw(4)) {
	case 0:
		break;
	case 1:
		send_bytes(client, handshake, 1 + draw(GREETING_BYTES));
		break;
	case 2:
		send_bytes(client, handshake, sizeof handshake);
		break;
	default: /* in the middle of an answer */
		if (!waits)
			client->greeted = !send_bytes(client, handshake, sizeof handshake);
		if (!is_there(client))
			return;
		frames_begin(&frames);
		frames_run(&frames, REQUEST_FLAG_QUERY, 0, 1, "large", 0);
		frames_end(&frames);
		send_bytes(client, frames.bytes, frames.size);
	}
	leave(client);
}

static void expired(struct client *client)
{
	struct frames frames;

	if (!is_there(client))
		return;
	frames_begin(&frames);
	for (int i = 0; i < 8; i++)
		frames_run(&frames, REQUEST_FLAG_QUERY, 1, 1, "good1", 0);
	frames_end(&frames);
	if (!send_bytes(client, frames.bytes, frames.size) || !swallow(client))
		leave(client);
}

static void halves(struct client *client)
{
	static const uint8_t head[] = { 1, 0, 2, 0, 0, 0, 0, 0, 0, 0xea, 0x60 };
	static const uint8_t half[30000];

	if (client->acts++ % 8 == 0)
		leave(client);
	if (!is_there(client) || client->acts % 8 != 4)
		return;
	size_t of_head = draw(2) == 0 ? sizeof head : 1 + draw(sizeof head - 1);
	send_bytes(client, head, of_head);
	if (of_head == sizeof head)
		send_bytes(client, half, 1 + draw(sizeof half));
}

int main(int argc, char **argv)
{
	static const struct way ways[] = {
		{ "garbage", 20 * NS_PER_MS, garbage }, { "deaf", 20 * NS_PER_MS, deaf },
		{ "fleeting", 20 * NS_PER_MS, fleeting }, { "expired", 10 * NS_PER_MS, expired },
		{ "halves", 100 * NS_PER_MS, halves },
	};
	enum { WAYS = sizeof ways / sizeof *ways };

	log_init("crowd-bad");
	if (argc != 3 && argc != 4)
		fatal(EX_USAGE, "PATH COUNT [WAY]");
	signal(SIGTERM, stop);
	path = argv[1];
	size_t count = strtoul(argv[2], NULL, 10), only = WAYS;
	for (size_t i = 0; argc == 4 && i < WAYS; i++)
		if (strcmp(ways[i].name, argv[3]) == 0)
			only = i;
	if (argc == 4 && only == WAYS)
		fatal(EX_USAGE, "no such way: %s", argv[3]);
	struct client *clients = calloc(count, sizeof *clients);
	if (clients == NULL)
		fatal(EX_OSERR, "no memory");
	int64_t start_ns = clock_monotonic_ns();
	for (size_t i = 0; i < count; i++) {
		const struct way *way = &ways[only < WAYS ? only : i % WAYS];
		clients[i] = (struct client){ .way = way, .fd = -1, .next_ns = start_ns + (int64_t)draw((uint64_t)way->pause_ns) };
	}
	while (!stopping) {
		int64_t now_ns = clock_monotonic_ns(), next_ns = INT64_MAX;
		for (size_t i = 0; i < count; i++) {
			struct client *client = &clients[i];
			if (client->next_ns <= now_ns) {
				client->way->act(client);
				/* No catching up: a rate that is too high for the machine is lower. */
				client->next_ns += client->way->pause_ns;
				if (client->next_ns < now_ns)
					client->next_ns = now_ns + client->way->pause_ns;
			}
			if (client->next_ns < next_ns)
				next_ns = client->next_ns;
		}
		struct timespec until = { .tv_sec = next_ns / NS_PER_S, .tv_nsec = next_ns % NS_PER_S };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	for (size_t i = 0; i < count; i++)
		leave(&clients[i]);
	free(clients);
	return EX_OK;
}
