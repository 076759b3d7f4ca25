/* SPDX-License-Identifier: MIT
 *
 * snapshot_parts.h - the bytes of a snapshot, as the files that write (snapshot_write.c) and read them see
 * them: blocks with their checksums (snapshot_blocks.c), and in them the state (snapshot_read.c). For
 * nobody else.
 *
 * Numbers are little-endian. The stream is a row of blocks, each a header of 16 bytes
 *	u32 magic "SNAP", u16 kind, u16 size of what follows, u32 number from 0, u32 CRC-32C
 * and 1 to 65520 bytes. The checksum is of the 12 bytes before it and of what follows, and goes on from
 * that of the block before: so no block can be changed, left out, doubled or taken from another snapshot.
 *
 * The first block is the head: u32 format, the numbers of HEAD_FIELDS (8 bytes each), u8 size and the
 * behaviour's name. The last is the end: the numbers of struct totals. Those between are one row of bytes,
 * the body:
 *	u8 maps, and for each, in order of names:
 *		u8 size and name, u64 entries (not 0), and for each, in order of keys:
 *			u16 size and key, u64 revision, u8 type, and i64, or u32 size and bytes
 *	u32 sessions, and for each, in order of slots:
 *		u64 id, nonce, u32 uid, u32 gid, u32 pid, u8 known, u64 born, u32 silence_ms, u64 oldest,
 *		u64 last,
 *		a reply for each sequence from oldest to last,
 *		u16 parked, and for each, in order: u64 sequence, u8 whether it waits, and if not, a reply
 *	u64 revision and u32 index of the last event that is gone, u64 events, and for each:
 *		u64 revision, u32 index, u32 size and the three values
 * A reply is u16 code, u64 revision, u8 whether it is kept, and if so, u32 size and payload.
 */
#ifndef SOLE_OWNER_SNAPSHOT_PARTS_H
#define SOLE_OWNER_SNAPSHOT_PARTS_H

#include "owner/state/snapshot.h"

#include "owner/state/crc32c.h"

enum {
	BLOCK_MAGIC = 0x50414e53, /* the bytes "SNAP" */
	BLOCK_BYTES = 65536,
	BLOCK_HEADER_BYTES = 16,
	BLOCK_CRC_AT = 12,
};

enum block_kind { BLOCK_HEAD = 1, BLOCK_BODY = 2, BLOCK_END = 3 };

/* FIELD(type, name): each takes 8 bytes. */
#define HEAD_FIELDS(FIELD)                              \
	FIELD(uint64_t, history)                        \
	FIELD(uint64_t, incarnation)                    \
	FIELD(uint64_t, round)                          \
	FIELD(uint64_t, revision)                       \
	FIELD(int64_t, time_us)                         \
	FIELD(int64_t, written_us)                      \
	FIELD(int64_t, token)                           \
	FIELD(uint32_t, version)                        \
	FIELD(uint64_t, entries)                        \
	FIELD(uint64_t, sessions)                       \
	FIELD(uint64_t, digest)                         \
	FIELD(uint64_t, segment_bytes)                  \
	FIELD(uint64_t, next_id)

struct totals {
	uint64_t entries, sessions, events, body_bytes;
};

/* Of a block with `size` bytes behind its header, that follows one with the checksum `before`. */
static inline uint32_t block_checksum(uint32_t before, const uint8_t *block, size_t size)
{
	return crc32c(crc32c(before, block, BLOCK_CRC_AT), block + BLOCK_HEADER_BYTES, size);
}

/* A snapshot that is being read. */
struct snapshot_reader {
	const struct snapshot_source *source;
	struct core *core; /* NULL: nothing is restored */
	struct snapshot_head *head;
	char *why;
	size_t why_size;
	void (*progress)(void *context, uint64_t done, uint64_t all);
	void *progress_context;

	uint64_t offset;    /* in the stream, behind the block being read */
	uint64_t block_at;  /* where that begins */
	enum block_kind kind;
	uint32_t number, crc;
	size_t size, at;    /* of what the block carries: how much, and how much was taken */
	struct totals totals;
	uint64_t digest;
	struct buffer pieces; /* what was taken from several blocks */
	uint8_t block[BLOCK_BYTES];
	/* The key of the entry before, and the one being read. */
	uint8_t keys[2][STORE_KEY_MAX_BYTES];
};

/* ---- snapshot_blocks.c ---- */

/* Where in the stream the next byte to be taken stands. */
uint64_t stream_position(const struct snapshot_reader *r);

/* Says what is wrong, and where. Always false. */
__attribute__((format(printf, 3, 4)))
bool refuse_at(struct snapshot_reader *r, uint64_t offset, const char *format, ...);
bool refuse_memory(struct snapshot_reader *r);

/* Reads `size` bytes of the stream, or what there is up to its end. */
bool read_some(struct snapshot_reader *r, uint8_t *to, size_t size, size_t *got);
bool next_block(struct snapshot_reader *r);

/* The next `size` bytes of what blocks carry: valid until more are taken. NULL: they are not there. */
const uint8_t *take_bytes(struct snapshot_reader *r, size_t size);
bool take_number(struct snapshot_reader *r, size_t bytes, uint64_t *number);
bool take_flag(struct snapshot_reader *r, bool *flag);

#endif
