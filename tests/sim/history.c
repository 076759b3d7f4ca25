/* SPDX-License-Identifier: MIT
 *
 * history.c - keeps what happened, and words it.
 */
#include "tests/sim/history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *grow(void *array, size_t count, size_t *room, size_t element)
{
	if (count < *room)
		return array;
	*room = *room > 0 ? *room * 2 : 16;
	void *grown = realloc(array, *room * element);
	if (grown == NULL) {
		fprintf(stderr, "sim: no memory\n");
		exit(71);
	}
	return grown;
}

/* ---- values ---- */

struct datum datum_none(void)
{
	return (struct datum){ .type = VALUE_NONE };
}

struct datum datum_integer(int64_t integer)
{
	return (struct datum){ .type = VALUE_INTEGER, .integer = integer };
}

struct datum datum_text(const char *format, ...)
{
	struct datum datum = { .type = VALUE_BYTES };
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(datum.text, DATUM_TEXT, format, arguments);
	va_end(arguments);
	datum.size = (uint8_t)(size < DATUM_TEXT ? size : DATUM_TEXT - 1);
	return datum;
}

bool datum_equal(const struct datum *a, const struct datum *b)
{
	if (a->type != b->type)
		return false;
	return a->type == VALUE_INTEGER ? a->integer == b->integer :
	       a->type == VALUE_NONE || (a->size == b->size && a->pad == b->pad && memcmp(a->text, b->text, a->size) == 0);
}

int datum_compare(const struct datum *a, const struct datum *b)
{
	uint8_t shorter = a->size < b->size ? a->size : b->size;
	int difference = memcmp(a->text, b->text, shorter);

	return difference != 0 ? difference : (int)a->size - (int)b->size;
}

bool datum_begins(const struct datum *key, const struct datum *prefix)
{
	return key->size >= prefix->size && memcmp(key->text, prefix->text, prefix->size) == 0;
}

struct value datum_value(const struct datum *datum, uint8_t space[DATUM_BYTES])
{
	if (datum->type == VALUE_INTEGER)
		return value_integer(datum->integer);
	if (datum->type == VALUE_NONE)
		return value_none();
	memcpy(space, datum->text, datum->size);
	memset(space + datum->size, '.', datum->pad);
	return value_bytes(space, (size_t)datum->size + datum->pad);
}

struct sole_value datum_sole(const struct datum *datum, uint8_t space[DATUM_BYTES])
{
	struct value value = datum_value(datum, space);

	if (value.type == VALUE_BYTES)
		return (struct sole_value){ .type = SOLE_BYTES, .size = value.size, .bytes = value.bytes };
	if (value.type == VALUE_INTEGER)
		return (struct sole_value){ .type = SOLE_INTEGER, .integer = value.integer };
	return (struct sole_value){ .type = SOLE_NONE };
}

bool datum_read(const struct sole_value *value, struct datum *datum)
{
	const char *bytes = value->bytes;
	uint32_t size = value->size;

	*datum = datum_none();
	if (value->type == SOLE_INTEGER)
		*datum = datum_integer(value->integer);
	if (value->type != SOLE_BYTES)
		return value->type != SOLE_LIST;
	while (size > 0 && bytes[size - 1] == '.')
		size--;
	if (size >= DATUM_TEXT || value->size - size > DATUM_BYTES - DATUM_TEXT)
		return false;
	datum->type = VALUE_BYTES;
	datum->size = (uint8_t)size;
	datum->pad = (uint16_t)(value->size - size);
	memcpy(datum->text, bytes, size);
	return true;
}

const char *datum_print(const struct datum *datum, char text[64])
{
	if (datum->type == VALUE_NONE)
		snprintf(text, 64, "none");
	else if (datum->type == VALUE_INTEGER)
		snprintf(text, 64, "%" PRId64, datum->integer);
	else if (datum->pad > 0)
		snprintf(text, 64, "'%.*s'+%u", (int)datum->size, datum->text, datum->pad);
	else
		snprintf(text, 64, "'%.*s'", (int)datum->size, datum->text);
	return text;
}

static const char *step_name(uint16_t number)
{
	static const char *const names[] = {
		[SOLE_TABLE_GET] = "get", [SOLE_TABLE_PUT] = "put", [SOLE_TABLE_DELETE] = "delete",
		[SOLE_TABLE_ADD] = "add", [SOLE_TABLE_CAS] = "cas", [SOLE_TABLE_COUNT] = "count",
		[SOLE_TABLE_INSERT] = "insert", [SOLE_TABLE_REPLACE] = "replace", [SOLE_TABLE_SCAN] = "scan",
		[SOLE_TABLE_CAS_REVISION] = "cas-revision", [SOLE_TABLE_PUT_FOR] = "put-for",
		[SOLE_TABLE_BIND] = "bind", [SOLE_TABLE_CHECK] = "check", [SOLE_TABLE_REVISION] = "revision",
		[SOLE_TABLE_LOCK] = "lock", [SOLE_TABLE_TRY_LOCK] = "try-lock", [SOLE_TABLE_UNLOCK] = "unlock",
		[SOLE_TABLE_HOLDER] = "holder", [SOLE_TABLE_CHECK_LOCK] = "check-lock",
	};

	if (number == SOLE_OPERATION_OTHERWISE)
		return "otherwise";
	return number < sizeof names / sizeof *names && names[number] != NULL ? names[number] : "?";
}

