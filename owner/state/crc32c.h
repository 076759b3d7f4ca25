/* SPDX-License-Identifier: MIT
 *
 * crc32c.h - the checksum of everything that is kept on disk: CRC-32C (RFC 3720, section 12.1).
 */
#ifndef SOLE_OWNER_CRC32C_H
#define SOLE_OWNER_CRC32C_H

#include <isa-l/crc.h>
#include <stddef.h>
#include <stdint.h>

/* Of `size` bytes behind those that `before` is of (0: none). */
static inline uint32_t crc32c(uint32_t before, const void *bytes, size_t size)
{
	enum { PIECE = 1 << 30 };
	const uint8_t *at = bytes;
	uint32_t crc = ~before;

	/* The library takes an int, and a pointer that it does not write through. */
	while (size > 0) {
		int piece = size < PIECE ? (int)size : PIECE;
		crc = crc32_iscsi((unsigned char *)(uintptr_t)at, piece, crc);
		at += piece;
		size -= (size_t)piece;
	}
	return ~crc;
}

#endif
