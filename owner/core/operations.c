/* SPDX-License-Identifier: MIT
 *
 * operations.c - finding operations and checking what they are given.
 */
#include "owner/core/operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MOST = 65000, NAME_MAX_BYTES = 64 };

/* Numbers are small and dense as a rule, so the index is an array by number. */
struct operation_index {
	size_t size;
	const struct sole_operation_entry *by_number[];
};

static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	return name != NULL && *name != '\0' && strspn(name, allowed) == strlen(name);
}

static const char *fields_problem(const struct sole_field *fields, bool arguments)
{
	size_t i = 0;

	for (; i < SOLE_FIELDS_MAX && fields[i].type != SOLE_FIELD_END; i++) {
		if ((unsigned)fields[i].type > SOLE_FIELD_LIST || fields[i].name == NULL)
			return "has a field of no known type, or without a name";
		if (arguments && fields[i].type == SOLE_FIELD_LIST)
			return "takes a list, and only results can be lists";
		if (!arguments && fields[i].type == SOLE_FIELD_KEYS)
			return "gives keys, which only arguments can be: a list, perhaps";
		if (fields[i].type == SOLE_FIELD_KEYS && fields[i + 1].type != SOLE_FIELD_END)
			return "takes arguments behind its keys";
	}
	return fields[i].type != SOLE_FIELD_END ? "has more fields than SOLE_FIELDS_MAX" : NULL;
}

static const char *entry_problem(const struct sole_behaviour *behaviour, size_t index)
{
	const struct sole_operation_entry *entry = &behaviour->operations[index];

	if (!is_name(entry->name))
		return "has no name made of letters, digits, '-' and '_'";
	if (entry->number == 0 || entry->number > NUMBER_MOST)
		return "has no number from 1 to 65000";
	if (entry->run == NULL || entry->help == NULL)
		return "has no function or no line of help";
	if (entry->kind != SOLE_IS_QUERY && entry->kind != SOLE_IS_COMMAND)
		return "is neither a query nor a command";
	for (size_t i = 0; i < index; i++) {
		if (behaviour->operations[i].number == entry->number)
			return "has the number of another";
		if (strcmp(behaviour->operations[i].name, entry->name) == 0)
			return "has the name of another";
	}
	const char *problem = fields_problem(entry->arguments, true);
	return problem != NULL ? problem : fields_problem(entry->results, false);
}

const char *behaviour_problem(const struct sole_behaviour *behaviour)
{
	static char text[256];

	if (behaviour->abi != SOLE_BEHAVIOUR_ABI)
		return "it was built against another sole/behaviour.h: build it again";
	if (!is_name(behaviour->name))
		return "the behaviour has no name made of letters, digits, '-' and '_'";
	if (strlen(behaviour->name) > NAME_MAX_BYTES)
		return "the name of the behaviour has more than 64 characters";
	if (behaviour->create == NULL)
		return "the behaviour has no function to create it";
	if ((behaviour->due == NULL) != (behaviour->tick == NULL))
		return "'due' and 'tick' of the behaviour go together, and one of them is missing";
	if (behaviour->operation_count == 0 || behaviour->operations == NULL || behaviour->operation_count > NUMBER_MOST)
		return "the behaviour has no operations";
	for (size_t i = 0; i < behaviour->operation_count; i++) {
		const char *problem = entry_problem(behaviour, i);
		if (problem == NULL)
			continue;
		if (is_name(behaviour->operations[i].name))
			snprintf(text, sizeof text, "the operation '%.64s' %s", behaviour->operations[i].name, problem);
		else
			snprintf(text, sizeof text, "the operation at place %zu of the table %s", i, problem);
		return text;
	}
	return NULL;
}

struct operation_index *operation_index_new(const struct sole_behaviour *behaviour)
{
	size_t size = 0;

