/* SPDX-License-Identifier: MIT
 *
 * command_admin.c - sessions, read-only: what administrators ask of an owner.
 */
#include "clients/command.h"

#include "clients/print.h"
#include "common/clock.h"
#include "common/quantity.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_BYTES = 64, COLUMNS = 7 };

/* ---- sessions ---- */

struct row {
	char cell[COLUMNS][CELL_BYTES];
};

/* All are had before one is printed: columns are as wide as what stands in them. */
struct table {
	struct row *rows;
	size_t count, room;
};

static const struct row head = { { "SESSION", "USER", "PID", "COMMANDS", "WAITING", "SILENT", "PROGRAM" } };

/* The name that the process goes by now. Another one may have its pid since: the owner ends the session then. */
static void program_of(int64_t pid, char *text, size_t size)
{
	char path[64];

	snprintf(text, size, "-");
	if (pid <= 0)
		return;
	snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fgets(text, (int)size, file) == NULL)
		snprintf(text, size, "-");
	text[strcspn(text, "\n")] = '\0';
	fclose(file);
}

static void user_of(const struct sole_session *session, char *text, size_t size)
{
	/* cppcheck-suppress getpwuidCalled ; one thread looks names up */
	const struct passwd *user = session->uid >= 0 ? getpwuid((uid_t)session->uid) : NULL;

	if (user != NULL)
		snprintf(text, size, "%s", user->pw_name);
	else if (session->uid >= 0)
		snprintf(text, size, "%lld", (long long)session->uid);
	else if (session->key.type == SOLE_BYTES)
		snprintf(text, size, "key %.*s", (int)session->key.size, (const char *)session->key.bytes);
	else
		snprintf(text, size, "-");
}

static int add_row(void *context, const struct sole_session *session)
{
	enum { FIRST_ROOM = 64 };
	struct table *table = context;

	if (table->count == table->room) {
		size_t room = table->room ? table->room * 2 : FIRST_ROOM;
		struct row *grown = realloc(table->rows, room * sizeof *grown);
		if (grown == NULL)
			return -1;
		table->rows = grown;
		table->room = room;
	}
	char (*cell)[CELL_BYTES] = table->rows[table->count++].cell;
	snprintf(cell[0], CELL_BYTES, "%llu", (unsigned long long)session->session);
	user_of(session, cell[1], CELL_BYTES);
	snprintf(cell[2], CELL_BYTES, session->pid >= 0 ? "%lld" : "-", (long long)session->pid);
	snprintf(cell[3], CELL_BYTES, "%llu", (unsigned long long)session->commands);
	snprintf(cell[4], CELL_BYTES, "%llu", (unsigned long long)session->waiting);
	quantity_format_duration(session->silent_ms * NS_PER_MS, cell[5], CELL_BYTES);
	program_of(session->pid, cell[6], CELL_BYTES);
	for (size_t i = 0; i < COLUMNS; i++)
		for (char *at = cell[i]; *at != '\0'; at++)
			if (iscntrl((unsigned char)*at))
				*at = '?';
	return 0;
}

static void print_row(const struct row *row, const int *width)
{
	for (size_t i = 0; i + 1 < COLUMNS; i++)
		printf(i < 2 ? "%-*s  " : "%*s  ", width[i], row->cell[i]);
	puts(row->cell[COLUMNS - 1]);
}

static void print_table(const struct table *table)
{
	int width[COLUMNS];

	for (size_t i = 0; i < COLUMNS; i++) {
		width[i] = (int)strlen(head.cell[i]);
		for (size_t row = 0; row < table->count; row++) {
			int length = (int)strlen(table->rows[row].cell[i]);
			width[i] = length > width[i] ? length : width[i];
		}
	}
	print_row(&head, width);
	for (size_t row = 0; row < table->count; row++)
		print_row(&table->rows[row], width);
}

/* One object a line; what is not known is null. */
static int print_session_json(void *context, const struct sole_session *session)
{
	(void)context;
	printf("{\"session\":%llu", (unsigned long long)session->session);
	if (session->uid >= 0)
		printf(",\"uid\":%lld,\"gid\":%lld,\"pid\":%lld", (long long)session->uid, (long long)session->gid,
		       (long long)session->pid);
	else
		fputs(",\"uid\":null,\"gid\":null,\"pid\":null", stdout);
	fputs(",\"key\":", stdout);
	print_json(session->key);
	printf(",\"commands\":%llu,\"waiting\":%llu,\"silent_ms\":%lld,\"silence_ms\":%lld,\"replies_bytes\":%llu}\n",
	       (unsigned long long)session->commands, (unsigned long long)session->waiting, (long long)session->silent_ms,
	       (long long)session->silence_ms, (unsigned long long)session->replies_bytes);
	return 0;
}

static int list_sessions(struct sole *handle)
{
	struct table table = { 0 };
	struct sole_reply reply;
	int status = STATUS_DONE;

	if (sole_sessions(handle, settings.json ? print_session_json : add_row, &table, 0, &reply) != SOLE_OK)
		status = tell_failure(handle, &reply);
	else if (!settings.json)
		print_table(&table);
	free(table.rows);
	return status;
}

static int end_session(struct sole *handle, uint64_t session)
{
	struct sole_reply reply;

	if (sole_end_session(handle, session, 0, &reply) == SOLE_OK)
		return STATUS_DONE;
	if (reply.code != SOLE_CONFLICT)
		return tell_failure(handle, &reply);
	no_line("%s", "there is no session of this id (any more)");
	return STATUS_NO;
}

int command_sessions(int count, char **operands)
{
	uint64_t session = 0;

	if (count == 2 && strcmp(operands[0], "end") == 0)
		session = number_of(operands[1], "session: a number, as sole sessions prints it");
	else if (count != 0)
		usage_error("it lists, or is told to end one");
	struct sole *handle = open_handle();
	int status = session != 0 ? end_session(handle, session) : list_sessions(handle);
	close_handle(&handle);
	return status;
}

/* ---- read-only ---- */

int command_read_only(int count, char **operands)
{
	struct sole_reply reply;
	int wanted = -1, now = 0, status = STATUS_DONE;

	if (count == 1 && strcmp(operands[0], "on") == 0)
		wanted = 1;
	else if (count == 1 && strcmp(operands[0], "off") == 0)
		wanted = 0;
	else if (count != 0)
		usage_error("it is on or off");
	struct sole *handle = open_handle();
	if (sole_read_only(handle, wanted, &now, 0, &reply) != SOLE_OK)
		status = tell_failure(handle, &reply);
	else if (settings.json)
		printf("{\"read_only\":%s}\n", now ? "true" : "false");
	else if (wanted < 0)
		puts(now ? "on" : "off");
	close_handle(&handle);
	return status;
}
