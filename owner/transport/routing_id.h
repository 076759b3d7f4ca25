/* SPDX-License-Identifier: MIT
 *
 * routing_id.h - what a ROUTER socket calls a connection: the first frame of its messages.
 *
 * libzmq makes one of five bytes, a zero and a number that counts up, unless the
 * peer brings a name of its own.
 */
#ifndef SOLE_OWNER_ROUTING_ID_H
#define SOLE_OWNER_ROUTING_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ROUTING_ID_MAX = 255 };

struct routing_id {
	uint8_t size; /* 0: none */
	uint8_t bytes[ROUTING_ID_MAX];
};

static inline bool routing_id_is(const struct routing_id *id, const void *bytes, size_t size)
{
	return id->size == size && memcmp(id->bytes, bytes, size) == 0;
}

#endif
