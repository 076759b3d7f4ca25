/* SPDX-License-Identifier: MIT
 *
 * wire.h - reading and writing the bodies that protocol.h declares.
 *
 * Reading is bounds-checked before any arithmetic and never allocates: bytes
 * values point into the body they were read from and live as long as it does.
 * A payload is a sequence of lists; a list is a u8 count and that many values; a
 * value is a u8 type and its contents. An operation of RUN is a u16 number and a
 * list, its arguments; a result is a list. See sole-protocol(7).
 */
#ifndef SOLE_COMMON_WIRE_H
#define SOLE_COMMON_WIRE_H

#include "common/buffer.h"
#include "common/protocol.h"

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t wire_u8;
typedef uint16_t wire_u16;
typedef uint32_t wire_u32;
typedef uint64_t wire_u64;

#define FIELD(type, name) wire_##type name;
struct message_header {
	PROTOCOL_MESSAGE_FIELDS(FIELD)
};
struct request_header {
	PROTOCOL_REQUEST_FIELDS(FIELD)
};
struct reply_header {
	PROTOCOL_REPLY_FIELDS(FIELD)
};
#undef FIELD

enum value_type {
	VALUE_NONE = 0,
	VALUE_INTEGER = 1,
	VALUE_BYTES = 2,
	VALUE_LIST = 3, /* `bytes` are values of the other types, one behind the other */
};

struct value {
	enum value_type type;
	uint32_t size; /* of bytes, or of the list in bytes */
	union {
		int64_t integer;
		const uint8_t *bytes;
	};
};

enum { WIRE_LIST_MAX = 255 }; /* values in one list */

static inline struct value value_none(void)
{
	return (struct value){ .type = VALUE_NONE };
}
static inline struct value value_integer(int64_t integer)
{
	return (struct value){ .type = VALUE_INTEGER, .integer = integer };
}
static inline struct value value_bytes(const void *bytes, size_t size)
{
	return (struct value){ .type = VALUE_BYTES, .size = (uint32_t)size, .bytes = bytes };
}
struct value value_text(const char *text);
bool value_equal(const struct value *a, const struct value *b);

/* What is left to read. Once `bad`, every further read fails. */
struct wire_reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static inline struct wire_reader wire_reader(const void *bytes, size_t size)
{
	return (struct wire_reader){ .at = bytes, .left = size };
}

/* Each returns false (and marks the reader bad) when the bytes do not hold one. */
bool wire_read_message_header(struct wire_reader *reader, struct message_header *header);
bool wire_read_request_header(struct wire_reader *reader, struct request_header *header);
bool wire_read_reply_header(struct wire_reader *reader, struct reply_header *header);
bool wire_read_u8(struct wire_reader *reader, uint8_t *v);
bool wire_read_u16(struct wire_reader *reader, uint16_t *v);
bool wire_read_value(struct wire_reader *reader, struct value *value);

/* Reads a list into `values` (room for `room`), stores how many. A list of more
 * than `room` values is read to its end and `*count` tells its length, so that
 * the caller can refuse it by name. */
bool wire_read_list(struct wire_reader *reader, struct value *values, size_t room, size_t *count);

/* The operation that begins here, without stepping over it: its number and its first argument. False where these cannot be
 * read, and where the argument is not bytes. */
static inline bool wire_peek_key(const struct wire_reader *reader, uint16_t *number, struct value *key)
{
	enum { BEFORE_KEY = 8 }; /* number, count, type, size */
	uint32_t size;

	if (reader->bad || reader->left < BEFORE_KEY || reader->at[2] == 0 || reader->at[3] != VALUE_BYTES)
		return false;
	memcpy(number, reader->at, sizeof *number);
	memcpy(&size, reader->at + 4, sizeof size);
	*number = le16toh(*number);
	*key = value_bytes(reader->at + BEFORE_KEY, le32toh(size));
	return key->size <= reader->left - BEFORE_KEY;
}

/* Cuts the payload of an item whose header was just read out of `reader`:
 * `payload` gets its bytes and `reader` goes to the next item. False when the
 * size told is smaller than a header or larger than what is left. */
bool wire_read_payload(struct wire_reader *reader, uint32_t item_size, struct wire_reader *payload);

/* Steps over an item, and tells its kind and its payload. False as for the two above. */
bool wire_skip_item(struct wire_reader *reader, uint8_t *kind, struct wire_reader *payload);

void wire_write_message_header(struct buffer *out, const struct message_header *header);
void wire_write_request_header(struct buffer *out, const struct request_header *header);
void wire_write_reply_header(struct buffer *out, const struct reply_header *header);
void wire_write_value(struct buffer *out, const struct value *value);

/* How many bytes that writes. */
static inline size_t wire_value_bytes(const struct value *value)
{
	return 1 + (value->type == VALUE_INTEGER ? (size_t)8 : 0) +
	       (value->type >= VALUE_BYTES ? 4 + (size_t)value->size : 0);
}

void wire_write_list(struct buffer *out, const struct value *values, size_t count);

/* A value of type list, written bit by bit: begin, wire_write_value for each, then finish with
 * what begin returned. */
size_t wire_begin_value_list(struct buffer *out);
void wire_finish_value_list(struct buffer *out, size_t start);

/* Sets the size field of the item that began at `start` to reach the end of `out`. */
void wire_finish_item(struct buffer *out, size_t start);

/* Sets the count field of the message that began at offset 0. */
void wire_finish_message(struct buffer *out, uint16_t count);

/* Name, text and outcome of a code; "unknown" texts for numbers not in the list. */
const char *code_name(unsigned code);
const char *code_text(unsigned code);
enum outcome code_outcome(unsigned code);

#endif
