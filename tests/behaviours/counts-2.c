/* SPDX-License-Identifier: MIT
 *
 * counts-2.c - counters that also tell how often they were added to: name -> sum, times, in the map
 * "totals". What version 1 stored is taken over; those are counters that were added to once. A
 * counter called "refuse" is what it does not take over, for tests of that.
 */
#include <sole/behaviour.h>
#include <string.h>

static struct sole_value sum_and_times(struct sole_map *totals, struct sole_value name)
{
	struct sole_value found;

	return sole_map_get(totals, name, &found) ? found : sole_none();
}

static int add(struct sole_call *call)
{
	struct sole_map *totals = sole_call_context(call);
	struct sole_value name = sole_argument(call, 0), found = sum_and_times(totals, name);
	int64_t delta = sole_argument(call, 1).integer, sum;

	if (__builtin_add_overflow((int64_t)sole_number(found, 0), delta, &sum))
		return sole_refuse(call, SOLE_OVERFLOW, "it would be more than 64 bits can tell");
	sole_answer(call, sole_integer(sum));
	sole_emit(call, "add", name, sole_integer(delta));
	return sole_map_put(totals, name, SOLE_NUMBERS((uint64_t)sum, sole_number(found, 1) + 1));
}

/* Operations 2 and 3: the first number of the two, or the second. */
static int number_of(struct sole_call *call)
{
	struct sole_value found = sum_and_times(sole_call_context(call), sole_argument(call, 0));

	sole_answer(call, sole_integer((int64_t)sole_number(found, sole_call_operation(call) - 2u)));
	return SOLE_OK;
}

static int migrate(struct sole_call *call, unsigned from_version)
{
	struct sole_map *totals = sole_call_context(call), *counts = sole_store_map(sole_call_store(call), "counts");
	struct sole_value name = sole_none(), sum;
	unsigned char last[1024];

	if (from_version != 1)
		return sole_refuse(call, SOLE_INVALID, "version %u was never in use", from_version);
	while (sole_map_seek(counts, name, 1, &name, &sum)) {
		memcpy(last, name.bytes, name.size);
		name.bytes = last; /* the map is about to change */
		if (name.size == 6 && memcmp(last, "refuse", 6) == 0)
			return sole_refuse(call, SOLE_INVALID, "a counter called 'refuse' is not taken over");
		sole_map_put(totals, name, SOLE_NUMBERS((uint64_t)sum.integer, 1));
		sole_map_remove(counts, name);
	}
	return SOLE_OK;
}

static void *create(struct sole_store *store)
{
	return sole_store_map(store, "totals");
}

#define NAME { "name", SOLE_FIELD_KEY }
#define INTEGER(name) { name, SOLE_FIELD_INTEGER }

static const struct sole_operation_entry operations[] = {
	{ 1, SOLE_IS_COMMAND, "add", "adds to a counter, which begins at 0",
	  { NAME, INTEGER("delta") }, { INTEGER("sum") }, add },
	{ 2, SOLE_IS_QUERY, "sum", "what a counter is at",
	  { NAME }, { INTEGER("sum") }, number_of },
	{ 3, SOLE_IS_QUERY, "times", "how often a counter was added to",
	  { NAME }, { INTEGER("times") }, number_of },
};

const struct sole_behaviour sole_behaviour = {
	.abi = SOLE_BEHAVIOUR_ABI,
	.name = "counts",
	.version = 2,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = create,
	.migrate = migrate,
};
