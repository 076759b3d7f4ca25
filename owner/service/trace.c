/* SPDX-License-Identifier: MIT
 *
 * trace.c - the filter and the lines of a trace.
 *
 * Lines stand in one piece of memory, one behind the other, and are moved to its front when half of
 * it has been sent. Each has what it took at the same place, where it is written when it is known.
 */
#include "owner/service/trace.h"

#include <string.h>

enum {
	LINE_MAX_BYTES = 512,   /* 14 values, and the names and the key among them */
	INTEGER_BYTES = 9,
	TOOK_OFFSET = 1 + INTEGER_BYTES + 1, /* of the second value's eight bytes, in a line */
};

bool trace_wants(const struct trace_filter *filter, const struct seen *seen)
{
	if (filter->operation != NULL && seen->first != filter->operation)
		return false;
	if (filter->pid != 0 && seen->caller.pid != filter->pid)
		return false;
	return !filter->keyed || (seen->has_key && seen->key_size >= filter->prefix_size &&
				  memcmp(seen->key, filter->prefix, filter->prefix_size) == 0);
}

void seen_write(const struct seen *seen, struct buffer *out)
{
	size_t kept = seen->key_size < SEEN_KEY_BYTES ? seen->key_size : SEEN_KEY_BYTES;
	const struct value list[] = {
		value_integer(seen->wall_us),
		value_integer((int64_t)seen->took_ns),
		value_integer((int64_t)seen->run_ns),
		value_integer(seen->together),
		value_integer(seen->caller.pid),
		value_integer(seen->caller.uid),
		value_integer((int64_t)seen->session),
		value_integer((int64_t)seen->sequence),
		value_integer((int64_t)seen->revision),
		value_integer(seen->code),
		seen->first != NULL ? value_text(seen->first->name) : value_none(),
		value_integer(seen->operations),
		seen->has_key ? value_bytes(seen->key, kept) : value_none(),
		value_integer(seen->has_key ? seen->key_size : 0),
	};

	wire_write_list(out, list, sizeof list / sizeof *list);
}

bool trace_add(struct trace *trace, const struct seen *seen)
{
	struct buffer *lines = &trace->lines;

	/* Memory for all of it is there once anything is. */
	if (lines->size + LINE_MAX_BYTES > TRACE_BYTES || (lines->capacity == 0 && !buffer_reserve(lines, TRACE_BYTES))) {
		lines->failed = false;
		trace->dropped++;
		return false;
	}
	seen_write(seen, lines);
	trace->staged_count++;
	return true;
}

static void write_took(uint8_t *line, uint64_t took_ns)
{
	for (unsigned i = 0; i < 8; i++)
		line[TOOK_OFFSET + i] = (uint8_t)(took_ns >> (8 * i));
}

static size_t line_size(const uint8_t *line, size_t left)
{
	struct wire_reader reader = wire_reader(line, left);
	struct value ignored;
	size_t count;

	wire_read_list(&reader, &ignored, 1, &count);
	return left - reader.left;
}

uint64_t trace_finish(struct trace *trace, uint64_t took_ns)
{
	struct buffer *lines = &trace->lines;
	uint64_t count = trace->staged_count;

	trace->staged_count = 0;
	if (took_ns < trace->filter.slower_ns) {
		lines->size = trace->staged;
		return 0;
	}
	for (size_t at = trace->staged; at < lines->size; at += line_size(lines->data + at, lines->size - at))
		write_took(lines->data + at, took_ns);
	trace->staged = lines->size;
	return count;
}

const uint8_t *trace_next(const struct trace *trace, size_t most, size_t *size)
{
	const struct buffer *lines = &trace->lines;
	size_t end = trace->head;

	while (end < trace->staged) {
		size_t bytes = line_size(lines->data + end, trace->staged - end);
		if (end + bytes - trace->head > most)
			break;
		end += bytes;
	}
	*size = end - trace->head;
	return lines->data + trace->head;
}

void trace_sent(struct trace *trace, size_t size)
{
	struct buffer *lines = &trace->lines;

	trace->head += size;
	if (trace->head < lines->size && trace->head < TRACE_BYTES / 2)
		return;
	memmove(lines->data, lines->data + trace->head, lines->size - trace->head);
	lines->size -= trace->head;
	trace->staged -= trace->head;
	trace->head = 0;
}

void trace_clear(struct trace *trace)
{
	buffer_clear(&trace->lines);
}
