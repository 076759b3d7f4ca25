/* SPDX-License-Identifier: MIT
 *
 * live.c - one line of how it goes: children up, operations a second, restarts. At the foot of a
 * terminal, and as the status that our own supervisor shows. Nowhere else: a file or a pipe gets
 * whole log lines only.
 */
#include "common/clock.h"
#include "common/notify.h"
#include "common/quantity.h"
#include "supervisor/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WORDS_BYTES = 200 };
static const int64_t every_ns = NS_PER_S / 4, tell_every_ns = NS_PER_S;

/* 1234567 as "1 234 567". */
static void group_digits(uint64_t number, char *text, size_t size)
{
	char digits[24];
	int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	size_t used = 0;

	for (int i = 0; i < length && used + 2 < size; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			text[used++] = ' ';
		text[used++] = digits[i];
	}
	text[used] = '\0';
}

/* A line that wraps could not be erased again. */
static size_t terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 79;
	return size.ws_col > 1 ? size.ws_col - 1U : 1;
}

/* "3 of 3 up, 1 234 operations/s, 0 restarts" */
static void words_of(const struct supervisor *s, char text[WORDS_BYTES])
{
	char rate[40];
	size_t up = 0;

	for (size_t i = 0; i < s->count; i++) /* one told to stop is up until it has ended */
		up += s->stopping ? s->children[i]->pid > 0 : s->views[i].state == CHILD_READY;
	group_digits((uint64_t)supervisor_rate(s), rate, sizeof rate);
	snprintf(text, WORDS_BYTES, "%zu of %zu up, %s operations/s, %llu restart%s", up, s->count, rate,
		 (unsigned long long)s->restarts, s->restarts == 1 ? "" : "s");
}

int64_t live_update(struct supervisor *s)
{
	static int64_t next_ns;
	char words[WORDS_BYTES], text[WORDS_BYTES + 100], time[24];

	if (!output_is_terminal())
		return INT64_MAX;
	/* The go and the stop are told by a line, which took its place: it is never behind them. */
	if (s->now_ns < next_ns && output_live_shown())
		return next_ns;
	next_ns = s->now_ns + every_ns;
	words_of(s, words);
	time[0] = '\0';
	if (s->went && s->now_ns > s->go_ns) /* in the turn of the go, now_ns is before it */
		quantity_format_duration(s->now_ns - s->go_ns, time, sizeof time);
	snprintf(text, sizeof text, "%s: %s%s%s%s", s->plan->name, words, time[0] != '\0' ? ", " : "", time,
		 s->stopping ? ", stopping" : s->went ? "" : ", starting");
	size_t columns = terminal_columns();
	if (columns < sizeof text)
		text[columns] = '\0';
	output_live(text);
	return next_ns;
}

int64_t live_tell(struct supervisor *s)
{
	static char told[WORDS_BYTES];
	static int64_t next_ns;
	char words[WORDS_BYTES];

	/* Starting and stopping have words of their own. */
	if (!s->went || s->stopping || getenv("NOTIFY_SOCKET") == NULL)
		return INT64_MAX;
	words_of(s, words);
	if (strcmp(words, told) == 0)
		return INT64_MAX;
	if (s->now_ns < next_ns)
		return next_ns;
	next_ns = s->now_ns + tell_every_ns;
	memcpy(told, words, sizeof told);
	notify("STATUS=%s", words);
	return next_ns;
}
