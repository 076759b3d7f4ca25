/* SPDX-License-Identifier: MIT
 *
 * wire.c - reading and writing message bodies; see sole-protocol(7).
 *
 * Headers have a fixed size, so one comparison guards all of a header's fields.
 */
#include "common/wire.h"

#include <endian.h>
#include <string.h>

/* Copies, not loops over bytes: the sizes are constants where these are called, and so each becomes
 * one instruction. */
static inline uint64_t load(const uint8_t *at, size_t bytes)
{
	uint64_t v = 0;

	memcpy(&v, at, bytes);
	return le64toh(v);
}

static inline uint8_t *store(uint8_t *at, uint64_t v, size_t bytes)
{
	v = htole64(v);
	memcpy(at, &v, bytes);
	return at + bytes;
}

static const uint8_t *take(struct wire_reader *reader, size_t bytes)
{
	if (reader->bad || reader->left < bytes) {
		reader->bad = true;
		return NULL;
	}
	const uint8_t *at = reader->at;
	reader->at += bytes;
	reader->left -= bytes;
	return at;
}

#define FIELD_BYTES(type, name) +sizeof(wire_##type)
_Static_assert(PROTOCOL_MESSAGE_HEADER_BYTES == PROTOCOL_MESSAGE_FIELDS(FIELD_BYTES), "message header");
_Static_assert(PROTOCOL_ITEM_HEADER_BYTES == PROTOCOL_REQUEST_FIELDS(FIELD_BYTES), "request header");
_Static_assert(PROTOCOL_ITEM_HEADER_BYTES == PROTOCOL_REPLY_FIELDS(FIELD_BYTES), "reply header");

