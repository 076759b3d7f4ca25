/* SPDX-License-Identifier: MIT
 *
 * command_table.c - the subcommands of the behaviour `table`.
 */
#include "clients/command.h"
#include "clients/print.h"

#include "common/log.h"
#include "common/quantity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* A line with the value alone. */
static void print_line(struct sole_value value)
{
	if (settings.json)
		print_json(value);
	else
		print_raw(value);
	if (settings.json || !settings.no_newline)
		putchar('\n');
}

static int not_found(const char *key)
{
	if (settings.json)
		puts("null");
	no_line("not found: there is no key '%.200s'", key);
	return STATUS_NO;
}

/* One line for an entry: JSON, or its parts with tabs between; none for what is not asked for. */
static void print_entry(const struct sole_value *key, const struct sole_value *value,
			const struct sole_value *revision)
{
	const struct {
		const char *name;
		const struct sole_value *value;
	} parts[] = { { "key", key }, { "value", value }, { "revision", revision } };
	const char *before = settings.json ? "{" : "";

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (parts[i].value == NULL)
			continue;
		fputs(before, stdout);
		before = settings.json ? "," : "\t";
		if (settings.json) {
			printf("\"%s\":", parts[i].name);
			print_json(*parts[i].value);
		} else {
			print_field(*parts[i].value);
		}
	}
	puts(settings.json ? "}" : "");
}

/* ---- get, mget ---- */

static int got(const struct question *question, const struct sole_reply *reply,
	       const struct sole_value *value)
{
	(void)reply;
	if (value == NULL)
		return bad_answer();
	if (value->type == SOLE_NONE)
		return not_found(question->key);
	print_line(*value);
	return STATUS_DONE;
}

/* The revision first, so that whatever follows the tab is the value. */
static int got_with_revision(const struct question *question, const struct sole_reply *reply,
			     const struct sole_value *value)
{
	if (value == NULL || reply->results[0].count != 2 || value[1].type != SOLE_INTEGER)
		return bad_answer();
	if (value->type == SOLE_NONE)
		return not_found(question->key);
	if (settings.json) {
		print_entry(question->operations[0].arguments, &value[0], &value[1]);
		return STATUS_DONE;
	}
	printf("%lld\t", (long long)value[1].integer);
	print_line(value[0]);
	return STATUS_DONE;
}

int command_get(int count, char **operands)
{
	struct sole_value key = sole_text(operands[0]);

	(void)count;
	if (settings.with_revision)
		return ask_one(SOLE_TABLE_REVISION, 1, &key, SOLE_QUERY, operands[0], got_with_revision);
	return ask_one(SOLE_TABLE_GET, 1, &key, SOLE_QUERY, operands[0], got);
}

static int got_many(const struct question *question, const struct sole_reply *reply,
		    const struct sole_value *value)
{
	const struct sole_operation *operation = &question->operations[0];
	int status = STATUS_DONE;

	if (value == NULL || reply->results[0].count != operation->argument_count)
		return bad_answer();
	for (size_t i = 0; i < operation->argument_count; i++) {
		if (value[i].type == SOLE_NONE)
			status = STATUS_NO;
		if (value[i].type != SOLE_NONE || settings.json)
			print_entry(&operation->arguments[i], &value[i], NULL);
	}
	return status;
}

int command_mget(int count, char **operands)
{
	struct sole_value *keys = calloc((size_t)count, sizeof *keys);

	if (keys == NULL)
		fatal(EX_OSERR, "%s", log_cause(ENOMEM));
	for (int i = 0; i < count; i++)
		keys[i] = sole_text(operands[i]);
	int status = ask_one(SOLE_TABLE_GET_MANY, (uint16_t)count, keys, SOLE_QUERY, "", got_many);
	free(keys);
	return status;
}

/* ---- put, del, add, cas ---- */

/* What was found in place of what the condition wants is printed: a value, or a revision. */
static int was_not_put(const char *key, const struct sole_value *value)
{
	if (settings.if_present)
		return not_found(key);
	if (value == NULL)
		return bad_answer();
	if (settings.if_absent)
		no_line("conflict: the key '%.200s' is there", key);
	else if (value->type == SOLE_INTEGER && value->integer == 0)
		no_line("conflict: there is no key '%.200s'", key);
	else
		no_line("conflict: the key '%.200s' is of another revision", key);
	print_line(*value);
	return STATUS_NO;
}

