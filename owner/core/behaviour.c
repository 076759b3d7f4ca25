/* SPDX-License-Identifier: MIT
 *
 * behaviour.c - the functions of sole/behaviour.h: what a behaviour may do.
 *
 * They are thin: values are copied between the public and the wire's form, everything else
 * is the store's or noted in the call for the core to act on.
 */
#include "owner/core/call.h"
#include "owner/core/events.h"
#include "owner/core/store.h"

#include <stdarg.h>
#include <stdio.h>

/* A behaviour in a shared object finds these in the program that loads it. */
#define EXPORT __attribute__((visibility("default")))

static struct sole_value outward(const struct value *value)
{
	struct sole_value v = { .type = (enum sole_type)value->type, .size = value->size };

	if (value->type == VALUE_INTEGER)
		v.integer = value->integer;
	else
		v.bytes = value->bytes;
	return v;
}

static struct value inward(const struct sole_value *value)
{
	struct value v = { .type = (enum value_type)value->type, .size = value->size };

	if (value->type == SOLE_INTEGER)
		v.integer = value->integer;
	else
		v.bytes = value->bytes;
	return v;
}

/* ---- values ---- */

/* sole.h declares these for clients; a program that links the library has them from there. */
__attribute__((weak)) EXPORT struct sole_value sole_none(void)
{
	return (struct sole_value){ .type = SOLE_NONE };
}

__attribute__((weak)) EXPORT struct sole_value sole_integer(int64_t integer)
{
	return (struct sole_value){ .type = SOLE_INTEGER, .integer = integer };
}

__attribute__((weak)) EXPORT struct sole_value sole_bytes(const void *bytes, uint32_t size)
{
	return (struct sole_value){ .type = SOLE_BYTES, .size = size, .bytes = bytes };
}

__attribute__((weak)) EXPORT struct sole_value sole_text(const char *text)
{
	const struct value value = value_text(text);
	return outward(&value);
}

/* ---- a call ---- */

EXPORT void *sole_call_context(const struct sole_call *call)
{
	return call->context;
}

EXPORT struct sole_store *sole_call_store(struct sole_call *call)
{
	return call->store;
}

EXPORT uint16_t sole_call_operation(const struct sole_call *call)
{
	return call->operation;
}

EXPORT size_t sole_argument_count(const struct sole_call *call)
{
	return call->argument_count;
}

EXPORT struct sole_value sole_argument(const struct sole_call *call, size_t index)
{
	const struct value none = value_none();
	return outward(index < call->argument_count ? &call->arguments[index] : &none);
}

EXPORT int64_t sole_call_now(const struct sole_call *call)
{
	return call->now_us;
}

EXPORT uint64_t sole_call_revision(const struct sole_call *call)
{
	return call->revision;
}

EXPORT int64_t sole_call_uid(const struct sole_call *call)
{
	return call->caller != NULL && call->caller->known && !caller_is_keyed(call->caller) ? (int64_t)call->caller->uid : -1;
}

EXPORT int64_t sole_call_gid(const struct sole_call *call)
{
	return call->caller != NULL && call->caller->known && !caller_is_keyed(call->caller) ? (int64_t)call->caller->gid : -1;
}

EXPORT uint64_t sole_call_session(const struct sole_call *call)
{
	return call->session;
}

EXPORT uint64_t sole_call_sequence(const struct sole_call *call)
{
	return call->sequence;
}

EXPORT int64_t sole_call_token(struct sole_call *call)
{
	return ++call->effects->token;
}

EXPORT void sole_answer(struct sole_call *call, struct sole_value value)
{
	const struct value v = inward(&value);

	if (call->out == NULL)
		return;
	if (call->list_start == 0)
		call->answered++;
	/* What is too much already is refused in the end: no more memory goes into it. */
	if (call->answered <= WIRE_LIST_MAX && call->out->size <= call->reply_end)
		wire_write_value(call->out, &v);
}

EXPORT void sole_answer_list(struct sole_call *call)
{
	if (call->out == NULL || call->list_start != 0)
		return;
	call->answered++;
	call->list_start = wire_begin_value_list(call->out);
}

EXPORT void sole_answer_list_end(struct sole_call *call)
{
	if (call->out == NULL || call->list_start == 0)
		return;
	wire_finish_value_list(call->out, call->list_start);
	call->list_start = 0;
}

EXPORT size_t sole_answer_room(const struct sole_call *call)
{
	if (call->out == NULL || call->out->size >= call->reply_end)
		return 0;
	return call->reply_end - call->out->size;
}

EXPORT int sole_refuse(struct sole_call *call, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(call->text, sizeof call->text, format, arguments);
	va_end(arguments);
	return code;
}

EXPORT void sole_refuse_detail(struct sole_call *call, struct sole_value detail)
{
	struct buffer *copy = &call->effects->detail;

	/* A copy: what it points to may be gone when the refusal is written. */
	call->detail = inward(&detail);
	if (call->detail.type != VALUE_BYTES)
		return;
	buffer_reset(copy);
	buffer_append(copy, detail.bytes, detail.size);
	call->detail.bytes = copy->data;
	if (copy->failed)
		call->detail = value_none();
}

EXPORT int sole_later(struct sole_call *call)
{
	if (call->session == 0)
		return sole_refuse(call, CODE_INVALID, "it would have to wait, and only a session can");
	if (!call->may_wait)
		return sole_refuse(call, CODE_INVALID, "it would have to wait, and other operations stand in the request");
	return CODE_WAITING;
}

