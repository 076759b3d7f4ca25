/* SPDX-License-Identifier: MIT
 *
 * exposition.c - lines of Prometheus' text format.
 */
#include "common/exposition.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 96 };

__attribute__((format(printf, 2, 3))) static void say(struct buffer *out, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	buffer_append(out, line, length < (int)sizeof line ? (size_t)length : sizeof line - 1);
}

/* A label's value: backslash, quote and line feed escaped. */
static void say_value(struct buffer *out, const char *text)
{
	buffer_u8(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '\n') {
			buffer_append(out, "\\n", 2);
			continue;
		}
		if (*text == '\\' || *text == '"')
			buffer_u8(out, '\\');
		buffer_u8(out, (uint8_t)*text);
	}
	buffer_u8(out, '"');
}

static void say_label(struct buffer *out, const char *before, const char *name, const char *text)
{
	say(out, "%s%s=", before, name);
	say_value(out, text);
}

static bool is_time(const char *unit)
{
	return strcmp(unit, "ns") == 0 || strcmp(unit, "ms") == 0;
}

/* "sole_outbox_bytes", "sole_uptime_seconds", "sole_reads_total". */
static void full_name(const char *name, const char *unit, const char *kind, char full[NAME_MAX_BYTES])
{
	size_t length = strlen(name);

	if (strcmp(unit, "ms") == 0 && length > 3 && strcmp(name + length - 3, "-ms") == 0)
		length -= 3;
	snprintf(full, NAME_MAX_BYTES, "sole_%.*s%s%s", (int)length, name, is_time(unit) ? "_seconds" : "",
		 strcmp(kind, "counter") == 0 ? "_total" : "");
	for (char *at = full; *at != '\0'; at++)
		if (*at == '-')
			*at = '_';
}

/* Exact: nanoseconds have nine places behind the point. */
static void say_number(struct buffer *out, const char *unit, uint64_t value)
{
	if (strcmp(unit, "ns") == 0)
		say(out, "%" PRIu64 ".%09" PRIu64, value / 1000000000, value % 1000000000);
	else if (strcmp(unit, "ms") == 0)
		say(out, "%" PRIu64 ".%03" PRIu64, value / 1000, value % 1000);
	else
		say(out, "%" PRIu64, value);
}

static void say_head(struct buffer *out, const char *full, const char *type, const char *sentence)
{
	say(out, "# HELP %s %s\n# TYPE %s %s\n", full, sentence, full, type);
}

void exposition_number(struct buffer *out, const struct exposition_number *number)
{
	char full[NAME_MAX_BYTES];

	full_name(number->name, number->unit, number->kind, full);
	say_head(out, full, strcmp(number->kind, "counter") == 0 ? "counter" : "gauge", number->sentence);
	say(out, "%s ", full);
	say_number(out, number->unit, number->value);
	say(out, "\n");
}

void exposition_refusals(struct buffer *out)
{
	say_head(out, "sole_refusals_total", "counter", "items answered with a code that is not done, by the code");
}

bool exposition_refusal(struct buffer *out, const struct exposition_number *number)
{
	char code[NAME_MAX_BYTES];
	const char *underscore = strchr(number->name, '_');

	if (strcmp(number->group, "refusals") != 0 || underscore == NULL)
		return false;
	snprintf(code, sizeof code, "%s", underscore + 1);
	for (char *at = code; *at != '\0'; at++)
		if (*at == '_')
			*at = '-';
	say(out, "sole_refusals_total");
	say_label(out, "{", "code", code);
	say(out, "} %" PRIu64 "\n", number->value);
	return true;
}

void exposition_about(struct buffer *out, const struct exposition_about *about)
{
	say_head(out, "sole_owner_info", "gauge", "what the owner is: its state, behaviour and durability");
	say(out, "sole_owner_info");
	say_label(out, "{", "name", about->name);
	say_label(out, ",", "behaviour", about->behaviour);
	say_label(out, ",", "durability", about->durability);
	say(out, "} 1\n");
}

