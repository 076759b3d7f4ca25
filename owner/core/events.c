/* SPDX-License-Identifier: MIT
 *
 * events.c - records one behind the other in a ring of bytes.
 *
 * A place is an offset in all that was ever appended, so a record begins at place % room. One that
 * reaches the ring's end goes on behind it, where there is memory for the largest, and what it would
 * have taken of the ring's start stays unused: a record is never in two pieces.
 *
 * To find one by revision without reading them all, the ring is divided into blocks, and for each
 * the first record at or behind its beginning is noted.
 */
#include "owner/core/events.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 256, ALIGNMENT = 8, SIZE_BYTES = 4 };

struct record {
	uint64_t revision;
	uint32_t index, size; /* of the values, which follow */
};

struct events {
	uint8_t *ring;
	uint64_t room, block_bytes;   /* room is BLOCKS of them */
	uint64_t first, next;
	uint64_t marks[BLOCKS];       /* by block % BLOCKS */
	uint64_t marked;              /* blocks from this one on have no mark yet */
	uint64_t gone_revision;       /* (revision, index) of the last event that is not kept any more */
	uint32_t gone_index;
};

static uint64_t aligned(uint64_t size)
{
	return (size + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

struct events *events_new(uint64_t bytes_max)
{
	struct events *events = calloc(1, sizeof *events);

	if (events == NULL)
		return NULL;
	events->block_bytes = bytes_max / BLOCKS & ~(uint64_t)(ALIGNMENT - 1);
	if (events->block_bytes == 0)
		events->block_bytes = ALIGNMENT;
	events->room = events->block_bytes * BLOCKS;
	events->ring = malloc(events->room + sizeof(struct record) + EVENT_MAX_BYTES);
	if (events->ring == NULL)
		events_destroy(&events);
	return events;
}

void events_destroy(struct events **events)
{
	if (*events == NULL)
		return;
	free((*events)->ring);
	free(*events);
	*events = NULL;
}

static struct record *record_at(const struct events *events, uint64_t place)
{
	return (struct record *)(void *)(events->ring + place % events->room);
}

static uint64_t record_bytes(const struct record *record)
{
	return sizeof *record + aligned(record->size);
}

static void forget_first(struct events *events)
{
	const struct record *record = record_at(events, events->first);

	events->gone_revision = record->revision;
	events->gone_index = record->index;
	events->first += record_bytes(record);
}

/* It counts as one that was kept and is gone. */
static void miss(struct events *events, uint64_t revision, uint32_t index)
{
	events->next += ALIGNMENT;
	events->first = events->next;
	events->gone_revision = revision;
	events->gone_index = index;
}

static void append(struct events *events, uint64_t revision, uint32_t index, const uint8_t *values,
		   size_t size)
{
	const struct record record = { .revision = revision, .index = index, .size = (uint32_t)size };
	uint64_t bytes = record_bytes(&record);

	if (size > EVENT_MAX_BYTES || bytes > events->room) {
		miss(events, revision, index);
		return;
	}
	while (events->first < events->next && events->next + bytes > events->first + events->room)
		forget_first(events);
	for (; events->marked <= events->next / events->block_bytes; events->marked++)
		events->marks[events->marked % BLOCKS] = events->next;
	struct record *kept = record_at(events, events->next);
	*kept = record;
	memcpy(kept + 1, values, size);
	events->next += bytes;
}

static const struct value *plain(const struct value *value)
{
	static const struct value none;

	return value->type <= VALUE_BYTES ? value : &none;
}

/* Each: u32 size, and as many bytes of values. */
void events_encode(struct buffer *out, const char *kind, const struct value *key, const struct value *value)
{
	const struct value word = value_text(kind);
	size_t start = out->size;

	buffer_u32(out, 0);
	wire_write_value(out, &word);
	wire_write_value(out, plain(key));
	wire_write_value(out, plain(value));
	buffer_patch_u32(out, start, (uint32_t)(out->size - start - SIZE_BYTES));
}

void events_append(struct events *events, uint64_t revision, const struct buffer *encoded, size_t count)
{
	const uint8_t *at = encoded->data;

	for (uint32_t index = 0; index < count; index++) {
		size_t size = at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
		append(events, revision, index, at + SIZE_BYTES, size);
		at += SIZE_BYTES + size;
	}
}

uint64_t events_first(const struct events *events)
{
	return events->first;
}

uint64_t events_next(const struct events *events)
{
	return events->next;
}

struct event events_get(const struct events *events, uint64_t place)
{
	const struct record *record = record_at(events, place);
	struct event event = { .revision = record->revision, .index = record->index,
			       .values = wire_reader(record + 1, record->size),
			       .next = place + record_bytes(record) };
	struct wire_reader reader = event.values;

	wire_read_value(&reader, &event.kind);
	wire_read_value(&reader, &event.key);
	wire_read_value(&reader, &event.value);
	return event;
}

static bool before(uint64_t revision_a, uint32_t index_a, uint64_t revision_b, uint32_t index_b)
{
	return revision_a < revision_b || (revision_a == revision_b && index_a < index_b);
}

static bool record_before(const struct events *events, uint64_t place, uint64_t revision, uint32_t index)
{
	const struct record *record = record_at(events, place);

	return before(record->revision, record->index, revision, index);
}

/* A place from which on (revision, index) is to be looked for, no more than about a block away. */
static uint64_t start_near(const struct events *events, uint64_t revision, uint32_t index)
{
	/* The first block's mark may be gone, with what it marked. */
	uint64_t low = events->first / events->block_bytes, high = events->marked - 1, place = events->first;

	while (low < high) {
		uint64_t middle = high - (high - low) / 2, mark = events->marks[middle % BLOCKS];
		if (record_before(events, mark, revision, index)) {
			place = mark;
			low = middle;
		} else {
			high = middle - 1;
		}
	}
	return place;
}

bool events_seek(const struct events *events, uint64_t *revision, uint32_t index, uint64_t *place)
{
	if (events->gone_revision != 0 &&
	    !before(events->gone_revision, events->gone_index, *revision, index)) {
		*revision = events->gone_revision + 1;
		return false;
	}
	*place = events->next;
	if (events->first == events->next)
		return true;
	*place = start_near(events, *revision, index);
	while (*place < events->next && record_before(events, *place, *revision, index))
		*place += record_bytes(record_at(events, *place));
	return true;
}

uint64_t events_bytes(const struct events *events)
{
	return events->next - events->first;
}

/* ---- for snapshots ---- */

void events_gone(const struct events *events, uint64_t *revision, uint32_t *index)
{
	*revision = events->gone_revision;
	*index = events->gone_index;
}

void events_restore_gone(struct events *events, uint64_t revision, uint32_t index)
{
	events->gone_revision = revision;
	events->gone_index = index;
}

void events_restore(struct events *events, uint64_t revision, uint32_t index, const uint8_t *values, size_t size)
{
	append(events, revision, index, values, size);
}

bool events_sound(const uint8_t *values, size_t size)
{
	struct wire_reader reader = wire_reader(values, size);
	struct value kind, key, value;

	return size <= EVENT_MAX_BYTES && wire_read_value(&reader, &kind) && wire_read_value(&reader, &key) &&
	       wire_read_value(&reader, &value) && reader.left == 0 && kind.type == VALUE_BYTES &&
	       key.type <= VALUE_BYTES && value.type <= VALUE_BYTES;
}
