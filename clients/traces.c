/* SPDX-License-Identifier: MIT
 *
 * traces.c - the life of a trace: asked for, told, asked for again on the next connection, over.
 *
 * It is asked for as anything about the owner is, and by the number of that question the owner names
 * what it tells. A connection has one trace, which ends with it: on the next one it is asked for anew.
 * What happened in between was not traced, and nobody knows how much that was.
 */
#include "clients/engine_parts.h"

#include <string.h>

enum { TRACED_VALUES = 14 };

static void end(struct engine *engine, const struct sole_traced *traced)
{
	sole_trace_callback *callback = engine->trace.callback;
	void *context = engine->trace.context;

	engine->trace.callback = NULL;
	callback(engine->options.handle, traced, context);
}

/* The owner's answer to TRACE. One that was replaced meanwhile has another number. */
static void answered(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct engine *engine = context;

	(void)handle;
	engine->trace.asked = false;
	if (engine->trace.callback == NULL || engine->closing)
		return;
	if (engine->trace.again) {
		engine->trace.again = false;
		engine->trace.wanted = true;
		traces_ask(engine, engine->heard_ns);
		return;
	}
	const struct sole_traced traced = { .code = reply->code, .text = reply->text, .begun = reply->code == SOLE_OK };
	if (reply->code != SOLE_OK)
		end(engine, &traced);
	else
		engine->trace.callback(engine->options.handle, &traced, engine->trace.context);
}

static void unasked(struct sole *handle, const struct sole_reply *reply, void *context)
{
	(void)handle, (void)reply, (void)context;
}

/* Outside of callbacks of the engine's own queues: it may submit. */
void traces_ask(struct engine *engine, int64_t now_ns)
{
	struct engine_trace *trace = &engine->trace;

	if (!trace->wanted || trace->asked || trace->callback == NULL || engine->closing)
		return;
	const struct value list[] = {
		trace->any_operation ? value_none() : value_text(trace->operation),
		trace->any_key ? value_none() : value_bytes(trace->prefix, trace->prefix_bytes),
		value_integer(trace->pid),
		value_integer(trace->slower_ns),
	};
	trace->wanted = false;
	int code = engine_ask(engine, ITEM_TRACE, list, 4, now_ns, INT64_MAX, answered, engine, &trace->number);
	trace->asked = code == SOLE_OK;
	if (code != SOLE_OK) {
		const struct sole_traced traced = { .code = code, .text = code_text((unsigned)code) };
		end(engine, &traced);
	}
}

void traces_connected(struct engine *engine, int64_t now_ns)
{
	/* A question that is under way goes out again by itself. */
	engine->trace.wanted = engine->trace.callback != NULL && !engine->trace.asked;
	traces_ask(engine, now_ns);
}

int engine_trace(struct engine *engine, const struct sole_trace_filter *filter, sole_trace_callback *callback,
		 void *context, int64_t now_ns)
{
	struct engine_trace *trace = &engine->trace;

	if (engine->closing)
		return SOLE_CLOSED;
	if (callback == NULL) {
		bool was = trace->callback != NULL;
		trace->callback = NULL;
		trace->wanted = false;
		return was ? engine_ask(engine, ITEM_UNTRACE, NULL, 0, now_ns, INT64_MAX, unasked, NULL, NULL) : SOLE_USAGE;
	}
	if (filter->key.type != SOLE_NONE &&
	    (filter->key.type != SOLE_BYTES || (filter->key.bytes == NULL && filter->key.size > 0)))
		return SOLE_USAGE;
	if (filter->slower_ns < 0 || filter->pid < 0)
		return SOLE_USAGE;
	if (filter->key.size > sizeof trace->prefix ||
	    (filter->operation != NULL && strlen(filter->operation) >= sizeof trace->operation))
		return SOLE_TOO_LARGE;
	trace->callback = callback;
	trace->context = context;
	trace->any_operation = filter->operation == NULL;
	trace->any_key = filter->key.type == SOLE_NONE;
	strcpy(trace->operation, trace->any_operation ? "" : filter->operation);
	trace->prefix_bytes = trace->any_key ? 0 : filter->key.size;
	if (trace->prefix_bytes > 0)
		memcpy(trace->prefix, filter->key.bytes, trace->prefix_bytes);
	trace->pid = filter->pid;
	trace->slower_ns = filter->slower_ns;
	trace->again = trace->asked; /* the answer to come is to the one before */
	trace->wanted = !trace->asked;
	traces_ask(engine, now_ns);
	return SOLE_OK;
}

/* ---- the owner's word ---- */

static bool is_integer(const struct value *value)
{
	return value->type == VALUE_INTEGER;
}

/* A request, or how many are missing before what follows. */
static bool read_traced(struct wire_reader *payload, struct sole_traced *traced)
{
	struct value v[TRACED_VALUES];
	size_t count;

	*traced = (struct sole_traced){ .text = code_text(CODE_OK) };
	if (!wire_read_list(payload, v, TRACED_VALUES, &count) || count == 0 || !is_integer(&v[0]))
		return false;
	if (count == 1) {
		traced->dropped = (uint64_t)v[0].integer;
		return true;
	}
	if (count < TRACED_VALUES || !is_integer(&v[11]) || !is_integer(&v[13]))
		return false;
	for (size_t i = 1; i < 10; i++)
		if (!is_integer(&v[i]))
			return false;
	traced->wall_us = v[0].integer;
	traced->took_ns = v[1].integer;
	traced->run_ns = v[2].integer;
	traced->together = (uint32_t)v[3].integer;
	traced->pid = (int)v[4].integer;
	traced->uid = v[5].integer;
	traced->session = (uint64_t)v[6].integer;
	traced->sequence = (uint64_t)v[7].integer;
	traced->revision = (uint64_t)v[8].integer;
	traced->answered = (int)v[9].integer;
	traced->operation = value_to_sole(&v[10]);
	traced->operation_count = (uint32_t)v[11].integer;
	traced->key = value_to_sole(&v[12]);
	traced->key_bytes = (uint32_t)v[13].integer;
	return true;
}

bool traces_told(struct engine *engine, const struct reply_header *header, struct wire_reader payload)
{
	struct sole_traced traced;

	/* Its user has lost the right to it. */
	if (header->outcome != OUTCOME_DONE) {
		traced = (struct sole_traced){ .code = header->code, .text = code_text(header->code) };
		if (engine->trace.callback != NULL && header->sequence == engine->trace.number)
			end(engine, &traced);
		return true;
	}
	while (payload.left > 0) {
		if (engine->trace.callback == NULL || header->sequence != engine->trace.number) {
			engine->counters.strays++;
			return true;
		}
		if (!read_traced(&payload, &traced))
			return false;
		engine->trace.callback(engine->options.handle, &traced, engine->trace.context);
	}
	return true;
}
