/* SPDX-License-Identifier: MIT
 *
 * unsound.c - counters that break the contract of sole-behaviour(3) in each way that replay has to find, and two
 * operations that crash.
 */
#include <sole/behaviour.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t calls;

static int put(struct sole_call *call, int64_t value)
{
	return sole_map_put(sole_call_context(call), sole_argument(call, 0), sole_integer(value));
}

/* Sound, so that there is something to lose. */
static int set(struct sole_call *call)
{
	return put(call, sole_argument(call, 1).integer);
}

/* A time that is not the owner's. */
static int stamp(struct sole_call *call)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return put(call, now.tv_sec * 1000000000LL + now.tv_nsec);
}

/* State that is in no map. */
static int next(struct sole_call *call)
{
	return put(call, ++calls);
}

/* The same, and only the answer shows it. */
static int tell(struct sole_call *call)
{
	sole_answer(call, sole_integer(getpid()));
	return put(call, 1);
}

/* The same, and only whether it is refused shows it. */
static int moody(struct sole_call *call)
{
	return calls == 0 ? put(call, 2) : sole_refuse(call, SOLE_INVALID, "not today");
}

static int crash(struct sole_call *call)
{
	put(call, 666);
	abort();
}

/* The same, of a query. */
static int fall(struct sole_call *call)
{
	(void)call;
	abort();
}

static void *create(struct sole_store *store)
{
	calls = getenv("SOLE_UNSOUND") != NULL;
	return sole_store_map(store, "counts");
}

#define NAME { "name", SOLE_FIELD_KEY }
#define INTEGER(name) { name, SOLE_FIELD_INTEGER }
#define COMMAND(number, function, ...) \
	{ number, SOLE_IS_COMMAND, #function, "is " #function, { NAME }, { __VA_ARGS__ }, function }

static const struct sole_operation_entry operations[] = {
	{ 1, SOLE_IS_COMMAND, "set", "gives a counter a value", { NAME, INTEGER("value") }, { { 0 } }, set },
	COMMAND(2, stamp, { 0 }),
	COMMAND(3, next, { 0 }),
	COMMAND(4, tell, INTEGER("pid")),
	COMMAND(5, moody, { 0 }),
	COMMAND(6, crash, { 0 }),
	{ 7, SOLE_IS_QUERY, "fall", "is fall", { NAME }, { { 0 } }, fall },
};

const struct sole_behaviour sole_behaviour = {
	.abi = SOLE_BEHAVIOUR_ABI,
	.name = "unsound",
	.version = 1,
	.operations = operations,
	.operation_count = sizeof operations / sizeof *operations,
	.create = create,
};
