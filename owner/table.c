/* SPDX-License-Identifier: MIT
 *
 * table.c - the behaviour that ships built in: a map from bytes to integers or bytes.
 */
#include "owner/behaviour.h"

static void *table_create(struct store *store)
{
	return store_map(store, "table");
}

static const struct value *lookup(const struct call *call, const struct value *key)
{
	return map_get(call_context(call), key->bytes, key->size);
}

/* `value` of type none removes. */
static enum code set(struct call *call, const struct value *key, const struct value *value)
{
	if (value->type == VALUE_NONE)
		return map_remove(call_context(call), key->bytes, key->size, NULL);
	return map_put(call_context(call), key->bytes, key->size, value);
}

static enum code table_get(struct call *call)
{
	const struct value none = value_none(), *found = lookup(call, call_argument(call, 0));

	call_answer(call, found != NULL ? found : &none);
	return CODE_OK;
}

static enum code table_put(struct call *call)
{
	bool existed = lookup(call, call_argument(call, 0)) != NULL;
	enum code code = set(call, call_argument(call, 0), call_argument(call, 1));

	call_answer_integer(call, existed);
	return code;
}

static enum code table_delete(struct call *call)
{
	const struct value *key = call_argument(call, 0);
	bool existed = false;
	enum code code = map_remove(call_context(call), key->bytes, key->size, &existed);

	call_answer_integer(call, existed);
	return code;
}

static enum code table_add(struct call *call)
{
	const struct value *key = call_argument(call, 0), *found = lookup(call, key);
	int64_t sum = call_argument(call, 1)->integer;

	if (found != NULL && found->type != VALUE_INTEGER)
		return call_refuse(call, CODE_WRONG_TYPE, NULL, "add: the value at this key is bytes, not an integer");
	if (found != NULL && __builtin_add_overflow(found->integer, sum, &sum))
		return call_refuse(call, CODE_OVERFLOW, found, "add: %lld plus %lld does not fit into 64 bits",
				   (long long)found->integer, (long long)call_argument(call, 1)->integer);
	const struct value value = value_integer(sum);
	enum code code = set(call, key, &value);
	call_answer_integer(call, sum);
	return code;
}

static enum code table_cas(struct call *call)
{
	const struct value none = value_none(), *key = call_argument(call, 0), *found = lookup(call, key);

	if (found == NULL)
		found = &none;
	if (!value_equal(found, call_argument(call, 1)))
		return call_refuse(call, CODE_CONFLICT, found, "cas: the value is not the expected one");
	return set(call, key, call_argument(call, 2));
}

static enum code table_count(struct call *call)
{
	call_answer_integer(call, (int64_t)map_count(call_context(call)));
	return CODE_OK;
}

static const struct operation operations[] = {
	{ 1, OPERATION_QUERY, "get", "the value at a key, or none",
	  { { "key", FIELD_KEY } }, { { "value", FIELD_OPTIONAL } }, table_get },
	{ 2, OPERATION_COMMAND, "put", "sets a key; tells whether it was there",
	  { { "key", FIELD_KEY }, { "value", FIELD_VALUE } }, { { "existed", FIELD_INTEGER } }, table_put },
	{ 3, OPERATION_COMMAND, "delete", "removes a key; tells whether it was there",
	  { { "key", FIELD_KEY } }, { { "existed", FIELD_INTEGER } }, table_delete },
	{ 4, OPERATION_COMMAND, "add", "adds to an integer; an absent key counts as 0",
	  { { "key", FIELD_KEY }, { "delta", FIELD_INTEGER } }, { { "sum", FIELD_INTEGER } }, table_add },
	{ 5, OPERATION_COMMAND, "cas", "sets a key if it has the value expected; none stands for absent",
	  { { "key", FIELD_KEY }, { "expected", FIELD_OPTIONAL }, { "new", FIELD_OPTIONAL } }, { { 0 } }, table_cas },
	{ 6, OPERATION_QUERY, "count", "how many keys there are",
	  { { 0 } }, { { "keys", FIELD_INTEGER } }, table_count },
};

const struct behaviour table_behaviour = {
	.name = "table",
	.version = 1,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = table_create,
};
