/* SPDX-License-Identifier: MIT
 *
 * numbers_items.c - telling what is measured: LATENCIES, CLIENTS, HOT, SLOW.
 *
 * What may be long is told page by page: the first list of a reply says where the next one begins.
 * Whose keys or doings are shown is everybody's, so that takes the right admin; latencies do not.
 */
#include "owner/service/service_parts.h"

enum {
	LATENCY_MOST_BYTES = 24000,  /* of one operation's list: more buckets than the range of a clock fills */
	CLIENT_MOST_BYTES = 256,
	SEEN_MOST_BYTES = 512,
};

/* The list's only integer, or 0 where there is no list. False: it is neither. */
static bool read_from(struct wire_reader payload, int64_t *from)
{
	struct value value;
	size_t count;

	*from = 0;
	if (payload.left == 0)
		return true;
	if (!wire_read_list(&payload, &value, 1, &count) || count != 1 || value.type != VALUE_INTEGER || value.integer < 0)
		return false;
	*from = value.integer;
	return true;
}

static bool admin(struct exchange *x, const struct request_header *header)
{
	if (service_may(x, RIGHT_ADMIN))
		return true;
	refuse(x, header, CODE_DENIED, "it shows what others do: that takes the right admin");
	return false;
}

/* Room for where the next page begins, written before that is known. */
static size_t begin_page(struct buffer *out, size_t total)
{
	const struct value list[] = { value_integer(0), value_integer((int64_t)total) };
	size_t start = out->size;

	wire_write_list(out, list, 2);
	return start;
}

static void end_page(struct buffer *out, size_t start, uint64_t next)
{
	enum { FIRST_INTEGER = 2 };

	if (out->failed)
		return;
	for (unsigned i = 0; i < 8; i++)
		out->data[start + FIRST_INTEGER + i] = (uint8_t)(next >> (8 * i));
}

/* ---- latencies ---- */

static void write_bucket(void *context, uint64_t top, uint64_t count)
{
	const struct value values[] = { value_integer(top > INT64_MAX ? INT64_MAX : (int64_t)top),
					value_integer((int64_t)count) };

	wire_write_value(context, &values[0]);
	wire_write_value(context, &values[1]);
}

/* [name, kind, unit, count, sum, maximum, [top, count ...]] */
static void write_latency(struct buffer *out, const char *name, const char *kind, const char *unit,
			  const struct latency *latency)
{
	const struct value list[] = { value_text(name), value_text(kind), value_text(unit),
				      value_integer((int64_t)latency->values.total), value_integer((int64_t)latency->sum),
				      value_integer((int64_t)latency->values.maximum) };

	buffer_u8(out, 7);
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		wire_write_value(out, &list[i]);
	size_t buckets = wire_begin_value_list(out);
	latency_each(latency, write_bucket, out);
	wire_finish_value_list(out, buckets);
}

void item_latencies(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	const struct latencies *latencies = x->service->numbers.latencies;
	const struct sole_behaviour *behaviour = core_behaviour(x->service->core);
	int64_t from;

	if (!read_from(payload, &from)) {
		refuse(x, header, CODE_INVALID, "latencies takes where to begin, or nothing");
		return;
	}
	size_t room = room_left(x), first = x->out->size, at = (size_t)from;
	if (room < LATENCY_MOST_BYTES * 4) {
		refuse_spent(x, header);
		return;
	}
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);
	size_t page = begin_page(x->out, latencies->operation_count);
	if (at == 0) {
		write_latency(x->out, "round", "owner", "ns", &latencies->rounds);
		write_latency(x->out, "sync", "owner", "ns", &latencies->syncs);
		write_latency(x->out, "arrivals", "owner", "messages", &latencies->arrivals);
	}
	for (; at < latencies->operation_count && x->out->size - first + LATENCY_MOST_BYTES < room; at++) {
		const struct sole_operation_entry *operation = &behaviour->operations[at];
		bool others = at == LATENCY_OPERATIONS_MAX - 1 && behaviour->operation_count > LATENCY_OPERATIONS_MAX;
		if (latencies->operations[at].values.total > 0)
			write_latency(x->out, others ? "others" : operation->name,
				      operation->kind == SOLE_IS_QUERY ? "query" : "command", "ns",
				      &latencies->operations[at]);
	}
	end_page(x->out, page, at < latencies->operation_count ? at : 0);
	wire_finish_item(x->out, start);
	x->items++;
}

/* ---- clients ---- */

