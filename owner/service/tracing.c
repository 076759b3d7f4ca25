/* SPDX-License-Identifier: MIT
 *
 * tracing.c - who is told of requests as they run, and telling them.
 *
 * A connection has one trace at most, and it ends with the connection. Without any, nothing of this
 * costs anything. A trace whose client does not read loses lines and is told how many; it holds up
 * nobody.
 */
#include "owner/service/service_parts.h"

#include <stdlib.h>
#include <string.h>

enum { NOTICE_LINES_BYTES = 65536 };

/* gcc 12 loses sight of what hangs in an array, and takes it for leaked. */
#if defined __GNUC__ && !defined __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

static struct trace *find(const struct service *service, uint64_t connection)
{
	const struct numbers *n = &service->numbers;

	for (size_t i = 0; i < n->trace_count; i++)
		if (n->traces[i].connection == connection)
			return &n->traces[i];
	return NULL;
}

void traces_end(struct service *service, uint64_t connection)
{
	struct numbers *n = &service->numbers;

	for (size_t i = n->trace_count; i-- > 0;)
		if (connection == 0 || n->traces[i].connection == connection) {
			trace_clear(&n->traces[i]);
			n->traces[i] = n->traces[--n->trace_count];
		}
	if (n->trace_count == 0) {
		free(n->traces);
		n->traces = NULL;
		n->trace_room = 0;
	}
}

size_t traces_revoke(struct service *service)
{
	struct numbers *n = &service->numbers;
	size_t count = 0;

	for (size_t i = 0; i < n->trace_count; i++) {
		n->traces[i].revoked = access_right(service->access, &n->traces[i].caller) < RIGHT_ADMIN;
		count += n->traces[i].revoked;
	}
	return count;
}

static bool grow(struct numbers *n)
{
	enum { FIRST_ROOM = 4 };

	if (n->trace_count < n->trace_room)
		return true;
	size_t room = n->trace_room ? n->trace_room * 2 : FIRST_ROOM;
	struct trace *grown = realloc(n->traces, room * sizeof *grown);
	if (grown == NULL)
		return false;
	n->traces = grown;
	n->trace_room = room;
	return true;
}

/* ---- asking ---- */

static const struct sole_operation_entry *named(const struct sole_behaviour *behaviour, const struct value *name)
{
	for (size_t i = 0; i < behaviour->operation_count; i++) {
		const char *known = behaviour->operations[i].name;
		if (strlen(known) == name->size && memcmp(known, name->bytes, name->size) == 0)
			return &behaviour->operations[i];
	}
	return NULL;
}

/* [operation or none, prefix of the key or none, pid or 0, nanoseconds]: the sentence that refuses it, or NULL. */
static const char *read_filter(const struct service *service, struct wire_reader payload, struct trace_filter *filter)
{
	struct value list[4];
	size_t count;

	*filter = (struct trace_filter){ 0 };
	if (!wire_read_list(&payload, list, 4, &count) || count != 4 ||
	    (list[0].type != VALUE_NONE && list[0].type != VALUE_BYTES) ||
	    (list[1].type != VALUE_NONE && list[1].type != VALUE_BYTES) || list[2].type != VALUE_INTEGER ||
	    list[2].integer < 0 || list[2].integer > INT32_MAX || list[3].type != VALUE_INTEGER || list[3].integer < 0)
		return "trace takes an operation or none, a prefix or none, a pid or 0, and nanoseconds";
	if (list[0].type == VALUE_BYTES) {
		filter->operation = named(core_behaviour(service->core), &list[0]);
		if (filter->operation == NULL)
			return "the owner has no operation of that name to trace";
	}
	if (list[1].type == VALUE_BYTES) {
		if (list[1].size > TRACE_PREFIX_BYTES)
			return "the prefix of the keys to trace has 64 bytes at the most";
		filter->keyed = true;
		filter->prefix_size = list[1].size;
		memcpy(filter->prefix, list[1].bytes, list[1].size);
	}
	filter->pid = (pid_t)list[2].integer;
	filter->slower_ns = (uint64_t)list[3].integer;
	return NULL;
}

