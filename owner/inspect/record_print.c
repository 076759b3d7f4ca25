/* SPDX-License-Identifier: MIT
 *
 * record_print.c - records as lines of text, and what is known of each beside its own bytes.
 *
 * Records of a session's later life do not repeat who opened it: the printer remembers.
 */
#include "owner/inspect/record_print_parts.h"
#include "owner/state/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

static void forget(struct record_printer *printer, uint64_t id)
{
	struct known_session *session = id != 0 ? find_session(printer, id) : NULL;

	if (session == NULL)
		return;
	HASH_DEL(printer->sessions, session);
	free(session);
}

void record_printer_follow(struct record_printer *printer, const struct record *record)
{
	forget(printer, printer->ended);
	printer->ended = 0;
	if (record->kind == RECORD_START)
		record_printer_set_name(printer, record->behaviour, record->behaviour_size);
	else if (record->kind == RECORD_OPEN || (record->kind == RECORD_RUN && record->session != 0))
		remember(printer, record);
	else if (record->kind == RECORD_END)
		printer->ended = record->session;
}

/* ---- what a record says ---- */

/* Who asked, for the line: of the record itself, or whose session it is. */
struct caller record_caller(const struct record_printer *printer, const struct record *record)
{
	if (record->kind == RECORD_OPEN || record->kind == RECORD_RUN)
		return record->caller;
	const struct known_session *session =
		record->session != 0 ? find_session(printer, record->session) : NULL;
	return session != NULL ? session->caller : (struct caller){ .known = false };
}

bool record_has_outcome(enum record_kind kind)
{
	return kind == RECORD_RUN || kind == RECORD_REFUSED || kind == RECORD_WITHDRAWN ||
	       kind == RECORD_ANSWERED;
}

bool record_next_operation(const struct record_printer *printer, struct wire_reader *reader,
			   struct record_operation *operation)
{
	const struct sole_operation_entry *entry = NULL;

	if (reader->left == 0 || !wire_read_u16(reader, &operation->number) ||
	    !wire_read_list(reader, operation->arguments, WIRE_LIST_MAX, &operation->count))
		return false;
	if (printer->words)
		entry = operation_find(printer->index, operation->number);
	operation->name = entry != NULL ? entry->name : NULL;
	if (operation->number == OPERATION_OTHERWISE)
		operation->name = "otherwise";
	return true;
}

/* The owner's or the behaviour's sentence in the list of a refusal. */
static bool refusal_text(const struct record *record, struct value *text)
{
	struct wire_reader reader = wire_reader(record->reply, record->reply_size);
	struct value values[WIRE_LIST_MAX];
	size_t count;

	if (record->reply_size == 0 || code_outcome(record->code) == OUTCOME_DONE ||
	    !wire_read_list(&reader, values, WIRE_LIST_MAX, &count) || count < 2 ||
	    values[1].type != VALUE_BYTES)
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
	struct record_operation operation;

	for (bool first = true; record_next_operation(printer, &reader, &operation); first = false) {
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

static void print_text(struct record_printer *printer, FILE *out, const struct round *round,
		       const struct record *record)
{
	struct caller caller = record_caller(printer, record);
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
	if (caller_is_keyed(&caller))
		fprintf(out, " key=%016" PRIx64, caller.born);
	else if (caller.known)
		fprintf(out, " uid=%u pid=%d", caller.uid, caller.pid);
	if ((record->flags & RECORD_FLAG_UNHOOKED) != 0)
		fputs(" unhooked", out);
	if (record->kind == RECORD_RUN)
		print_operations(printer, out, record);
	if (record_has_outcome(record->kind))
		print_outcome(printer, out, record);
	putc('\n', out);
}

void record_print(struct record_printer *printer, FILE *out, const struct round *round,
		  const struct record *record)
{
	(printer->json ? record_print_json : print_text)(printer, out, round, record);
}
