/* SPDX-License-Identifier: MIT
 *
 * events.h - what has happened to a state: a ring of its last events, bounded in bytes,
 * that watchers read at their own pace.
 *
 * An event is named by (revision, index within it). A reader holds a place, which grows from event
 * to event; nothing is kept for a reader. All memory is got at the start: keeping an event cannot
 * fail. Pure.
 */
#ifndef SOLE_OWNER_EVENTS_H
#define SOLE_OWNER_EVENTS_H

#include "common/wire.h"

struct events;

/* The largest event that is kept, in bytes of its three values. */
enum { EVENT_MAX_BYTES = PROTOCOL_MESSAGE_MAX_BYTES - 1024 };

struct event {
	uint64_t revision;
	uint32_t index;
	/* Valid until the next events_append. `values` are kind, key and value as they are encoded. */
	struct value kind, key, value;
	struct wire_reader values;
	uint64_t next; /* the place behind it */
};

/* NULL: no memory. `bytes_max` bounds the memory, up to EVENT_MAX_BYTES more: touched as it is used. */
struct events *events_new(uint64_t bytes_max);
void events_destroy(struct events **events);

/* Writes an event for events_append. A list is no value here: it is written as none. */
void events_encode(struct buffer *out, const char *kind, const struct value *key, const struct value *value);

/* Appends the `count` events of one revision that were written to `encoded`; the oldest go.
 * For one that is larger than may be kept all go: whoever has not read it hears that it is too old, and
 * nobody misses it silently. */
void events_append(struct events *events, uint64_t revision, const struct buffer *encoded, size_t count);

/* The places of the oldest that is kept and of the next to come. */
uint64_t events_first(const struct events *events);
uint64_t events_next(const struct events *events);

/* The event of a place from events_first up to before events_next. */
struct event events_get(const struct events *events, uint64_t place);

/* The place of the first event at or after (revision, index). False: some of those asked for
 * are gone; *revision is the lowest from which all are kept. */
bool events_seek(const struct events *events, uint64_t *revision, uint32_t index, uint64_t *place);

/* What the events that are kept take. */
uint64_t events_bytes(const struct events *events);

/* ---- for snapshots ---- */

/* The last event that is not kept any more; revision 0: none is gone. */
void events_gone(const struct events *events, uint64_t *revision, uint32_t *index);

/* A ring as it was, put back into a new one: what is gone, then each event that was kept, oldest first. Where the new
 * ring is smaller, the newest that fit are kept. `values` are three values, of EVENT_MAX_BYTES at most, as events_encode
 * writes them: events_sound tells whether some bytes are that. */
void events_restore_gone(struct events *events, uint64_t revision, uint32_t index);
void events_restore(struct events *events, uint64_t revision, uint32_t index, const uint8_t *values, size_t size);
bool events_sound(const uint8_t *values, size_t size);

#endif
