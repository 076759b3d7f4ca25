/* SPDX-License-Identifier: MIT
 *
 * record_print.c - records as lines of text and as JSON objects.
 *
 * Records of a session's later life do not repeat who opened it: the printer remembers.
 */
#include "owner/record_print.h"
#include "owner/text.h"
#include "common/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct known_session {
	uint64_t id;
	struct caller caller;
	UT_hash_handle hh;
};

struct record_printer {
	const struct sole_behaviour *behaviour;
	struct operation_index *index;
	bool words; /* the operations are those of the behaviour */
	bool json;
	struct known_session *sessions;
	struct buffer text;
};

struct record_printer *record_printer_new(const struct sole_behaviour *behaviour, bool json)
{
	struct record_printer *printer = calloc(1, sizeof *printer);

	if (printer == NULL)
		return NULL;
	printer->behaviour = behaviour;
	printer->json = json;
	printer->index = operation_index_new(behaviour);
	if (printer->index == NULL)
		record_printer_destroy(&printer);
	return printer;
}

void record_printer_destroy(struct record_printer **printer)
{
	struct record_printer *p = *printer;
	struct known_session *session, *next;

	if (p == NULL)
		return;
	HASH_ITER(hh, p->sessions, session, next)
	{
		HASH_DEL(p->sessions, session);
		free(session);
	}
	buffer_clear(&p->text);
	operation_index_destroy(&p->index);
	free(p);
	*printer = NULL;
}

void record_printer_set_name(struct record_printer *printer, const void *name, size_t size)
{
	const char *own = printer->behaviour->name;

	printer->words = size == strlen(own) && memcmp(name, own, size) == 0;
}

static struct known_session *find_session(const struct record_printer *printer, uint64_t id)
{
	struct known_session *session;

	HASH_FIND(hh, printer->sessions, &id, sizeof id, session);
	return session;
}

/* Without memory for it the lines behind say no uid. */
static void remember(struct record_printer *printer, const struct record *record)
{
	struct known_session *session = find_session(printer, record->session);

	if (session != NULL || !record->caller.known)
		return;
	session = malloc(sizeof *session);
	if (session == NULL)
		return;
	session->id = record->session;
	session->caller = record->caller;
	HASH_ADD(hh, printer->sessions, id, sizeof session->id, session);
}

void record_printer_follow(struct record_printer *printer, const struct record *record)
{
	if (record->kind == RECORD_START)
		record_printer_set_name(printer, record->behaviour, record->behaviour_size);
	else if (record->kind == RECORD_OPEN || (record->kind == RECORD_RUN && record->session != 0))
		remember(printer, record);
	else if (record->kind == RECORD_END) {
		struct known_session *session = find_session(printer, record->session);
		if (session != NULL) {
			HASH_DEL(printer->sessions, session);
			free(session);
		}
	}
}

/* ---- what a record says ---- */

/* Who asked, for the line: of the record itself, or whose session it is. */
static struct caller caller_of(const struct record_printer *printer, const struct record *record)
{
	if (record->kind == RECORD_OPEN || record->kind == RECORD_RUN)
		return record->caller;
	const struct known_session *session = record->session != 0 ? find_session(printer, record->session) : NULL;
	return session != NULL ? session->caller : (struct caller){ .known = false };
}

static bool has_outcome(enum record_kind kind)
{
	return kind == RECORD_RUN || kind == RECORD_REFUSED || kind == RECORD_WITHDRAWN || kind == RECORD_ANSWERED;
}

struct operation {
	uint16_t number;
	const char *name; /* NULL: not known */
	struct value arguments[WIRE_LIST_MAX];
	size_t count;
};

static bool next_operation(const struct record_printer *printer, struct wire_reader *reader, struct operation *operation)
{
	const struct sole_operation_entry *entry = NULL;

	if (reader->left == 0 || !wire_read_u16(reader, &operation->number) ||
	    !wire_read_list(reader, operation->arguments, WIRE_LIST_MAX, &operation->count))
		return false;
	if (printer->words)
		entry = operation_find(printer->index, operation->number);
	operation->name = operation->number == OPERATION_OTHERWISE ? "otherwise" : entry != NULL ? entry->name : NULL;
	return true;
}