void operation_print(const struct operation *operation, char *text, size_t size)
{
	char word[64];
	size_t at = 0;

	for (size_t i = 0; i < operation->step_count && at < size; i++) {
		const struct step *step = &operation->steps[i];
		at += (size_t)snprintf(text + at, size - at, "%s%s", i > 0 ? "; " : "", step_name(step->number));
		for (size_t k = 0; k < step->count && at < size; k++)
			at += (size_t)snprintf(text + at, size - at, " %s", datum_print(&step->arguments[k], word));
	}
}

/* ---- callers ---- */

struct operation *history_operation(struct history *history)
{
	struct operation *operation = calloc(1, sizeof *operation);

	history->operations = grow(history->operations, history->operation_count, &history->operation_room,
				   sizeof(struct operation *));
	if (operation == NULL)
		exit(71);
	history->operations[history->operation_count++] = operation;
	operation->id = (uint32_t)history->operation_count;
	operation->failed = -1;
	return operation;
}

struct watching *history_watching(struct history *history)
{
	struct watching *watching = calloc(1, sizeof *watching);

	history->watchings = grow(history->watchings, history->watching_count, &history->watching_room,
				  sizeof(struct watching *));
	if (watching == NULL)
		exit(71);
	history->watchings[history->watching_count++] = watching;
	return watching;
}

void history_event(struct watching *watching, const struct heard_event *event)
{
	watching->events = grow(watching->events, watching->count, &watching->room, sizeof *event);
	watching->events[watching->count++] = *event;
}

/* ---- owners ---- */

struct era *history_find_era(const struct history *history, uint64_t id)
{
	for (size_t i = 0; i < history->era_count; i++)
		if (history->eras[i].history == id)
			return &history->eras[i];
	return NULL;
}

struct era *history_era(struct history *history, uint64_t id)
{
	struct era *found = history_find_era(history, id);

	if (found != NULL)
		return found;
	history->eras = grow(history->eras, history->era_count, &history->era_room, sizeof *history->eras);
	history->eras[history->era_count] = (struct era){ .history = id };
	return &history->eras[history->era_count++];
}

void history_round(struct era *era, uint64_t number, int64_t time_us, uint64_t revision, const struct buffer *records)
{
	era->rounds = grow(era->rounds, era->count, &era->room, sizeof *era->rounds);
	struct seen_round *round = &era->rounds[era->count++];
	*round = (struct seen_round){ .number = number, .time_us = time_us, .revision = revision };
	buffer_append(&round->records, records->data, records->size);
}

void history_forget_rounds(struct era *era, uint64_t number)
{
	while (era->count > 0 && era->rounds[era->count - 1].number >= number)
		buffer_clear(&era->rounds[--era->count].records);
}

struct seen_session *history_find_session(const struct history *history, uint64_t id)
{
	for (size_t i = history->session_count; i-- > 0;)
		if (history->sessions[i].id == id)
			return &history->sessions[i];
	return NULL;
}

struct seen_session *history_session(struct history *history, uint64_t id)
{
	struct seen_session *found = history_find_session(history, id);

	if (found != NULL)
		return found;
	history->sessions = grow(history->sessions, history->session_count, &history->session_room,
				 sizeof *history->sessions);
	history->sessions[history->session_count] = (struct seen_session){ .id = id };
	return &history->sessions[history->session_count++];
}

/* ---- names of commands ---- */

static struct sent_as *place_of(const struct history *history, uint64_t session, uint64_t sequence)
{
	uint64_t hash = (session ^ (sequence * 0x9e3779b97f4a7c15)) * 0xbf58476d1ce4e5b9;
	size_t mask = history->sent_room - 1;

	for (size_t at = (size_t)(hash >> 32) & mask;; at = (at + 1) & mask) {
		struct sent_as *sent = &history->sent[at];
		if (sent->operation == NULL || (sent->session == session && sent->sequence == sequence))
			return sent;
	}
}

static void make_room(struct history *history)
{
	struct history old = *history;

	if (old.sent_count * 2 < old.sent_room)
		return;
	history->sent_room = old.sent_room > 0 ? old.sent_room * 2 : 1024;
	history->sent = calloc(history->sent_room, sizeof *history->sent);
	if (history->sent == NULL)
		exit(71);
	for (size_t i = 0; i < old.sent_room; i++)
		if (old.sent[i].operation != NULL)
			*place_of(history, old.sent[i].session, old.sent[i].sequence) = old.sent[i];
	free(old.sent);
}

void history_sent(struct history *history, uint64_t session, uint64_t sequence, struct operation *operation)
{
	make_room(history);
	struct sent_as *sent = place_of(history, session, sequence);
	history->sent_count += sent->operation == NULL;
	*sent = (struct sent_as){ session, sequence, operation };
}

struct operation *history_sent_as(const struct history *history, uint64_t session, uint64_t sequence)
{
	return history->sent_room > 0 ? place_of(history, session, sequence)->operation : NULL;
}

void history_clear(struct history *history)
{
	for (size_t i = 0; i < history->operation_count; i++) {
		buffer_clear(&history->operations[i]->results);
		free(history->operations[i]);
	}
	for (size_t i = 0; i < history->watching_count; i++) {
		free(history->watchings[i]->events);
		free(history->watchings[i]);
	}
	for (size_t i = 0; i < history->era_count; i++) {
		history_forget_rounds(&history->eras[i], 0);
		free(history->eras[i].rounds);
	}
	free(history->operations);
	free(history->watchings);
	free(history->eras);
	free(history->sessions);
	free(history->sent);
	*history = (struct history){ 0 };
}