static int was_put(const struct question *question, const struct sole_reply *reply,
		   const struct sole_value *value)
{
	if (reply->code == SOLE_CONFLICT)
		return was_not_put(question->key, value);
	if (question->takes_conflict)
		return STATUS_DONE;
	if (value == NULL || value->type != SOLE_INTEGER)
		return bad_answer();
	if (settings.verbose)
		log_info("'%.200s' %s", question->key,
			 value->integer ? "was there and has a new value" : "is new");
	return STATUS_DONE;
}

/* The condition and the expiry are two operations of one request: both or neither. */
int command_put(int count, char **operands)
{
	struct sole_value key = sole_text(operands[0]), value = value_of(operands[1]);
	bool by_revision = settings.revision >= 0, expires = settings.for_ns >= 0;

	(void)count;
	if (settings.if_absent + settings.if_present + by_revision > 1)
		usage_error("--if-absent, --if-present and --revision exclude each other");
	int64_t ms = expires ? milliseconds_of(settings.for_ns, "--for") : 0;
	const struct sole_value arguments[] = { key, value };
	const struct sole_value revised[] = { key, sole_integer(settings.revision), value };
	const struct sole_value expiry[] = { key, sole_integer(ms) };
	const struct sole_operation operations[] = {
		by_revision ? (struct sole_operation){ SOLE_TABLE_CAS_REVISION, 3, revised } :
			      (struct sole_operation){ settings.if_absent  ? SOLE_TABLE_INSERT :
						       settings.if_present ? SOLE_TABLE_REPLACE :
									     SOLE_TABLE_PUT, 2, arguments },
		{ SOLE_TABLE_EXPIRE, 2, expiry },
	};
	return ask(&(struct question){
		.operations = operations,
		.count = expires ? 2 : 1,
		.takes_conflict = settings.if_absent || settings.if_present || by_revision,
		.key = operands[0],
		.answer = was_put,
	});
}

static int was_there(const struct question *question, const struct sole_reply *reply,
		     const struct sole_value *value)
{
	(void)reply;
	if (value == NULL || value->type != SOLE_INTEGER)
		return bad_answer();
	if (value->integer != 0)
		return STATUS_DONE;
	no_line("not found: there is no key '%.200s'", question->key);
	return STATUS_NO;
}

int command_del(int count, char **operands)
{
	struct sole_value key = sole_text(operands[0]);

	(void)count;
	return ask_one(SOLE_TABLE_DELETE, 1, &key, 0, operands[0], was_there);
}

static int print_number(const struct question *question, const struct sole_reply *reply,
			const struct sole_value *value)
{
	(void)reply, (void)question;
	if (value == NULL || value->type != SOLE_INTEGER)
		return bad_answer();
	printf("%lld\n", (long long)value->integer);
	return STATUS_DONE;
}

int command_add(int count, char **operands)
{
	int64_t delta = 1;
	const char *expected = count < 2 ? NULL
					 : quantity_integer(operands[1], INT64_MIN, INT64_MAX, &delta);

	if (expected != NULL)
		fatal(EX_USAGE, "'%.60s' cannot be added: give %s", operands[1], expected);
	const struct sole_value arguments[] = { sole_text(operands[0]), sole_integer(delta) };
	return ask_one(SOLE_TABLE_ADD, 2, arguments, 0, operands[0], print_number);
}

/* On a conflict, what was found instead goes to standard output: the next try's OLD. */
static int was_compared(const struct question *question, const struct sole_reply *reply,
			const struct sole_value *value)
{
	if (reply->code != SOLE_CONFLICT)
		return STATUS_DONE;
	if (value == NULL || value->type == SOLE_NONE) {
		if (settings.json)
			puts("null");
		no_line("conflict: there is no key '%.200s'", question->key);
		return STATUS_NO;
	}
	no_line(settings.absent ? "conflict: the key '%.200s' is there"
				: "conflict: the key '%.200s' has another value", question->key);
	print_line(*value);
	return STATUS_NO;
}

int command_cas(int count, char **operands)
{
	if (count != 3 - settings.absent - settings.remove)
		usage_error(count < 3 ? "cas needs OLD or --absent, and NEW or --remove"
				      : "--absent stands in place of OLD, --remove in place of NEW");
	const struct sole_value arguments[] = {
		sole_text(operands[0]),
		settings.absent ? sole_none() : value_of(operands[1]),
		settings.remove ? sole_none() : value_of(operands[settings.absent ? 1 : 2]),
	};
	const struct sole_operation operation = { SOLE_TABLE_CAS, 3, arguments };
	return ask(&(struct question){ .operations = &operation, .count = 1, .takes_conflict = true,
				       .key = operands[0], .answer = was_compared });
}

int command_count(int count, char **operands)
{
	(void)count, (void)operands;
	return ask_one(SOLE_TABLE_COUNT, 0, NULL, SOLE_QUERY, "", print_number);
}