EXPORT int sole_answer_later(struct sole_call *call, uint64_t session, uint64_t sequence,
			     const struct sole_value *results, size_t count)
{
	struct buffer *out = &call->effects->answers;
	size_t start = out->size;

	if (!call->is_waiting(call->sessions, session, sequence)) {
		call->effects->missed++;
		return 0;
	}
	buffer_u64(out, session);
	buffer_u64(out, sequence);
	buffer_u32(out, 0);
	buffer_u8(out, (uint8_t)count);
	for (size_t i = 0; i < count; i++) {
		const struct value value = inward(&results[i]);
		wire_write_value(out, &value);
	}
	if (!out->failed)
		buffer_patch_u32(out, start + 16, (uint32_t)(out->size - start - 20));
	call->effects->failed |= out->failed;
	/* It could not be sent, and its client would wait for ever: the call that gives it is refused. */
	if (count > WIRE_LIST_MAX || out->size - start - 20 > LATE_ANSWER_MAX)
		call->effects->too_large = true;
	return 1;
}

EXPORT void sole_emit(struct sole_call *call, const char *kind, struct sole_value key, struct sole_value value)
{
	const struct value k = inward(&key), v = inward(&value);
	struct buffer *out = &call->effects->events;
	size_t start = out->size;

	events_encode(out, kind, &k, &v);
	call->effects->event_count++;
	call->effects->failed |= out->failed;
	/* It could not be sent. */
	if (out->size - start > EVENT_MAX_BYTES)
		call->effects->too_large = true;
}

EXPORT int sole_checkpoint(struct sole_call *call)
{
	if (call->checkpoints_left == 0) {
		call->overran = true;
		return sole_refuse(call, CODE_TOO_LARGE, "it takes more work than max-checkpoints allows");
	}
	call->checkpoints_left--;
	return CODE_OK;
}

/* ---- maps ---- */

static struct map *map_of(const struct sole_map *map)
{
	return (struct map *)(uintptr_t)map;
}

EXPORT struct sole_map *sole_store_map(struct sole_store *store, const char *name)
{
	struct map *map = store_map((struct store *)store, name);

	if (map == NULL)
		store_note_failure((struct store *)store, CODE_NO_MEMORY);
	return (struct sole_map *)map;
}

EXPORT int sole_map_get(struct sole_map *map, struct sole_value key, struct sole_value *value)
{
	const struct value *found = key.type == SOLE_BYTES ? map_get(map_of(map), key.bytes, key.size) : NULL;

	if (found == NULL)
		return 0;
	*value = outward(found);
	return 1;
}

EXPORT uint64_t sole_map_revision(struct sole_map *map, struct sole_value key)
{
	return key.type == SOLE_BYTES ? map_revision(map_of(map), key.bytes, key.size) : 0;
}

/* The request is refused for it, also when the behaviour does not look. */
static int noted(struct sole_map *map, enum code code)
{
	if (code != CODE_OK)
		map_note_failure(map_of(map), code);
	return (int)code;
}

EXPORT int sole_map_put(struct sole_map *map, struct sole_value key, struct sole_value value)
{
	const struct value v = inward(&value);

	if (key.type != SOLE_BYTES || (value.type != SOLE_INTEGER && value.type != SOLE_BYTES))
		return noted(map, CODE_INVALID);
	return noted(map, map_put(map_of(map), key.bytes, key.size, &v));
}

EXPORT int sole_map_remove(struct sole_map *map, struct sole_value key)
{
	if (key.type != SOLE_BYTES)
		return noted(map, CODE_INVALID);
	return noted(map, map_remove(map_of(map), key.bytes, key.size, NULL));
}

EXPORT uint64_t sole_map_count(const struct sole_map *map)
{
	return map_count(map_of(map));
}

EXPORT int sole_map_seek(struct sole_map *map, struct sole_value from, int after, struct sole_value *key,
			 struct sole_value *value)
{
	struct map_entry entry;

	/* None, as a cursor is at first, stands for the beginning. */
	if (from.type != SOLE_BYTES) {
		from = sole_bytes("", 0);
		after = 0;
	}
	if (!map_seek(map_of(map), from.bytes, from.size, after != 0, &entry))
		return 0;
	*key = (struct sole_value){ .type = SOLE_BYTES, .size = (uint32_t)entry.key_size, .bytes = entry.key };
	*value = outward(entry.value);
	return 1;
}

EXPORT struct sole_value sole_numbers(struct sole_numbers *to, size_t count, const uint64_t *numbers)
{
	if (count > SOLE_NUMBERS_MAX)
		count = SOLE_NUMBERS_MAX;
	for (size_t i = 0; i < count; i++)
		sole_key_number(numbers[i], to->bytes + 8 * i);
	return sole_bytes(to->bytes, (uint32_t)(8 * count));
}

EXPORT uint64_t sole_number(struct sole_value value, size_t index)
{
	if (value.type != SOLE_BYTES || index >= value.size / 8)
		return 0;
	return sole_number_of_key((const unsigned char *)value.bytes + 8 * index);
}

EXPORT void sole_key_number(uint64_t number, unsigned char key[8])
{
	for (int i = 0; i < 8; i++)
		key[i] = (unsigned char)(number >> (56 - 8 * i));
}

EXPORT uint64_t sole_number_of_key(const void *key)
{
	const unsigned char *bytes = key;
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | bytes[i];
	return number;
}
