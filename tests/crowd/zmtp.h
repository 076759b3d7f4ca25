/* SPDX-License-Identifier: MIT
 *
 * zmtp.h - ZMTP 3.0 over a Unix socket by hand, as far as tests/crowd needs it: a thousand clients in one process,
 * of which some break the rules.
 */
#ifndef TESTS_CROWD_ZMTP_H
#define TESTS_CROWD_ZMTP_H

#include "common/protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { GREETING_BYTES = 64, HANDSHAKE_BYTES = GREETING_BYTES + 2 + 6 + 12 + 4 + 6 };

/* What a client says first: the greeting and READY, of a DEALER, without waiting for the other's. */
static inline void zmtp_handshake(uint8_t bytes[HANDSHAKE_BYTES])
{
	static const char ready[] = "\5READY\13Socket-Type\0\0\0\6DEALER";

	memset(bytes, 0, GREETING_BYTES);
	bytes[0] = 0xff;
	bytes[9] = 0x7f;
	bytes[10] = 3;
	memcpy(bytes + 12, "NULL", 4);
	bytes[GREETING_BYTES] = 4;
	bytes[GREETING_BYTES + 1] = sizeof ready - 1;
	memcpy(bytes + GREETING_BYTES + 2, ready, sizeof ready - 1);
}

/* Does not block, then or later; -1 with errno. */
static inline int zmtp_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

/* Finds the ends of messages in what arrives, in pieces of any size. Zeroed to begin with. */
struct zmtp_reader {
	unsigned greeted;   /* bytes of the greeting so far */
	uint8_t head[9];
	unsigned head_bytes;
	uint64_t left;      /* of the frame's body */
};

/* How many whole messages end in these bytes. */
static inline unsigned zmtp_read(struct zmtp_reader *reader, const uint8_t *bytes, size_t size)
{
	unsigned messages = 0;

	while (size > 0) {
		if (reader->greeted < GREETING_BYTES) {
			reader->greeted++;
			bytes++, size--;
			continue;
		}
		if (reader->left == 0) {
			reader->head[reader->head_bytes++] = *bytes++;
			size--;
			bool large = (reader->head[0] & 2) != 0;
			if (reader->head_bytes < (large ? 9U : 2U))
				continue;
			for (unsigned i = 1; i < reader->head_bytes; i++)
				reader->left = reader->left << 8 | reader->head[i];
			reader->head_bytes = 0;
			if (reader->left == 0 && (reader->head[0] & 5) == 0)
				messages++;
			continue;
		}
		size_t take = size < reader->left ? size : (size_t)reader->left;
		bytes += take;
		size -= take;
		reader->left -= take;
		if (reader->left == 0 && (reader->head[0] & 5) == 0)
			messages++;
	}
	return messages;
}

/* ---- messages of sole-protocol(7) ---- */

struct frames {
	uint8_t bytes[4096];
	size_t size;
	size_t count_at;
};

static inline void put(struct frames *frames, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		frames->bytes[frames->size++] = (uint8_t)(value >> 8 * i);
}

/* The delimiter's frame, the head of a long frame, and the message's header. */
static inline void frames_begin(struct frames *frames)
{
	frames->size = 0;
	put(frames, 1, 2);
	put(frames, 2, 1);
	frames->size += 8;
	put(frames, PROTOCOL_MAGIC, 4);
	put(frames, PROTOCOL_VERSION, 1);
	put(frames, MESSAGE_REQUEST, 1);
	frames->count_at = frames->size;
	put(frames, 0, 2);
	put(frames, 0, 8);
	put(frames, 0, 8);
	put(frames, 0, 8);
}

/* One RUN of one operation of the table: a key of text, and an integer unless it is a query. */
static inline void frames_run(struct frames *frames, unsigned flags, uint64_t deadline, uint16_t operation, const char *key,
			      int64_t integer)
{
	bool query = (flags & REQUEST_FLAG_QUERY) != 0;
	size_t length = strlen(key);

	put(frames, PROTOCOL_ITEM_HEADER_BYTES + 2 + 1 + 5 + length + (query ? 0 : 9), 4);
	put(frames, ITEM_RUN, 1);
	put(frames, flags, 1);
	put(frames, 0, 2);
	put(frames, 0, 8);
	put(frames, 0, 8);
	put(frames, deadline, 8);
	put(frames, operation, 2);
	put(frames, query ? 1 : 2, 1);
	put(frames, 2, 1);
	put(frames, length, 4);
	memcpy(frames->bytes + frames->size, key, length);
	frames->size += length;
	if (!query) {
		put(frames, 1, 1);
		put(frames, (uint64_t)integer, 8);
	}
	frames->bytes[frames->count_at]++;
}

/* The size of the body's frame is known now. */
static inline void frames_end(struct frames *frames)
{
	uint64_t body = frames->size - 11;

	for (int i = 0; i < 8; i++)
		frames->bytes[3 + i] = (uint8_t)(body >> 8 * (7 - i));
}

#endif