/* ---- expiry ---- */

int command_expire(int count, char **operands)
{
	struct sole_value arguments[] = { sole_text(operands[0]), sole_none() };
	int64_t ns;

	(void)count;
	if (strcmp(operands[1], "never") != 0) {
		const char *expected = quantity_duration(operands[1], &ns);
		if (expected != NULL)
			fatal(EX_USAGE, "'%.60s' is not %s, or 'never'", operands[1], expected);
		arguments[1] = sole_integer(milliseconds_of(ns, "expire"));
	}
	return ask_one(SOLE_TABLE_EXPIRE, 2, arguments, 0, operands[0], was_there);
}

/* Asked together with the value: an entry that does not expire is not one that is not there. */
static int print_ttl(const struct question *question, const struct sole_reply *reply,
		     const struct sole_value *value)
{
	if (reply->result_count != 2 || value == NULL || reply->results[1].count != 1)
		return bad_answer();
	const struct sole_value left = reply->results[1].values[0];
	if (value->type == SOLE_NONE)
		return not_found(question->key);
	if (settings.json)
		print_line(left);
	else if (left.type == SOLE_INTEGER)
		printf("%lldms\n", (long long)left.integer);
	else
		puts("never");
	return STATUS_DONE;
}

int command_ttl(int count, char **operands)
{
	const struct sole_value key = sole_text(operands[0]);
	const struct sole_operation operations[] = { { SOLE_TABLE_GET, 1, &key },
						     { SOLE_TABLE_TTL, 1, &key } };

	(void)count;
	return ask(&(struct question){ .operations = operations, .count = 2, .flags = SOLE_QUERY,
				       .key = operands[0], .answer = print_ttl });
}

/* ---- scan ---- */

/* Between two pages of a scan: the handle's memory is used again, so the cursor is copied. */
struct scan {
	char cursor_bytes[1024];
	struct sole_value cursor; /* none: all is printed */
	uint64_t history;         /* 0: nothing was answered yet */
	int64_t left;
};

/* Returns STATUS_DONE, or the exit status. */
static int print_page(struct scan *scan, const struct sole_reply *reply)
{
	struct sole_value key, value, revision;

	if (reply->result_count != 1 || reply->results[0].count != 2)
		return bad_answer();
	struct sole_value entries = reply->results[0].values[0], cursor = reply->results[0].values[1];
	if (scan->history != 0 && scan->history != reply->history) {
		log_error("the owner began anew while it was scanned: scan again");
		return EX_TEMPFAIL;
	}
	scan->history = reply->history;
	while (sole_next(&entries, &key)) {
		if (!sole_next(&entries, &value) || !sole_next(&entries, &revision))
			return bad_answer();
		print_entry(&key, &value, settings.json || settings.with_revision ? &revision : NULL);
		scan->left--;
	}
	scan->cursor = sole_none();
	if (cursor.type != SOLE_BYTES)
		return STATUS_DONE;
	if (cursor.size > sizeof scan->cursor_bytes)
		return bad_answer();
	if (cursor.size > 0)
		memcpy(scan->cursor_bytes, cursor.bytes, cursor.size);
	scan->cursor = sole_bytes(scan->cursor_bytes, cursor.size);
	return STATUS_DONE;
}

/* The first page's revision is where a watch goes on without a gap: what changed since is heard again. */
static void tell_where_to_watch(const struct sole_reply *reply)
{
	if (settings.verbose)
		log_info("to hear what changes from here on: sole watch --from %016llx:%llu",
			 (unsigned long long)reply->history, (unsigned long long)reply->revision + 1);
}

int command_scan(int count, char **operands)
{
	enum { PAGE = 1000 };
	struct sole *handle = open_handle();
	struct scan scan = { .left = settings.limit > 0 ? settings.limit : INT64_MAX };
	struct sole_reply reply;
	int status = STATUS_DONE;

	do {
		const struct sole_value arguments[] = { sole_text(count > 0 ? operands[0] : ""), scan.cursor,
							sole_integer(scan.left < PAGE ? scan.left : PAGE) };
		const struct sole_operation operation = { SOLE_TABLE_SCAN, 3, arguments };
		if (call_owner(handle, &operation, 1, SOLE_QUERY | SOLE_TABLE, &reply) != SOLE_OK) {
			status = tell_failure(handle, &reply);
			break;
		}
		if (scan.history == 0)
			tell_where_to_watch(&reply);
		status = print_page(&scan, &reply);
	} while (status == STATUS_DONE && scan.cursor.type == SOLE_BYTES && scan.left > 0 && !ferror(stdout));
	close_handle(&handle);
	return status;
}