/* The owner's or the behaviour's sentence in the list of a refusal. */
static bool refusal_text(const struct record *record, struct value *text)
{
	struct wire_reader reader = wire_reader(record->reply, record->reply_size);
	struct value values[WIRE_LIST_MAX];
	size_t count;

	if (record->reply_size == 0 || code_outcome(record->code) == OUTCOME_DONE ||
	    !wire_read_list(&reader, values, WIRE_LIST_MAX, &count) || count < 2 || values[1].type != VALUE_BYTES)
		return false;
	*text = values[1];
	return values[1].size > 0;
}

/* ---- text ---- */

static void print_values(struct record_printer *printer, FILE *out, const struct value *values, size_t count)
{
	buffer_reset(&printer->text);
	for (size_t i = 0; i < count; i++) {
		buffer_u8(&printer->text, ' ');
		text_write_value(&printer->text, &values[i]);
	}
	fwrite(printer->text.data, 1, printer->text.size, out);
}

static void print_operations(struct record_printer *printer, FILE *out, const struct record *record)
{
	struct wire_reader reader = wire_reader(record->request, record->request_size);
	struct operation operation;

	for (bool first = true; next_operation(printer, &reader, &operation); first = false) {
		fputs(first ? " " : "; ", out);
		if (operation.name != NULL)
			fputs(operation.name, out);
		else
			fprintf(out, "operation-%u", operation.number);
		print_values(printer, out, operation.arguments, operation.count);
	}
}

static void print_outcome(struct record_printer *printer, FILE *out, const struct record *record)
{
	struct value text;

	fprintf(out, " -> %s", code_name(record->code));
	if (refusal_text(record, &text)) {
		putc(':', out);
		print_values(printer, out, &text, 1);
	}
}

static void print_text(struct record_printer *printer, FILE *out, const struct round *round, const struct record *record)
{
	struct caller caller = caller_of(printer, record);
	char when[TEXT_TIME_BYTES];

	text_format_time(when, round->time_us);
	fprintf(out, "%s %" PRIu64 " %s", when, record->revision, record_name(record->kind));
	if (record->kind == RECORD_START) {
		fprintf(out, " incarnation=%" PRIu64 " behaviour=", record->incarnation);
		fwrite(record->behaviour, 1, record->behaviour_size, out);
		fprintf(out, " version=%" PRIu32, record->version);
	}
	if (record->kind == RECORD_MIGRATED)
		fprintf(out, " from-version=%" PRIu32, record->version);
	if (record->session != 0)
		fprintf(out, " session=%" PRIu64, record->session);
	if (record->sequence != 0)
		fprintf(out, " sequence=%" PRIu64, record->sequence);
	if (caller.known)
		fprintf(out, " uid=%u pid=%d", caller.uid, caller.pid);
	if ((record->flags & RECORD_FLAG_UNHOOKED) != 0)
		fputs(" unhooked", out);
	if (record->kind == RECORD_RUN)
		print_operations(printer, out, record);
	if (has_outcome(record->kind))
		print_outcome(printer, out, record);
	putc('\n', out);
}

/* ---- JSON ---- */

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
	struct operation operation;

	fputs(",\"operations\":[", out);
	for (bool first = true; next_operation(printer, &reader, &operation); first = false) {
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
	for (bool first = true; reader.left > 0 && wire_read_list(&reader, values, WIRE_LIST_MAX, &count); first = false) {
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

static void print_json(struct record_printer *printer, FILE *out, const struct round *round, const struct record *record)
{
	struct caller caller = caller_of(printer, record);
	char when[TEXT_TIME_BYTES];

	text_format_time(when, round->time_us);
	fprintf(out, "{\"time\":\"%s\",\"round\":%" PRIu64 ",\"revision\":%" PRIu64 ",\"record\":\"%s\"", when,
		round->number, record->revision, record_name(record->kind));
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
	if (caller.known)
		fprintf(out, ",\"uid\":%u,\"gid\":%u,\"pid\":%d", caller.uid, caller.gid, caller.pid);
	if ((record->flags & RECORD_FLAG_UNHOOKED) != 0)
		fputs(",\"unhooked\":true", out);
	if (record->kind == RECORD_RUN)
		json_operations(printer, out, record);
	if (has_outcome(record->kind)) {
		fprintf(out, ",\"code\":\"%s\",\"outcome\":\"%s\"", code_name(record->code),
			outcome_name(code_outcome(record->code)));
		json_reply(out, record);
	}
	fprintf(out, ",\"digest\":\"%016" PRIx64 "\"}\n", record->digest);
}

void record_print(struct record_printer *printer, FILE *out, const struct round *round, const struct record *record)
{
	(printer->json ? print_json : print_text)(printer, out, round, record);
}