	for (size_t i = 0; i < behaviour->operation_count; i++)
		if (behaviour->operations[i].number >= size)
			size = (size_t)behaviour->operations[i].number + 1;
	struct operation_index *index = calloc(1, sizeof *index + size * sizeof *index->by_number);
	if (index == NULL)
		return NULL;
	index->size = size;
	for (size_t i = 0; i < behaviour->operation_count; i++)
		index->by_number[behaviour->operations[i].number] = &behaviour->operations[i];
	return index;
}

void operation_index_destroy(struct operation_index **index)
{
	free(*index);
	*index = NULL;
}

const struct sole_operation_entry *operation_find(const struct operation_index *index, uint16_t number)
{
	return number < index->size ? index->by_number[number] : NULL;
}

static const char *const field_names[] = {
	[SOLE_FIELD_END] = "",
	[SOLE_FIELD_INTEGER] = "integer",
	[SOLE_FIELD_BYTES] = "bytes",
	[SOLE_FIELD_VALUE] = "integer or bytes",
	[SOLE_FIELD_OPTIONAL] = "integer, bytes or none",
	[SOLE_FIELD_KEY] = "key",
	[SOLE_FIELD_KEYS] = "keys",
	[SOLE_FIELD_LIST] = "list",
};

const char *field_type_name(enum sole_field_type type)
{
	return field_names[type];
}

bool field_fits(enum sole_field_type type, const struct value *value)
{
	switch (type) {
	case SOLE_FIELD_INTEGER:
		return value->type == VALUE_INTEGER;
	case SOLE_FIELD_BYTES:
	case SOLE_FIELD_KEY:
	case SOLE_FIELD_KEYS:
		return value->type == VALUE_BYTES;
	case SOLE_FIELD_VALUE:
		return value->type == VALUE_INTEGER || value->type == VALUE_BYTES;
	case SOLE_FIELD_OPTIONAL:
		return value->type != VALUE_LIST;
	case SOLE_FIELD_LIST:
		return value->type == VALUE_LIST;
	case SOLE_FIELD_END:
		break;
	}
	return false;
}

static bool is_key(enum sole_field_type type)
{
	return type == SOLE_FIELD_KEY || type == SOLE_FIELD_KEYS;
}

bool operation_takes_key(const struct sole_operation_entry *operation, size_t index)
{
	size_t last = 0;

	while (last + 1 < SOLE_FIELDS_MAX && operation->arguments[last + 1].type != SOLE_FIELD_END)
		last++;
	return is_key(operation->arguments[index < last ? index : last].type);
}

enum code operation_check(const struct sole_operation_entry *operation, const struct value *arguments, size_t count,
			  const struct limits *limits, char *text, size_t text_size)
{
	size_t wanted = 0;

	while (wanted < SOLE_FIELDS_MAX && operation->arguments[wanted].type != SOLE_FIELD_END)
		wanted++;
	bool open_ended = wanted > 0 && operation->arguments[wanted - 1].type == SOLE_FIELD_KEYS;
	if (open_ended ? count < wanted : count != wanted) {
		snprintf(text, text_size, "%s takes %zu %sarguments, not %zu", operation->name, wanted,
			 open_ended ? "or more " : "", count);
		return CODE_INVALID;
	}
	for (size_t i = 0; i < count; i++) {
		const struct sole_field *field = &operation->arguments[i < wanted ? i : wanted - 1];
		const struct value *value = &arguments[i];
		int64_t limit = is_key(field->type) ? limits->key_bytes : limits->value_bytes;
		if (!field_fits(field->type, value)) {
			snprintf(text, text_size, "%s: %s must be %s", operation->name, field->name,
				 field->type == SOLE_FIELD_KEYS ? "key" : field_names[field->type]);
			return CODE_INVALID;
		}
		if (value->type == VALUE_BYTES && value->size > limit) {
			snprintf(text, text_size, "%s: %s has %u bytes; the limit %s is %lld", operation->name,
				 field->name, value->size, is_key(field->type) ? "max-key" : "max-value",
				 (long long)limit);
			return CODE_TOO_LARGE;
		}
	}
	return CODE_OK;
}
