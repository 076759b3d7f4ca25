/* SPDX-License-Identifier: MIT
 *
 * numbers.c - what is measured of requests while they run: latencies, hot keys, slow ones, clients.
 *
 * It must cost next to nothing, so the clock is read once a message and not once a request: that
 * is a *span*, and when it was long the heaviest of its requests is blamed, together with how many
 * shared it. What has counted many checkpoints ends its span at once; a request that a trace may want has one
 * of its own.
 */
#include "owner/service/service_parts.h"

#include <string.h>

enum {
	KEYS_LOOKED_AT = 64,     /* of one request */
};

bool numbers_init(struct service *service)
{
	struct numbers *n = &service->numbers;

	n->latencies = latencies_new(core_behaviour(service->core)->operation_count);
	sketch_init(&n->sketch, service->settings.started_ns);
	return n->latencies != NULL && slow_init(&n->slow, (size_t)service->settings.core.limits->slow);
}

void numbers_clear(struct service *service)
{
	struct numbers *n = &service->numbers;

	latencies_destroy(&n->latencies);
	slow_clear(&n->slow);
	clients_clear(&n->clients);
	traces_end(service, 0);
}

static int64_t read_clock(const struct service *service)
{
	return service->settings.clock_ns != NULL ? service->settings.clock_ns() : 0;
}

void numbers_round(struct service *service, size_t arrived, int64_t wall_us)
{
	struct numbers *n = &service->numbers;

	n->arrived = arrived;
	n->wall_us = wall_us;
	n->together = 0;
	n->span_ns = read_clock(service);
}

void numbers_message(struct exchange *x)
{
	struct service *service = x->service;

	if (x->message->connection != 0)
		x->client = clients_heard(&service->numbers.clients, x->message->connection, &x->message->caller,
					  service->now_ns);
}

/* ---- hot keys ---- */

static void look_at_keys(struct service *service, struct wire_reader payload)
{
	struct sketch *sketch = &service->numbers.sketch;
	const struct sole_behaviour *behaviour = core_behaviour(service->core);
	struct value arguments[WIRE_LIST_MAX];
	size_t count, keys = 0;
	uint16_t number;

	sketch_look(sketch, service->now_ns);
	while (payload.left > 0 && keys < KEYS_LOOKED_AT) {
		if (!wire_read_u16(&payload, &number) || !wire_read_list(&payload, arguments, WIRE_LIST_MAX, &count))
			return;
		const struct sole_operation_entry *operation = core_operation(service->core, number);
		for (size_t i = 0; operation != NULL && i < count && keys < KEYS_LOOKED_AT; i++) {
			/* What is longer was refused, and costs no hash. */
			if (arguments[i].type != VALUE_BYTES || !operation_takes_key(operation, i) ||
			    arguments[i].size > service->settings.core.limits->key_bytes)
				continue;
			sketch_add(sketch, arguments[i].bytes, arguments[i].size,
				   (uint16_t)(operation - behaviour->operations));
			keys++;
		}
	}
}

/* ---- spans ---- */

/* What is told of the heaviest request since the clock was last read. */
static void describe(const struct exchange *x, uint64_t run_ns, struct seen *seen)
{
	const struct service *service = x->service;
	const struct numbers *n = &service->numbers;
	struct wire_reader payload = n->heaviest.payload;
	struct value key, ignored;
	uint16_t number;
	size_t count;

	*seen = (struct seen){
		.wall_us = n->wall_us,
		.run_ns = run_ns,
		.together = n->together,
		.caller = x->message->caller,
		.session = n->heaviest.header.session,
		.sequence = n->heaviest.header.sequence,
		.revision = n->heaviest.revision,
		.code = (uint16_t)n->heaviest.code,
	};
	if (!wire_read_u16(&payload, &number) || !wire_read_list(&payload, &key, 1, &count))
		return;
	seen->operations = 1;
	seen->first = core_operation(service->core, number);
	/* operation_takes_key goes by counts that the operation takes, and this one may have been refused. */
	seen->has_key = seen->first != NULL && count > 0 && key.type == VALUE_BYTES &&
			seen->first->arguments[0].type != SOLE_FIELD_END && operation_takes_key(seen->first, 0);
	if (seen->has_key) {
		seen->key_size = key.size;
		memcpy(seen->key, key.bytes, key.size < SEEN_KEY_BYTES ? key.size : SEEN_KEY_BYTES);
	}
	while (payload.left > 0 && wire_read_u16(&payload, &number) && wire_read_list(&payload, &ignored, 1, &count))
		seen->operations++;
}

