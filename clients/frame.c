/* SPDX-License-Identifier: MIT
 *
 * frame.c - two readings as a table of operations, one of hot keys, one of clients, and the
 * supervisor's own.
 */
#include "clients/frame.h"
#include "clients/print.h"
#include "common/quantity.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((format(printf, 3, 4))) static void say(struct frame *frame, bool heading, const char *format, ...)
{
	va_list arguments;

	if (frame->count == FRAME_LINES)
		return;
	struct frame_line *line = &frame->lines[frame->count++];
	line->heading = heading;
	va_start(arguments, format);
	vsnprintf(line->text, sizeof line->text, format, arguments);
	va_end(arguments);
	for (size_t end = strlen(line->text); end > 0 && line->text[end - 1] == ' '; end--)
		line->text[end - 1] = '\0';
}

/* "950", "12.3k", "4.56M" */
static void write_count(double value, char *text, size_t size)
{
	static const char units[] = "\0kMGT";
	size_t unit = 0;

	while (value >= 9999.5 && unit < 4) {
		value /= 1000;
		unit++;
	}
	if (unit > 0)
		snprintf(text, size, value < 100 ? "%.1f%c" : "%.0f%c", value, units[unit]);
	else
		snprintf(text, size, value < 10 && value > 0 && value != (double)(int)value ? "%.1f" : "%.0f", value);
}

struct view {
	struct frame *frame;
	const struct reading *now, *before; /* before: of the same owner, or NULL */
	double seconds;
	const struct frame_settings *settings;
};

/* How often a second; "-" when there is nothing to compare with. */
static void write_rate(const struct view *view, int64_t now, int64_t before, char text[16])
{
	if (view->before == NULL || view->seconds <= 0)
		strcpy(text, "-");
	else
		write_count((double)(now > before ? now - before : 0) / view->seconds, text, 16);
}

static void write_rate_of(const struct view *view, const char *name, char text[16])
{
	write_rate(view, reading_number(view->now, name), view->before != NULL ? reading_number(view->before, name) : 0,
		   text);
}

/* ---- the head ---- */

static int64_t sum_of(const struct reading *reading, const char *a, const char *b)
{
	return reading != NULL ? reading_number(reading, a) + reading_number(reading, b) : 0;
}

/* A difference of 15 KB histograms: one after the other is enough. */
static const struct series *since(const struct view *view, const char *name)
{
	static struct series difference;
	const struct series *now = series_find(&view->now->series, name);
	const struct series *before = view->before != NULL ? series_find(&view->before->series, name) : NULL;

	if (now == NULL)
		return NULL;
	series_since(now, before, &difference);
	return &difference;
}

static void write_quantiles(const struct view *view, const char *name, char p50[32], char p99[32])
{
	const struct series *series = since(view, name);

	strcpy(p50, "-");
	strcpy(p99, "-");
	if (series == NULL)
		return;
	series_quantile(series, 500000, p50, 32);
	series_quantile(series, 990000, p99, 32);
}