static void count_sessions(struct service *service)
{
	struct clients *clients = &service->numbers.clients;
	struct session *session;
	size_t cursor = 0;

	for (size_t i = 0; i < clients->count; i++)
		clients->list[i].sessions = 0;
	while ((session = sessions_next(core_sessions(service->core), &cursor)) != NULL) {
		struct client *client = clients_find(clients, session->connection);
		if (client != NULL)
			client->sessions++;
	}
}

/* [connection, pid, uid, key or none, name, messages, requests, sessions, connected for ms, silent for ms] */
static void write_client(const struct service *service, const struct client *client, struct buffer *out)
{
	const struct value list[] = {
		value_integer((int64_t)client->connection),
		value_integer(client->caller.pid),
		value_integer(client->caller.known && !client->caller.keyed ? (int64_t)client->caller.uid : -1),
		client->caller.keyed ? value_text(client->caller.key_name) : value_none(),
		value_text(client->name),
		value_integer((int64_t)client->messages),
		value_integer((int64_t)client->requests),
		value_integer(client->sessions),
		value_integer((service->now_ns - client->since_ns) / 1000000),
		value_integer((service->now_ns - client->heard_ns) / 1000000),
	};

	wire_write_list(out, list, sizeof list / sizeof *list);
}

void item_clients(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct service *service = x->service;
	const struct clients *clients = &service->numbers.clients;
	int64_t from;

	if (!admin(x, header))
		return;
	if (!read_from(payload, &from)) {
		refuse(x, header, CODE_INVALID, "clients takes where to begin, or nothing");
		return;
	}
	size_t room = room_left(x), first = x->out->size, at = (size_t)from;
	if (room < CLIENT_MOST_BYTES * 2) {
		refuse_spent(x, header);
		return;
	}
	count_sessions(service);
	size_t start = core_begin_reply(service->core, header, CODE_OK, x->out);
	size_t page = begin_page(x->out, clients->count);
	for (; at < clients->count && x->out->size - first + CLIENT_MOST_BYTES < room; at++)
		write_client(service, &clients->list[at], x->out);
	end_page(x->out, page, at < clients->count ? at : 0);
	wire_finish_item(x->out, start);
	x->items++;
}

/* ---- hot keys ---- */

/* [looked at, of how many one, ns until half counts]; then [key, size, operation, count, error] */
void item_hot(struct exchange *x, const struct request_header *header)
{
	const struct sketch *sketch = &x->service->numbers.sketch;
	const struct sole_behaviour *behaviour = core_behaviour(x->service->core);
	uint16_t sorted[SKETCH_KEYS];

	if (!admin(x, header))
		return;
	const struct value head[] = { value_integer((int64_t)sketch->total), value_integer(SKETCH_EVERY),
				      value_integer(SKETCH_HALVE_S * 1000000000LL) };
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);
	wire_write_list(x->out, head, sizeof head / sizeof *head);
	size_t count = sketch_sorted(sketch, sorted);
	for (size_t i = 0; i < count; i++) {
		const struct sketch_key *key = &sketch->keys[sorted[i]];
		const struct value list[] = {
			value_bytes(key->bytes, key->size < SKETCH_KEY_BYTES ? key->size : SKETCH_KEY_BYTES),
			value_integer(key->size),
			value_text(behaviour->operations[key->place].name),
			value_integer(sketch->counts[sorted[i]]),
			value_integer(key->error),
		};
		wire_write_list(x->out, list, sizeof list / sizeof *list);
	}
	wire_finish_item(x->out, start);
	x->items++;
}

/* ---- slow requests ---- */

/* [threshold in ns, how many are kept at the most, how many there were]; then a list for each, the slowest first */
void item_slow(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct service *service = x->service;
	struct slow *slow = &service->numbers.slow;
	int64_t reset;

	if (!admin(x, header))
		return;
	if (!read_from(payload, &reset) || reset > 1) {
		refuse(x, header, CODE_INVALID, "slow takes 1 to empty the list, or nothing");
		return;
	}
	const struct value head[] = { value_integer((int64_t)service->settings.slow_after_ns),
				      value_integer((int64_t)slow->room), value_integer((int64_t)slow->total) };
	size_t room = room_left(x), first = x->out->size;
	if (room < SEEN_MOST_BYTES * 2) {
		refuse_spent(x, header);
		return;
	}
	size_t start = core_begin_reply(service->core, header, CODE_OK, x->out);
	wire_write_list(x->out, head, sizeof head / sizeof *head);
	slow_sort(slow);
	for (size_t i = slow->count; i-- > 0 && x->out->size - first + SEEN_MOST_BYTES < room;)
		seen_write(&slow->kept[i], x->out);
	if (reset == 1)
		slow_reset(slow);
	wire_finish_item(x->out, start);
	x->items++;
}
