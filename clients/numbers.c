/* SPDX-License-Identifier: MIT
 *
 * numbers.c - what an owner measures: latencies, clients, hot keys, slow requests.
 */
#include "clients/library.h"

/* Of items that are told page by page, or take a word: an integer, or nothing where it is 0. */
static int ask(struct sole *handle, enum item_kind kind, uint64_t number, int64_t timeout_ns, struct sole_reply *reply)
{
	const struct value list[] = { value_integer((int64_t)number) };

	return library_ask(handle, kind, list, number != 0, timeout_ns, reply);
}

int sole_latencies(struct sole *handle, uint64_t from, int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, ITEM_LATENCIES, from, timeout_ns, reply);
}

int sole_clients(struct sole *handle, uint64_t from, int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, ITEM_CLIENTS, from, timeout_ns, reply);
}

int sole_hot(struct sole *handle, int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, ITEM_HOT, 0, timeout_ns, reply);
}

int sole_slow(struct sole *handle, int reset, int64_t timeout_ns, struct sole_reply *reply)
{
	return ask(handle, ITEM_SLOW, reset != 0, timeout_ns, reply);
}
