/* SPDX-License-Identifier: MIT
 *
 * behaviour.c - what the owner does for every behaviour: finding operations,
 * checking arguments, collecting answers.
 */
#include "owner/behaviour.h"
#include "owner/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *call_context(const struct call *call)
{
	return call->context;
}

const struct value *call_argument(const struct call *call, size_t index)
{
	return &call->arguments[index];
}

const struct caller *call_caller(const struct call *call)
{
	return call->caller;
}

int64_t call_now_us(const struct call *call)
{
	return call->now_us;
}

void call_answer(struct call *call, const struct value *value)
{
	call->answered++;
	if (call->answered <= WIRE_LIST_MAX)
		wire_write_value(call->out, value);
}

void call_answer_integer(struct call *call, int64_t integer)
{
	struct value value = value_integer(integer);
	call_answer(call, &value);
}

enum code call_refuse(struct call *call, enum code code, const struct value *detail, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(call->text, sizeof call->text, format, arguments);
	va_end(arguments);
	call->detail = detail != NULL ? *detail : value_none();
	return code;
}

/* Numbers are small and dense, so the index is an array by number. */
struct operation_index {
	size_t size;
	const struct operation *by_number[];
};

struct operation_index *operation_index_new(const struct behaviour *behaviour)
{
	size_t size = 0;

	for (size_t i = 0; i < behaviour->operation_count; i++)
		if (behaviour->operations[i].number >= size)
			size = (size_t)behaviour->operations[i].number + 1;
	struct operation_index *index = calloc(1, sizeof *index + size * sizeof *index->by_number);
	if (index == NULL)
		return NULL;
	index->size = size;
	for (size_t i = 0; i < behaviour->operation_count; i++) {
		const struct operation **slot = &index->by_number[behaviour->operations[i].number];
		if (*slot != NULL) {
			free(index);
			return NULL;
		}
		*slot = &behaviour->operations[i];
	}
	return index;
}

void operation_index_destroy(struct operation_index **index)
{
	free(*index);
	*index = NULL;
}

const struct operation *operation_find(const struct operation_index *index, uint16_t number)
{
	return number < index->size ? index->by_number[number] : NULL;
}

static const char *const field_names[] = {
	[FIELD_END] = "",
	[FIELD_INTEGER] = "integer",
	[FIELD_BYTES] = "bytes",
	[FIELD_VALUE] = "integer or bytes",
	[FIELD_OPTIONAL] = "integer, bytes or none",
	[FIELD_KEY] = "key",
};

const char *field_type_name(enum field_type type)
{
	return field_names[type];
}

static bool fits(enum field_type type, const struct value *value)
{
	switch (type) {
	case FIELD_INTEGER:
		return value->type == VALUE_INTEGER;
	case FIELD_BYTES:
	case FIELD_KEY:
		return value->type == VALUE_BYTES;
	case FIELD_VALUE:
		return value->type != VALUE_NONE;
	case FIELD_OPTIONAL:
		return true;
	case FIELD_END:
		break;
	}
	return false;
}

enum code operation_check(const struct operation *operation, const struct value *arguments, size_t count,
			  const struct limits *limits, char *text, size_t text_size)
{
	size_t wanted = 0;

	while (wanted < OPERATION_ARGUMENTS_MAX && operation->arguments[wanted].type != FIELD_END)
		wanted++;
	if (count != wanted) {
		snprintf(text, text_size, "%s takes %zu arguments, not %zu", operation->name, wanted, count);
		return CODE_INVALID;
	}
	for (size_t i = 0; i < count; i++) {
		const struct field *field = &operation->arguments[i];
		const struct value *value = &arguments[i];
		int64_t limit = field->type == FIELD_KEY ? limits->key_bytes : limits->value_bytes;
		if (!fits(field->type, value)) {
			snprintf(text, text_size, "%s: %s must be %s", operation->name, field->name,
				 field_names[field->type]);
			return CODE_INVALID;
		}
		if (value->type == VALUE_BYTES && value->size > limit) {
			snprintf(text, text_size, "%s: %s has %u bytes; the limit %s is %lld", operation->name,
				 field->name, value->size, field->type == FIELD_KEY ? "max-key" : "max-value",
				 (long long)limit);
			return CODE_TOO_LARGE;
		}
	}
	return CODE_OK;
}