/* One reader and one writer for each header, made from its table of fields. */
#define LOAD_FIELD(type, name)                                                                     \
	header->name = (wire_##type)load(at, sizeof(wire_##type));                                 \
	at += sizeof(wire_##type);
#define STORE_FIELD(type, name) at = store(at, header->name, sizeof(wire_##type));

#define HEADER_CODEC(noun, FIELDS, bytes)                                                          \
	bool wire_read_##noun##_header(struct wire_reader *reader, struct noun##_header *header)   \
	{                                                                                          \
		const uint8_t *at = take(reader, bytes);                                           \
		if (at == NULL)                                                                    \
			return false;                                                              \
		FIELDS(LOAD_FIELD)                                                                 \
		return true;                                                                       \
	}                                                                                          \
	void wire_write_##noun##_header(struct buffer *out, const struct noun##_header *header)    \
	{                                                                                          \
		if (!buffer_reserve(out, bytes))                                                   \
			return;                                                                    \
		uint8_t *at = out->data + out->size;                                               \
		FIELDS(STORE_FIELD)                                                                \
		out->size += bytes;                                                                \
		(void)at;                                                                          \
	}

HEADER_CODEC(message, PROTOCOL_MESSAGE_FIELDS, PROTOCOL_MESSAGE_HEADER_BYTES)
HEADER_CODEC(request, PROTOCOL_REQUEST_FIELDS, PROTOCOL_ITEM_HEADER_BYTES)
HEADER_CODEC(reply, PROTOCOL_REPLY_FIELDS, PROTOCOL_ITEM_HEADER_BYTES)

struct value value_text(const char *text)
{
	return value_bytes(text, strlen(text));
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case VALUE_NONE:
		return true;
	case VALUE_INTEGER:
		return a->integer == b->integer;
	case VALUE_BYTES:
	case VALUE_LIST:
		return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
	}
	return false;
}

bool wire_read_u8(struct wire_reader *reader, uint8_t *v)
{
	const uint8_t *at = take(reader, 1);
	if (at == NULL)
		return false;
	*v = *at;
	return true;
}

bool wire_read_u16(struct wire_reader *reader, uint16_t *v)
{
	const uint8_t *at = take(reader, 2);
	if (at == NULL)
		return false;
	*v = (uint16_t)load(at, 2);
	return true;
}

/* Values to the end, and no lists among them. */
static bool list_is_sound(const uint8_t *bytes, size_t size)
{
	struct wire_reader inside = wire_reader(bytes, size);
	struct value value;

	while (inside.left > 0)
		if (*inside.at == VALUE_LIST || !wire_read_value(&inside, &value))
			return false;
	return true;
}

bool wire_read_value(struct wire_reader *reader, struct value *value)
{
	const uint8_t *at = take(reader, 1);
	if (at == NULL)
		return false;
	uint8_t type = *at;
	switch (type) {
	case VALUE_NONE:
		*value = value_none();
		return true;
	case VALUE_INTEGER:
		at = take(reader, 8);
		if (at == NULL)
			return false;
		*value = value_integer((int64_t)load(at, 8));
		return true;
	case VALUE_BYTES:
	case VALUE_LIST: {
		at = take(reader, 4);
		if (at == NULL)
			return false;
		size_t size = (size_t)load(at, 4);
		at = take(reader, size);
		if (at == NULL)
			return false;
		*value = value_bytes(at, size);
		value->type = type;
		if (type == VALUE_LIST && !list_is_sound(at, size)) {
			reader->bad = true;
			return false;
		}
		return true;
	}
	default:
		reader->bad = true;
		return false;
	}
}

bool wire_read_list(struct wire_reader *reader, struct value *values, size_t room, size_t *count)
{
	uint8_t length;

	if (!wire_read_u8(reader, &length))
		return false;
	for (size_t i = 0; i < length; i++) {
		struct value extra;
		if (!wire_read_value(reader, i < room ? &values[i] : &extra))
			return false;
	}
	*count = length;
	return true;
}

bool wire_read_payload(struct wire_reader *reader, uint32_t item_size, struct wire_reader *payload)
{
	if (item_size < PROTOCOL_ITEM_HEADER_BYTES) {
		reader->bad = true;
		return false;
	}
	size_t size = item_size - PROTOCOL_ITEM_HEADER_BYTES;
	const uint8_t *at = take(reader, size);
	if (at == NULL)
		return false;
	/* Each by itself: put together in memory and copied at once, the copy would wait for its parts. */
	payload->at = at;
	payload->left = size;
	payload->bad = false;
	return true;
}

bool wire_skip_item(struct wire_reader *reader, uint8_t *kind, struct wire_reader *payload)
{
	enum { KIND_OFFSET = 4 };
	const uint8_t *at = reader->at;

	if (reader->bad || reader->left < PROTOCOL_ITEM_HEADER_BYTES) {
		reader->bad = true;
		return false;
	}
	size_t size = (size_t)load(at, 4);
	if (size < PROTOCOL_ITEM_HEADER_BYTES) {
		reader->bad = true;
		return false;
	}
	*kind = at[KIND_OFFSET];
	*payload = wire_reader(at + PROTOCOL_ITEM_HEADER_BYTES, size - PROTOCOL_ITEM_HEADER_BYTES);
	return take(reader, size) != NULL;
}

void wire_write_value(struct buffer *out, const struct value *value)
{
	size_t room = wire_value_bytes(value);

	if (!buffer_reserve(out, room))
		return;
	uint8_t *at = out->data + out->size;
	*at++ = (uint8_t)value->type;
	if (value->type == VALUE_INTEGER)
		store(at, (uint64_t)value->integer, 8);
	if (value->type >= VALUE_BYTES) {
		at = store(at, value->size, 4);
		if (value->size > 0)
			memcpy(at, value->bytes, value->size);
	}
	out->size += room;
}

void wire_write_list(struct buffer *out, const struct value *values, size_t count)
{
	buffer_u8(out, (uint8_t)count);
	for (size_t i = 0; i < count; i++)
		wire_write_value(out, &values[i]);
}

size_t wire_begin_value_list(struct buffer *out)
{
	size_t start = out->size;

	buffer_u8(out, VALUE_LIST);
	buffer_u32(out, 0);
	return start;
}

void wire_finish_value_list(struct buffer *out, size_t start)
{
	buffer_patch_u32(out, start + 1, (uint32_t)(out->size - start - 5));
}

void wire_finish_item(struct buffer *out, size_t start)
{
	buffer_patch_u32(out, start, (uint32_t)(out->size - start));
}

void wire_finish_message(struct buffer *out, uint16_t count)
{
	enum { COUNT_OFFSET = 6 };
	if (out->failed)
		return;
	store(out->data + COUNT_OFFSET, count, sizeof count);
}

struct code_entry {
	unsigned code;
	const char *name, *text;
};

static const struct code_entry code_table[] = {
#define CODE(number, NAME, outcome, name, text) { number, name, text },
#include "common/codes.def"
#undef CODE
};

static const struct code_entry *code_find(unsigned code)
{
	static const struct code_entry other = { 0, "other", "a code this version does not know" };

	for (size_t i = 0; i < sizeof code_table / sizeof *code_table; i++)
		if (code_table[i].code == code)
			return &code_table[i];
	return &other;
}

const char *code_name(unsigned code)
{
	return code_find(code)->name;
}

const char *code_text(unsigned code)
{
	return code_find(code)->text;
}

/* For each reply: without a search. */
enum outcome code_outcome(unsigned code)
{
	switch (code) {
#define CODE(number, NAME, outcome, name, text)                                                    \
	case number:                                                                               \
		return OUTCOME_##outcome;
#include "common/codes.def"
#undef CODE
	default:
		return OUTCOME_UNKNOWN;
	}
}
