/* SPDX-License-Identifier: MIT
 *
 * counts-1.c - counters, as they were first: name -> sum, in the map "counts". counts-2.c takes
 * over what this stores.
 */
#include <sole/behaviour.h>

static int add(struct sole_call *call)
{
	struct sole_map *counts = sole_call_context(call);
	struct sole_value name = sole_argument(call, 0), sum = sole_integer(0);
	int64_t delta = sole_argument(call, 1).integer;

	sole_map_get(counts, name, &sum);
	if (__builtin_add_overflow(sum.integer, delta, &sum.integer))
		return sole_refuse(call, SOLE_OVERFLOW, "it would be more than 64 bits can tell");
	sole_answer(call, sum);
	sole_emit(call, "add", name, sole_integer(delta));
	return sole_map_put(counts, name, sum);
}

static int sum_of(struct sole_call *call)
{
	struct sole_value sum = sole_integer(0);

	sole_map_get(sole_call_context(call), sole_argument(call, 0), &sum);
	sole_answer(call, sum);
	return SOLE_OK;
}

static void *create(struct sole_store *store)
{
	return sole_store_map(store, "counts");
}

#define NAME { "name", SOLE_FIELD_KEY }
#define INTEGER(name) { name, SOLE_FIELD_INTEGER }

static const struct sole_operation_entry operations[] = {
	{ 1, SOLE_IS_COMMAND, "add", "adds to a counter, which begins at 0",
	  { NAME, INTEGER("delta") }, { INTEGER("sum") }, add },
	{ 2, SOLE_IS_QUERY, "sum", "what a counter is at",
	  { NAME }, { INTEGER("sum") }, sum_of },
};

const struct sole_behaviour sole_behaviour = {
	.abi = SOLE_BEHAVIOUR_ABI,
	.name = "counts",
	.version = 1,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = create,
};
