/* SPDX-License-Identifier: MIT
 *
 * values.c - values, codes and the operations of the behaviour `table`, as
 * sole.h offers them: thin words over sole_call.
 */
#include "clients/sole.h"

#include "clients/engine.h"
#include "common/wire.h"

#include <string.h>

struct sole_value sole_none(void)
{
	return (struct sole_value){ .type = SOLE_NONE };
}

struct sole_value sole_integer(int64_t integer)
{
	return (struct sole_value){ .type = SOLE_INTEGER, .integer = integer };
}

struct sole_value sole_bytes(const void *bytes, uint32_t size)
{
	return (struct sole_value){ .type = SOLE_BYTES, .size = size, .bytes = bytes };
}

struct sole_value sole_text(const char *text)
{
	size_t size = strlen(text);

	return sole_bytes(text, size < UINT32_MAX ? (uint32_t)size : UINT32_MAX);
}

int sole_next(struct sole_value *list, struct sole_value *item)
{
	struct value value;

	*item = sole_none();
	if (list->type != SOLE_LIST || list->size == 0)
		return 0;
	struct wire_reader reader = wire_reader(list->bytes, list->size);
	if (!wire_read_value(&reader, &value))
		return 0;
	*item = value_to_sole(&value);
	list->bytes = reader.at;
	list->size = (uint32_t)reader.left;
	return 1;
}

const char *sole_name_of(int code)
{
	return code_name((unsigned)code);
}

const char *sole_text_of(int code)
{
	return code_text((unsigned)code);
}

enum sole_outcome sole_outcome_of(int code)
{
	enum outcome outcome = code_outcome((unsigned)code);

	/* Nobody is told "waiting" as an outcome; of what waits it is not known. */
	return outcome == OUTCOME_WAITING ? SOLE_UNKNOWN : (enum sole_outcome)outcome;
}

/* One operation of the table; its only result goes to *result, if it has one. */
static int table_call(struct sole *handle, uint16_t number, const struct sole_value *arguments,
		      uint16_t count, int flags, int64_t timeout_ns, struct sole_value *result)
{
	const struct sole_operation operation = { number, count, arguments };
	struct sole_reply reply;
	int code = sole_call(handle, &operation, 1, flags | SOLE_TABLE, timeout_ns, &reply);

	*result = sole_none();
	if (reply.result_count == 1 && reply.results[0].count >= 1)
		*result = reply.results[0].values[0];
	return code;
}

/* An operation that answers an integer. */
static int integer_call(struct sole *handle, uint16_t number, const struct sole_value *arguments,
			uint16_t count, int64_t timeout_ns, int64_t *integer)
{
	struct sole_value result;
	int code = table_call(handle, number, arguments, count, 0, timeout_ns, &result);

	if (code != SOLE_OK)
		return code;
	if (result.type != SOLE_INTEGER)
		return SOLE_PROTOCOL;
	*integer = result.integer;
	return SOLE_OK;
}

int sole_get(struct sole *handle, struct sole_value key, struct sole_value *value)
{
	struct sole_value result;
	int code = table_call(handle, SOLE_TABLE_GET, &key, 1, SOLE_QUERY, 0, &result);

	if (value != NULL)
		*value = code == SOLE_OK ? result : sole_none();
	return code;
}

int sole_put(struct sole *handle, struct sole_value key, struct sole_value value)
{
	const struct sole_value arguments[] = { key, value };
	int64_t existed;

	return integer_call(handle, SOLE_TABLE_PUT, arguments, 2, 0, &existed);
}

int sole_delete(struct sole *handle, struct sole_value key, int *existed)
{
	int64_t was_there = 0;
	int code = integer_call(handle, SOLE_TABLE_DELETE, &key, 1, 0, &was_there);

	if (existed != NULL)
		*existed = code == SOLE_OK && was_there != 0;
	return code;
}

int sole_add(struct sole *handle, struct sole_value key, int64_t delta, int64_t *sum)
{
	const struct sole_value arguments[] = { key, sole_integer(delta) };
	int64_t result = 0;
	int code = integer_call(handle, SOLE_TABLE_ADD, arguments, 2, 0, &result);

	if (sum != NULL && code == SOLE_OK)
		*sum = result;
	return code;
}

int sole_cas(struct sole *handle, struct sole_value key, struct sole_value old_value,
	     struct sole_value new_value, struct sole_value *found)
{
	const struct sole_value arguments[] = { key, old_value, new_value };
	struct sole_value result;
	int code = table_call(handle, SOLE_TABLE_CAS, arguments, 3, 0, 0, &result);

	if (found != NULL)
		*found = code == SOLE_CONFLICT ? result : sole_none();
	return code;
}

int sole_lock(struct sole *handle, struct sole_value name, int64_t timeout_ns, int64_t *token)
{
	int64_t result = 0;
	int code = integer_call(handle, SOLE_TABLE_LOCK, &name, 1, timeout_ns, &result);

	if (token != NULL && code == SOLE_OK)
		*token = result;
	return code;
}

int sole_unlock(struct sole *handle, struct sole_value name)
{
	struct sole_value nothing;

	return table_call(handle, SOLE_TABLE_UNLOCK, &name, 1, 0, 0, &nothing);
}
