/* SPDX-License-Identifier: MIT
 *
 * counts-1-other.c - counts-1.c as somebody improved it who forgot that old commands are run again: from 5 on
 * an addition counts one more. What --replay is there to find.
 */
#include <sole/behaviour.h>

static int add(struct sole_call *call)
{
	struct sole_map *counts = sole_call_context(call);
	struct sole_value name = sole_argument(call, 0), sum = sole_integer(0);

	sole_map_get(counts, name, &sum);
	sum.integer += sole_argument(call, 1).integer;
	if (sum.integer >= 5)
		sum.integer++;
	sole_answer(call, sum);
	return sole_map_put(counts, name, sum);
}

static void *create(struct sole_store *store)
{
	return sole_store_map(store, "counts");
}

static const struct sole_operation_entry operations[] = {
	{ 1, SOLE_IS_COMMAND, "add", "adds to a counter, which begins at 0",
	  { { "name", SOLE_FIELD_KEY }, { "delta", SOLE_FIELD_INTEGER } }, { { "sum", SOLE_FIELD_INTEGER } }, add },
};

const struct sole_behaviour sole_behaviour = {
	.abi = SOLE_BEHAVIOUR_ABI,
	.name = "counts",
	.version = 1,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = create,
};