static void end_span(struct exchange *x, bool traced)
{
	struct service *service = x->service;
	struct numbers *n = &service->numbers;
	int64_t now_ns = read_clock(service);
	uint64_t run_ns = (uint64_t)(now_ns - n->span_ns);
	struct seen seen;

	n->span_ns = now_ns;
	bool slow = service->settings.clock_ns != NULL && run_ns >= service->settings.slow_after_ns;
	if (n->together > 0 && (slow || traced)) {
		describe(x, run_ns, &seen);
		if (slow) {
			counters_of(service)->slow++;
			slow_add(&n->slow, &seen);
		}
		if (traced)
			traces_add(service, &seen);
	}
	n->together = 0;
}

void numbers_heavier(struct exchange *x, const struct request_header *header, struct wire_reader payload, enum code code,
		     uint64_t weight)
{
	x->service->numbers.heaviest =
		(struct heaviest){ .header = *header, .payload = payload, .weight = weight, .code = code,
				   .revision = core_revision(x->service->core) };
}

bool numbers_traced(struct exchange *x, struct wire_reader payload)
{
	if (!traces_want(x, payload))
		return false;
	end_span(x, false);
	return true;
}

void numbers_look(struct exchange *x, struct wire_reader payload, bool keys, bool span, bool traced)
{
	if (keys)
		look_at_keys(x->service, payload);
	if (span)
		end_span(x, traced);
}

void numbers_message_over(struct exchange *x)
{
	if (x->client != NULL)
		x->client->requests += x->runs;
	end_span(x, false);
}

void service_round_over(struct service *service, int64_t now_ns, int64_t commit_ns)
{
	struct numbers *n = &service->numbers;
	uint64_t took_ns = now_ns > service->now_ns ? (uint64_t)(now_ns - service->now_ns) : 0;

	latencies_take(n->latencies, core_usage(service->core), took_ns);
	latency_add(&n->latencies->rounds, took_ns, 1);
	latency_add(&n->latencies->arrivals, n->arrived, 1);
	if (commit_ns > 0)
		latency_add(&n->latencies->syncs, (uint64_t)commit_ns, 1);
	slow_finish(&n->slow, took_ns);
	if (n->trace_count > 0)
		traces_round_over(service, took_ns);
}

/* ---- gauges ---- */

struct gauges gauges_of(const struct service *service, int64_t now_ns)
{
	struct gauges gauges = { 0 };
	struct core *core = service->core;
	struct session *session;
	size_t cursor = 0;

	if (service->settings.gauges != NULL)
		gauges = *service->settings.gauges;
	gauges.revision = core_revision(core);
	gauges.starts = service->settings.durability == DURABILITY_MEMORY ? 1 : service->settings.identity.incarnation;
	gauges.uptime_ms = (uint64_t)((now_ns - service->settings.started_ns) / 1000000);
	gauges.sessions = sessions_count(core_sessions(core));
	while ((session = sessions_next(core_sessions(core), &cursor)) != NULL)
		gauges.waiting += session->waiting_count;
	gauges.queue = service->numbers.arrived;
	gauges.watches = service->watch_count;
	gauges.traces = service->numbers.trace_count;
	gauges.entries = store_entries(core_store(core));
	gauges.state_bytes = store_bytes(core_store(core));
	gauges.read_only = service->read_only;
	gauges.events_bytes = events_bytes(core_events(core));
	return gauges;
}