static void say_head(const struct view *view)
{
	const struct reading *now = view->now;
	char up[32], clock[16], all[16], reads[16], writes[16], refused[16], rounds[16];
	time_t seconds = (time_t)(now->wall_us / 1000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(clock, sizeof clock, "%H:%M:%S", &tm);
	quantity_format_duration(reading_number(now, "uptime-ms") / 1000 * 1000000000, up, sizeof up);
	say(view->frame, true, "%s: %s, %s, %s, up %s, revision %lld, start %lld  %s", now->name, now->state, now->behaviour,
	    now->durability, up, (long long)reading_number(now, "revision"), (long long)reading_number(now, "starts"), clock);
	write_rate(view, sum_of(now, "reads", "writes"), sum_of(view->before, "reads", "writes"), all);
	write_rate_of(view, "reads", reads);
	write_rate_of(view, "writes", writes);
	write_rate_of(view, "requests_refused", refused);
	write_rate_of(view, "rounds", rounds);
	say(view->frame, false, "a second: %s operations (%s reads, %s writes), %s refused, %s rounds", all, reads, writes,
	    refused, rounds);
}

static void say_state(const struct view *view)
{
	const struct reading *now = view->now;
	char p50[32], p99[32], sync50[32], sync99[32], resident[32], state[32], outbox[32], journal[32];

	write_quantiles(view, "round", p50, p99);
	write_quantiles(view, "sync", sync50, sync99);
	say(view->frame, false, "round p50 %s p99 %s, sync p50 %s p99 %s, queue %lld, waiting %lld", p50, p99, sync50, sync99,
	    (long long)reading_number(now, "queue"), (long long)reading_number(now, "waiting"));
	print_format_bytes((uint64_t)reading_number(now, "resident-bytes"), resident, sizeof resident);
	print_format_bytes((uint64_t)reading_number(now, "state-bytes"), state, sizeof state);
	print_format_bytes((uint64_t)reading_number(now, "outbox-bytes"), outbox, sizeof outbox);
	print_format_bytes((uint64_t)reading_number(now, "journal-bytes"), journal, sizeof journal);
	say(view->frame, false, "memory %s, state %s in %lld entries, outboxes %s, journal %s", resident, state,
	    (long long)reading_number(now, "entries"), outbox, journal);
	say(view->frame, false, "%lld connections, %lld sessions, %lld watches, %lld traces, %lld slow requests",
	    (long long)reading_number(now, "connections"), (long long)reading_number(now, "sessions"),
	    (long long)reading_number(now, "watches"), (long long)reading_number(now, "traces"),
	    (long long)reading_number(now, "slow"));
}

/* ---- operations ---- */

struct operation {
	const struct series *now;
	double rate;
	uint64_t p99;
	char p50_text[32], p99_text[32];
};

static enum frame_order order; /* of qsort's comparison */

static int compare_operations(const void *a, const void *b)
{
	const struct operation *x = a, *y = b;

	if (order == FRAME_BY_RATE && x->rate < y->rate)
		return 1;
	if (order == FRAME_BY_RATE && x->rate > y->rate)
		return -1;
	if (order == FRAME_BY_P99 && x->p99 != y->p99)
		return x->p99 < y->p99 ? 1 : -1;
	return strcmp(x->now->name, y->now->name);
}

static void say_operations(const struct view *view, size_t most)
{
	static struct operation list[512];
	size_t count = 0;

	for (size_t i = 0; i < view->now->series.count && count < sizeof list / sizeof *list; i++) {
		const struct series *now = view->now->series.list[i];
		if (strcmp(now->kind, "owner") == 0)
			continue;
		const struct series *lately = since(view, now->name);
		struct operation *operation = &list[count++];
		operation->now = now;
		operation->rate = view->before == NULL ? (double)now->values.total :
				  view->seconds > 0    ? (double)lately->values.total / view->seconds : 0;
		operation->p99 = histogram_quantile(&lately->values, 990000);
		series_quantile(lately, 500000, operation->p50_text, sizeof operation->p50_text);
		series_quantile(lately, 990000, operation->p99_text, sizeof operation->p99_text);
	}
	order = view->settings->order;
	qsort(list, count, sizeof *list, compare_operations);
	say(view->frame, true, "%-20s %-8s %9s %12s %9s %9s %9s", "OPERATION", "KIND", "A SECOND", "SINCE START", "P50", "P99",
	    "LONGEST");
	if (count == 0)
		say(view->frame, false, "none has run");
	for (size_t i = 0; i < count && i < most; i++) {
		const struct operation *o = &list[i];
		char rate[16] = "-", total[16], longest[32];
		if (view->before != NULL)
			write_count(o->rate, rate, sizeof rate);
		write_count((double)o->now->values.total, total, sizeof total);
		quantity_format_duration((int64_t)o->now->maximum, longest, sizeof longest);
		say(view->frame, false, "%-20.20s %-8s %9s %12s %9s %9s %9s", o->now->name, o->now->kind, rate, total, o->p50_text,
		    o->p99_text, longest);
	}
}

/* ---- keys ---- */

static void say_keys(const struct view *view, size_t most)
{
	const struct reading *now = view->now;

	say(view->frame, true, "%-44s %9s  %s", "HOT KEY", "SHARE", "LAST BY");
	if (now->denied)
		say(view->frame, false, "not told to this user");
	else if (now->key_count == 0)
		say(view->frame, false, "none was seen");
	for (size_t i = 0; i < now->key_count && i < most; i++) {
		double share = now->looked_at > 0 ? 100.0 * (double)now->keys[i].count / (double)now->looked_at : 0;
		say(view->frame, false, "%-44.44s %8.1f%%  %.20s", now->keys[i].key, share > 100 ? 100 : share,
		    now->keys[i].operation);
	}
}

/* ---- clients ---- */

struct client_row {
	const struct reading_client *client;
	double rate;
};

static int compare_clients(const void *a, const void *b)
{
	const struct client_row *x = a, *y = b;

	if (x->rate < y->rate || x->rate > y->rate)
		return x->rate < y->rate ? 1 : -1;
	if (x->client->requests != y->client->requests)
		return x->client->requests < y->client->requests ? 1 : -1;
	return x->client->connection < y->client->connection ? -1 : 1;
}

static void write_user(const struct reading_client *client, char text[20])
{
	/* cppcheck-suppress getpwuidCalled ; there is one thread */
	const struct passwd *user = client->uid >= 0 ? getpwuid((uid_t)client->uid) : NULL;

	if (client->uid < 0)
		snprintf(text, 20, "%s", client->pid == 0 ? "(key)" : "-");
	else if (user != NULL)
		snprintf(text, 20, "%.12s", user->pw_name);
	else
		snprintf(text, 20, "%lld", (long long)client->uid);
}

static void say_client(const struct view *view, const struct client_row *row)
{
	const struct reading_client *client = row->client;
	char rate[16] = "-", total[16], user[20], silent[32];

	if (view->before != NULL)
		write_count(row->rate, rate, sizeof rate);
	write_count((double)client->requests, total, sizeof total);
	write_user(client, user);
	quantity_format_duration(client->silent_ms * 1000000, silent, sizeof silent);
	say(view->frame, false, "%-8lld %-20.20s %-12s %9s %9s %9lld %9s", (long long)client->pid, client->name, user, rate,
	    total, (long long)client->sessions, silent);
}

static void say_clients(const struct view *view, size_t most)
{
	const struct reading *now = view->now;
	struct client_row *rows = calloc(now->client_count + 1, sizeof *rows);

	say(view->frame, true, "%-8s %-20s %-12s %9s %9s %9s %9s", "PID", "CLIENT", "USER", "A SECOND", "REQUESTS", "SESSIONS",
	    "SILENT");
	if (now->denied)
		say(view->frame, false, "not told to this user");
	for (size_t i = 0; rows != NULL && i < now->client_count; i++) {
		const struct reading_client *client = &now->clients[i];
		const struct reading_client *was = view->before != NULL ? reading_client(view->before, client->connection) : NULL;
		int64_t asked = client->requests - (was != NULL && was->requests <= client->requests ? was->requests : 0);
		rows[i].client = client;
		rows[i].rate = view->before != NULL && view->seconds > 0 ? (double)asked / view->seconds : 0;
	}
	if (rows != NULL)
		qsort(rows, now->client_count, sizeof *rows, compare_clients);
	for (size_t i = 0; rows != NULL && i < now->client_count && i < most; i++)
		say_client(view, &rows[i]);
	if (now->client_total > most && !now->denied)
		say(view->frame, false, "and %zu more", now->client_total - most);
	free(rows);
}

/* ---- the supervisor ---- */

static void say_supervisor(const struct view *view, size_t most)
{
	const struct reading *now = view->now;

	for (size_t i = 0; i < now->line_count && i < most + 1; i++)
		say(view->frame, i == 0, "%s", now->lines[i]);
	if (now->line_count > most + 1)
		say(view->frame, false, "and %zu more", now->line_count - most - 1);
}

/* ---- all of it ---- */

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t operation_count(const struct reading *reading)
{
	size_t count = 0;

	for (size_t i = 0; i < reading->series.count; i++)
		count += strcmp(reading->series.list[i]->kind, "owner") != 0;
	return count > 0 ? count : 1;
}

/* Each part has a blank line and a heading. The head is always there; then each has a share of the rows, and what
 * one does not need is the next one's. */
void frame_make(struct frame *frame, const struct reading *now, const struct reading *before,
		const struct frame_settings *settings)
{
	enum { HEAD = 5, TITLES = 2 };
	struct view view = { .frame = frame, .now = now, .before = before, .settings = settings };

	frame->count = 0;
	if (now->code != SOLE_OK) {
		say(frame, true, "no answer: %s", now->why);
		say_supervisor(&view, settings->rows > 3 ? settings->rows - 3 : 1);
		return;
	}
	if (before != NULL && (before->code != SOLE_OK || before->incarnation != now->incarnation))
		view.before = NULL;
	if (view.before != NULL)
		view.seconds = (double)(now->at_ns - before->at_ns) / 1e9;
	say_head(&view);
	say_state(&view);
	size_t parts = now->line_count > 0 ? 4 : 3;
	size_t fixed = HEAD + parts * TITLES + 1;
	size_t rows = settings->rows > fixed + parts ? settings->rows - fixed : parts;
	size_t operations = least_of(operation_count(now), rows / parts + rows / 8);
	rows -= operations;
	size_t keys = least_of(now->key_count > 0 ? now->key_count : 1, rows / (parts - 1));
	keys = least_of(keys, 10);
	rows -= keys;
	size_t children = now->line_count > 0 ? least_of(now->line_count - 1, rows / 2) : 0;
	rows -= children;
	say(frame, false, "%s", "");
	say_operations(&view, operations);
	say(frame, false, "%s", "");
	say_keys(&view, keys);
	say(frame, false, "%s", "");
	say_clients(&view, rows > 0 ? rows : 1);
	if (now->line_count > 0) {
		say(frame, false, "%s", "");
		say_supervisor(&view, children > 0 ? children : 1);
	}
}