void item_trace(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct service *service = x->service;
	struct numbers *n = &service->numbers;
	struct trace_filter filter;

	if (!service_may(x, RIGHT_ADMIN)) {
		refuse(x, header, CODE_DENIED, "a trace shows what others ask for: that takes the right admin");
		return;
	}
	const char *problem = read_filter(service, payload, &filter);
	if (problem != NULL) {
		refuse(x, header, CODE_INVALID, problem);
		return;
	}
	if (!x->message->notices || x->message->connection == 0) {
		refuse(x, header, CODE_INVALID, "a trace needs a connection whose hello takes notices");
		return;
	}
	/* The one of this connection is replaced, whatever becomes of this one. */
	if (find(service, x->message->connection) != NULL)
		traces_end(service, x->message->connection);
	if (n->trace_count >= (size_t)service->settings.core.limits->traces) {
		counters_of(service)->limit_traces++;
		refuse(x, header, CODE_BUSY, "as many traces are under way as max-traces allows");
		return;
	}
	if (!grow(n)) {
		refuse(x, header, CODE_NO_MEMORY, NULL);
		return;
	}
	n->traces[n->trace_count++] =
		(struct trace){ .connection = x->message->connection, .id = header->sequence, .filter = filter, .caller = x->message->caller };
	counters_of(service)->traces_opened++;
	answer_list(x, header, NULL, 0);
}

void item_untrace(struct exchange *x, const struct request_header *header)
{
	if (x->message->connection != 0)
		traces_end(x->service, x->message->connection);
	answer_list(x, header, NULL, 0);
}

/* ---- telling ---- */

/* By what can be told before it runs, at the least cost: traces_add looks closer. */
bool traces_want(const struct exchange *x, struct wire_reader payload)
{
	const struct numbers *n = &x->service->numbers;
	struct value key;
	uint16_t number;
	bool has_key = wire_peek_key(&payload, &number, &key);

	if (!has_key && !wire_read_u16(&payload, &number))
		number = 0;
	for (size_t i = 0; i < n->trace_count; i++) {
		const struct trace_filter *filter = &n->traces[i].filter;
		if ((filter->pid == 0 || filter->pid == x->message->caller.pid) &&
		    (filter->operation == NULL || filter->operation->number == number) &&
		    (!filter->keyed || (has_key && key.size >= filter->prefix_size &&
					memcmp(key.bytes, filter->prefix, filter->prefix_size) == 0)))
			return true;
	}
	return false;
}

void traces_add(struct service *service, const struct seen *seen)
{
	struct numbers *n = &service->numbers;

	for (size_t i = 0; i < n->trace_count; i++)
		if (!n->traces[i].revoked && trace_wants(&n->traces[i].filter, seen) && !trace_add(&n->traces[i], seen))
			counters_of(service)->trace_drops++;
}

void traces_round_over(struct service *service, uint64_t took_ns)
{
	struct numbers *n = &service->numbers;

	for (size_t i = 0; i < n->trace_count; i++)
		counters_of(service)->traced += trace_finish(&n->traces[i], took_ns);
}

/* How many were lost before what follows, as a list of one. */
static void write_dropped(struct trace *trace, struct buffer *out)
{
	const struct value dropped = value_integer((int64_t)trace->dropped);

	if (trace->dropped > 0)
		wire_write_list(out, &dropped, 1);
}

/* Those whose user has lost the right to them. */
static void end_revoked(struct service *service, const struct outlet *outlet)
{
	struct numbers *n = &service->numbers;

	for (size_t i = n->trace_count; i-- > 0;) {
		const struct trace *trace = &n->traces[i];
		if (!trace->revoked || !outlet->ready(outlet->context, trace->connection))
			continue;
		size_t item = begin_notice(service, ITEM_TRACED, trace->id, CODE_DENIED);
		write_refusal(-1, code_text(CODE_DENIED), NULL, &service->notice);
		if (send_notice(service, outlet, trace->connection, item))
			traces_end(service, trace->connection);
	}
}

bool traces_deliver(struct service *service, const struct outlet *outlet)
{
	struct numbers *n = &service->numbers;
	bool more = false;

	end_revoked(service, outlet);
	for (size_t i = 0; n->traces != NULL && i < n->trace_count; i++) {
		struct trace *trace = &n->traces[i];
		if (trace->revoked)
			continue;
		size_t size;
		const uint8_t *lines = trace_next(trace, NOTICE_LINES_BYTES, &size);
		if ((size == 0 && trace->dropped == 0) || !outlet->ready(outlet->context, trace->connection))
			continue;
		size_t item = begin_notice(service, ITEM_TRACED, trace->id, CODE_OK);
		if (size > 0)
			buffer_append(&service->notice, lines, size);
		/* What is dropped is what came last. */
		bool all = trace->head + size == trace->staged;
		if (all)
			write_dropped(trace, &service->notice);
		if (service->notice.failed || !send_notice(service, outlet, trace->connection, item))
			continue;
		if (all)
			trace->dropped = 0;
		trace_sent(trace, size);
		more |= !all && outlet->ready(outlet->context, trace->connection);
	}
	return more;
}