/* ---- histograms ---- */

/* Upper bounds of buckets: 1, 2.5, 5 of each power of ten from 10 us to 10 s; powers of two of messages. */
static size_t bounds_of(const char *unit, uint64_t bounds[EXPOSITION_BOUNDS_MAX])
{
	size_t count = 0;

	if (!is_time(unit)) {
		for (uint64_t bound = 1; bound <= 4096; bound *= 2)
			bounds[count++] = bound;
		return count;
	}
	for (uint64_t ten = 10000; ten <= 1000000000; ten *= 10) {
		bounds[count++] = ten;
		bounds[count++] = ten / 2 * 5;
		bounds[count++] = ten * 5;
	}
	bounds[count++] = 10000000000;
	return count;
}

void exposition_histogram(struct buffer *out, const char *name, const char *unit, const char *sentence)
{
	char full[NAME_MAX_BYTES];

	full_name(name, unit, "", full);
	say_head(out, full, "histogram", sentence);
}

void exposition_begin(struct exposition_histogram *histogram, const char *name, const char *unit)
{
	memset(histogram, 0, sizeof *histogram);
	histogram->name = name;
	histogram->unit = unit;
}

void exposition_bucket(struct exposition_histogram *histogram, uint64_t top, uint64_t count)
{
	uint64_t bounds[EXPOSITION_BOUNDS_MAX];
	size_t room = bounds_of(histogram->unit, bounds), at = 0;

	while (at < room && bounds[at] < top)
		at++;
	if (at < room)
		histogram->counts[at] += count;
}

static void say_labels(struct buffer *out, const char *operation, const char *kind, const char *bound)
{
	const char *before = "{";

	if (operation != NULL) {
		say_label(out, before, "operation", operation);
		before = ",";
	}
	if (kind != NULL) {
		say_label(out, before, "kind", kind);
		before = ",";
	}
	if (bound != NULL) {
		say_label(out, before, "le", bound);
		before = ",";
	}
	if (*before == ',')
		buffer_u8(out, '}');
}

void exposition_end(struct buffer *out, const struct exposition_histogram *histogram, const char *operation, const char *kind,
		    uint64_t count, uint64_t sum)
{
	uint64_t bounds[EXPOSITION_BOUNDS_MAX], so_far = 0;
	size_t room = bounds_of(histogram->unit, bounds);
	char full[NAME_MAX_BYTES], bound[32];

	full_name(histogram->name, histogram->unit, "", full);
	for (size_t i = 0; i <= room; i++) {
		so_far += i < room ? histogram->counts[i] : 0;
		if (i == room)
			snprintf(bound, sizeof bound, "+Inf");
		else if (is_time(histogram->unit))
			snprintf(bound, sizeof bound, "%g", (double)bounds[i] / 1e9);
		else
			snprintf(bound, sizeof bound, "%" PRIu64, bounds[i]);
		say(out, "%s_bucket", full);
		say_labels(out, operation, kind, bound);
		say(out, " %" PRIu64 "\n", i == room ? count : so_far);
	}
	say(out, "%s_sum", full);
	say_labels(out, operation, kind, NULL);
	say(out, " ");
	say_number(out, histogram->unit, sum);
	say(out, "\n%s_count", full);
	say_labels(out, operation, kind, NULL);
	say(out, " %" PRIu64 "\n", count);
}

const char *exposition_sentence(const char *name)
{
	static const struct {
		const char *name, *sentence;
	} sentences[] = {
		{ EXPOSITION_OPERATIONS, "time from the beginning of an operation's round until its reply left, synced" },
		{ EXPOSITION_ROUNDS, "time that a round took" },
		{ EXPOSITION_SYNCS, "time that writing a round to the journal and syncing it took" },
		{ EXPOSITION_ARRIVALS, "messages that had arrived when a round began: how deep the queue was" },
	};

	for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
		if (strcmp(name, sentences[i].name) == 0)
			return sentences[i].sentence;
	return "";
}
