/* SPDX-License-Identifier: MIT
 *
 * command_owner.c - the subcommands about an owner itself.
 */
#include "clients/command.h"

#include "clients/children.h"
#include "clients/print.h"
#include "common/clock.h"
#include "common/quantity.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { CELL_BYTES = 256 };

/* Of a value as it will be printed, control characters replaced: these are words for people. */
static int text_of_value(const struct sole_value *value, char *text, size_t size)
{
	int length = 0;

	if (value->type == SOLE_INTEGER)
		length = snprintf(text, size, "%lld", (long long)value->integer);
	else
		length = snprintf(text, size, "%.*s", value->type == SOLE_BYTES ? (int)value->size : 0,
				  value->type == SOLE_BYTES ? (const char *)value->bytes : "");
	for (char *at = text; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	return length >= (int)size ? (int)size - 1 : length;
}

/* The widest of every `step`th value from `first` on. */
static int widest(const struct sole_list *list, size_t first, size_t step, int width)
{
	char text[CELL_BYTES];

	for (size_t i = first; i < list->count; i += step) {
		int length = text_of_value(&list->values[i], text, sizeof text);
		width = length > width ? length : width;
	}
	return width;
}

/* Names and values as one object. */
static void print_member(size_t position, const struct sole_value *name, const struct sole_value *value)
{
	char text[CELL_BYTES];

	text_of_value(name, text, sizeof text);
	putchar(position == 0 ? '{' : ',');
	print_json_text(text);
	putchar(':');
	print_json(*value);
}

/* Asks and hands the answer on. */
static int ask_about(owner_question *question, int (*print)(const struct sole_reply *))
{
	struct sole *handle = open_handle();
	struct sole_reply reply;
	int status = ask_owner(handle, question, &reply) == SOLE_OK ? print(&reply) : tell_failure(handle, &reply);

	close_handle(&handle);
	return status;
}

/* ---- ping ---- */

int command_ping(int count, char **operands)
{
	struct sole *handle = open_handle();
	struct sole_reply reply;
	int64_t start_ns = clock_monotonic_ns();
	int status = STATUS_DONE;

	(void)count, (void)operands;
	if (ask_owner(handle, sole_ping, &reply) == SOLE_OK) {
		int64_t took_ns = clock_monotonic_ns() - start_ns;
		char took[32];
		quantity_format_duration(took_ns, took, sizeof took);
		if (settings.json) {
			fputs("{\"endpoint\":", stdout);
			print_json_text(sole_endpoint(handle));
			printf(",\"nanoseconds\":%lld}\n", (long long)took_ns);
		} else if (settings.verbose) {
			printf("%s answered in %s\n", sole_endpoint(handle), took);
		} else {
			printf("answered in %s\n", took);
		}
		tell_revision(&reply);
	} else {
		status = tell_failure(handle, &reply);
	}
	close_handle(&handle);
	return status;
}

/* ---- status ---- */

static int print_status(const struct sole_reply *reply)
{
	if (reply->result_count != 1 || reply->results[0].count % 2 != 0 || reply->results[0].count == 0)
		return bad_answer();
	const struct sole_list *list = &reply->results[0];
	int width = widest(list, 0, 2, 0);
	for (size_t i = 0; i < list->count; i += 2) {
		char name[CELL_BYTES + 1], value[CELL_BYTES];
		if (settings.json) {
			print_member(i, &list->values[i], &list->values[i + 1]);
			continue;
		}
		int length = text_of_value(&list->values[i], name, CELL_BYTES);
		text_of_value(&list->values[i + 1], value, sizeof value);
		printf("%.*s:%*s %s\n", length, name, width - length, "", value);
	}
	if (settings.json)
		puts("}");
	return STATUS_DONE;
}

static bool owner_is_named(void)
{
	const char *environment = getenv("SOLE_ENDPOINT");

	return settings.owner != NULL || settings.endpoint != NULL ||
	       (environment != NULL && *environment != '\0');
}

/* The owner's where one is named, else the supervisor's. */
int command_status(int count, char **operands)
{
	bool supervisor = settings.supervisor != NULL || count > 0;

	if (supervisor && !in_shell() && (settings.owner != NULL || settings.endpoint != NULL))
		usage_error("an owner has no children: leave out --owner and --endpoint, or the rest");
	if (!supervisor && (in_shell() || owner_is_named()))
		return ask_about(sole_status, print_status);
	if (settings.json)
		usage_error("--json is for the status of an owner: name one with --owner");
	return children_command("status", count > 0 ? operands[0] : NULL, settings.supervisor);
}
