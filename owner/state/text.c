/* SPDX-License-Identifier: MIT
 *
 * text.c - the lines of a state, written.
 */
#include "owner/state/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char escaped[] = TEXT_ESCAPED, letters[] = TEXT_LETTERS;

/* ---- writing ---- */

static void write_format(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void write_format(struct buffer *out, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	int size = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	buffer_append(out, text, size < (int)sizeof text ? (size_t)size : sizeof text - 1);
}

static void write_quoted(struct buffer *out, const uint8_t *bytes, size_t size)
{
	buffer_u8(out, '"');
	for (size_t i = 0, from = 0; i < size; i++) {
		const char *found = bytes[i] != '\0' ? strchr(escaped, bytes[i]) : NULL;
		bool plain = found == NULL && bytes[i] >= 0x20 && bytes[i] < 0x7f;
		/* What needs no escape is copied in one go. */
		if (plain && i + 1 < size)
			continue;
		buffer_append(out, bytes + from, i - from + plain);
		from = i + 1;
		if (found != NULL)
			write_format(out, "\\%c", letters[found - escaped]);
		else if (!plain)
			write_format(out, "\\x%02x", bytes[i]);
	}
	buffer_u8(out, '"');
}

static void write_list(struct buffer *out, const struct value *list)
{
	struct wire_reader reader = wire_reader(list->bytes, list->size);
	struct value item;

	buffer_u8(out, '[');
	for (bool first = true; reader.left > 0 && wire_read_value(&reader, &item); first = false) {
		if (!first)
			buffer_append(out, ", ", 2);
		text_write_value(out, &item);
	}
	buffer_u8(out, ']');
}

void text_write_value(struct buffer *out, const struct value *value)
{
	switch (value->type) {
	case VALUE_NONE:
		buffer_append(out, "none", 4);
		break;
	case VALUE_INTEGER:
		write_format(out, "%" PRId64, value->integer);
		break;
	case VALUE_BYTES:
		write_quoted(out, value->bytes, value->size);
		break;
	case VALUE_LIST:
		write_list(out, value);
		break;
	}
}

void text_format_time(char text[TEXT_TIME_BYTES], int64_t time_us)
{
	bool before = time_us % 1000000 < 0;
	time_t seconds = (time_t)(time_us / 1000000 - before);
	int64_t micro = time_us % 1000000 + (before ? 1000000 : 0);
	struct tm utc;
	char date[24] = "";

	/* Years of more than four digits are of no clock. */
	if (gmtime_r(&seconds, &utc) != NULL && utc.tm_year >= -1900 && utc.tm_year < 8100)
		snprintf(date, sizeof date, "%04u-%02u-%02uT%02u:%02u:%02u",
			 (unsigned)(utc.tm_year + 1900) % 10000, (unsigned)(utc.tm_mon + 1) % 100,
			 (unsigned)utc.tm_mday % 100, (unsigned)utc.tm_hour % 100, (unsigned)utc.tm_min % 100,
			 (unsigned)utc.tm_sec % 100);
	if (date[0] != '\0')
		snprintf(text, TEXT_TIME_BYTES, "%s.%06uZ", date, (unsigned)micro);
	else
		snprintf(text, TEXT_TIME_BYTES, "%" PRId64 "us", time_us);
}

void text_write_head(struct buffer *out, const struct text_head *head)
{
	char when[TEXT_TIME_BYTES];

	text_format_time(when, head->time_us);
	write_format(out, "sole-text %d\n", TEXT_FORMAT);
	write_format(out, "behaviour %s %" PRIu32 "\n", head->behaviour, head->version);
	write_format(out, "history %016" PRIx64 "\n", head->history);
	write_format(out, "revision %" PRIu64 "\n", head->revision);
	write_format(out, "time %s\n", when);
	write_format(out, "token %" PRId64 "\n", head->token);
}

void text_write_session(struct buffer *out, const struct text_session *session)
{
	write_format(out, "session %" PRIu64, session->id);
	if (caller_is_keyed(&session->caller))
		write_format(out, " key %016" PRIx64, session->caller.born);
	else if (session->caller.known)
		write_format(out, " uid %u gid %u pid %d", session->caller.uid, session->caller.gid,
			     session->caller.pid);
	write_format(out, " last %" PRIu64, session->last);
	for (size_t i = 0; i < session->waiting_count; i++)
		write_format(out, "%s%" PRIu64, i == 0 ? " waiting " : " ", session->waiting[i]);
	buffer_u8(out, '\n');
}

void text_write_map(struct buffer *out, const char *name)
{
	buffer_append(out, "map ", 4);
	write_quoted(out, (const uint8_t *)name, strlen(name));
	buffer_u8(out, '\n');
}

void text_write_entry(struct buffer *out, const struct text_entry *entry)
{
	text_write_value(out, &entry->key);
	buffer_u8(out, ' ');
	text_write_value(out, &entry->value);
	write_format(out, " @%" PRIu64 "\n", entry->revision);
}

void text_write_end(struct buffer *out)
{
	buffer_append(out, "end\n", 4);
}
