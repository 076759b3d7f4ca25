/* SPDX-License-Identifier: MIT
 *
 * record_json.c - a record as one JSON object on its line.
 */
#include "owner/inspect/record_print_parts.h"
#include "owner/state/text.h"
#include "common/json.h"

#include <inttypes.h>
#include <string.h>

static void json_value(FILE *out, const struct value *value)
{
	struct wire_reader reader;
	struct value item;

	switch (value->type) {
	case VALUE_NONE:
		fputs("null", out);
		break;
	case VALUE_INTEGER:
		fprintf(out, "%" PRId64, value->integer);
		break;
	case VALUE_BYTES:
		json_bytes(out, value->bytes, value->size);
		break;
	case VALUE_LIST:
		reader = wire_reader(value->bytes, value->size);
		putc('[', out);
		for (bool first = true; reader.left > 0 && wire_read_value(&reader, &item); first = false) {
			if (!first)
				putc(',', out);
			json_value(out, &item);
		}
		putc(']', out);
		break;
	}
}

static void json_values(FILE *out, const struct value *values, size_t count)
{
	putc('[', out);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			putc(',', out);
		json_value(out, &values[i]);
	}
	putc(']', out);
}

static void json_operations(struct record_printer *printer, FILE *out, const struct record *record)
{
	struct wire_reader reader = wire_reader(record->request, record->request_size);
	struct record_operation operation;

	fputs(",\"operations\":[", out);
	for (bool first = true; record_next_operation(printer, &reader, &operation); first = false) {
		fprintf(out, "%s{\"number\":%u", first ? "" : ",", operation.number);
		if (operation.name != NULL) {
			fputs(",\"name\":", out);
			json_bytes(out, operation.name, strlen(operation.name));
		}
		fputs(",\"arguments\":", out);
		json_values(out, operation.arguments, operation.count);
		putc('}', out);
	}
	putc(']', out);
}

/* The lists of a reply; a reply that is not in the record is not told. */
static void json_reply(FILE *out, const struct record *record)
{
	struct wire_reader reader = wire_reader(record->reply, record->reply_size);
	struct value values[WIRE_LIST_MAX];
	size_t count;

	if ((record->flags & RECORD_FLAG_CUT) != 0 || record->kind == RECORD_WITHDRAWN ||
	    code_outcome(record->code) == OUTCOME_WAITING)
		return;
	fputs(",\"reply\":[", out);
	for (bool first = true; reader.left > 0 && wire_read_list(&reader, values, WIRE_LIST_MAX, &count);
	     first = false) {
		if (!first)
			putc(',', out);
		json_values(out, values, count);
	}
	putc(']', out);
}

static const char *outcome_name(enum outcome outcome)
{
	static const char *const names[] = { [OUTCOME_DONE] = "done", [OUTCOME_REFUSED] = "refused",
					     [OUTCOME_UNKNOWN] = "unknown", [OUTCOME_WAITING] = "waiting" };

	return names[outcome];
}

void record_print_json(struct record_printer *printer, FILE *out, const struct round *round,
		       const struct record *record)
{
	struct caller caller = record_caller(printer, record);
	char when[TEXT_TIME_BYTES];

	text_format_time(when, round->time_us);
	fprintf(out, "{\"time\":\"%s\",\"round\":%" PRIu64 ",\"revision\":%" PRIu64 ",\"record\":\"%s\"",
		when, round->number, record->revision, record_name(record->kind));
	if (record->kind == RECORD_START) {
		fprintf(out, ",\"incarnation\":%" PRIu64 ",\"behaviour\":", record->incarnation);
		json_bytes(out, record->behaviour, record->behaviour_size);
		fprintf(out, ",\"version\":%" PRIu32, record->version);
	}
	if (record->kind == RECORD_MIGRATED)
		fprintf(out, ",\"from_version\":%" PRIu32, record->version);
	if (record->session != 0)
		fprintf(out, ",\"session\":%" PRIu64, record->session);
	if (record->sequence != 0)
		fprintf(out, ",\"sequence\":%" PRIu64, record->sequence);
	if (caller_is_keyed(&caller))
		fprintf(out, ",\"key\":\"%016" PRIx64 "\"", caller.born);
	else if (caller.known)
		fprintf(out, ",\"uid\":%u,\"gid\":%u,\"pid\":%d", caller.uid, caller.gid, caller.pid);
	if ((record->flags & RECORD_FLAG_UNHOOKED) != 0)
		fputs(",\"unhooked\":true", out);
	if (record->kind == RECORD_RUN)
		json_operations(printer, out, record);
	if (record_has_outcome(record->kind)) {
		fprintf(out, ",\"code\":\"%s\",\"outcome\":\"%s\"", code_name(record->code),
			outcome_name(code_outcome(record->code)));
		json_reply(out, record);
	}
	fprintf(out, ",\"digest\":\"%016" PRIx64 "\"}\n", record->digest);
}
