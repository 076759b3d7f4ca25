/* SPDX-License-Identifier: MIT
 *
 * text_read.c - the lines of a state, read back.
 *
 * An escape is never shorter than what it stands for, so escapes are undone in place.
 */
#include "owner/state/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char escaped[] = TEXT_ESCAPED, letters[] = TEXT_LETTERS;

/* ---- the words of a line ---- */

/* What is left of a line. */
struct cursor {
	char *at, *end;
};

static bool skip(struct cursor *cursor, const char *text)
{
	size_t size = strlen(text);

	if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, text, size) != 0)
		return false;
	cursor->at += size;
	return true;
}

static bool read_unsigned(struct cursor *cursor, uint64_t most, uint64_t *number)
{
	const char *start = cursor->at;

	*number = 0;
	for (; cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9'; cursor->at++) {
		uint64_t digit = (uint64_t)(*cursor->at - '0');
		if (digit > most || *number > (most - digit) / 10)
			return false;
		*number = *number * 10 + digit;
	}
	return cursor->at > start && (cursor->at == start + 1 || *start != '0');
}

static bool read_signed(struct cursor *cursor, int64_t *number)
{
	bool negative = skip(cursor, "-");
	uint64_t size;

	if (!read_unsigned(cursor, (uint64_t)INT64_MAX + negative, &size))
		return false;
	*number = negative ? (int64_t)-size : (int64_t)size;
	return true;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c != '\0' ? strchr(digits, c) : NULL;

	return found != NULL ? (int)(found - digits) : -1;
}

/* Behind a backslash. Returns the byte, or -1. */
static int read_escape(struct cursor *cursor)
{
	if (cursor->at == cursor->end)
		return -1;
	char c = *cursor->at++;
	if (c == 'x' && cursor->end - cursor->at >= 2) {
		int high = hex_digit(cursor->at[0]), low = hex_digit(cursor->at[1]);
		cursor->at += 2;
		return high < 0 || low < 0 ? -1 : high * 16 + low;
	}
	const char *found = c != '\0' ? strchr(letters, c) : NULL;
	return found != NULL ? escaped[found - letters] : -1;
}

static bool read_quoted(struct cursor *cursor, struct value *value)
{
	if (!skip(cursor, "\""))
		return false;
	char *to = cursor->at;
	const char *start = to;
	while (cursor->at < cursor->end && *cursor->at != '"') {
		int byte = (unsigned char)*cursor->at++;
		if (byte == '\\')
			byte = read_escape(cursor);
		else if (byte < 0x20 || byte >= 0x7f)
			byte = -1;
		if (byte < 0)
			return false;
		*to++ = (char)byte;
	}
	*value = value_bytes(start, (size_t)(to - start));
	return skip(cursor, "\"");
}

static bool read_time(struct cursor *cursor, int64_t *time_us)
{
	static const char separators[] = "--T::.Z";
	static const unsigned char digits[] = { 4, 2, 2, 2, 2, 2, 6 };
	uint64_t part[7];

	for (size_t i = 0; i < 7; i++) {
		part[i] = 0;
		for (size_t k = 0; k < digits[i]; k++, cursor->at++) {
			if (cursor->at == cursor->end || *cursor->at < '0' || *cursor->at > '9')
				return false;
			part[i] = part[i] * 10 + (uint64_t)(*cursor->at - '0');
		}
		if (cursor->at == cursor->end || *cursor->at++ != separators[i])
			return false;
	}
	struct tm utc = { .tm_year = (int)part[0] - 1900, .tm_mon = (int)part[1] - 1, .tm_mday = (int)part[2],
			  .tm_hour = (int)part[3], .tm_min = (int)part[4], .tm_sec = (int)part[5] };
	struct tm given = utc;
	int64_t seconds = timegm(&utc);
	/* timegm takes a 31st of April for the 1st of May. */
	if (utc.tm_mon != given.tm_mon || utc.tm_mday != given.tm_mday || utc.tm_hour != given.tm_hour ||
	    utc.tm_min != given.tm_min || utc.tm_sec != given.tm_sec)
		return false;
	*time_us = seconds * 1000000 + (int64_t)part[6];
	return true;
}

/* Microseconds as they are written where no date can tell them, or a date. */
static bool read_when(struct cursor *cursor, int64_t *time_us)
{
	struct cursor start = *cursor;

	if (read_signed(cursor, time_us) && skip(cursor, "us"))
		return true;
	*cursor = start;
	return read_time(cursor, time_us);
}

static bool read_name(struct cursor *cursor, char name[TEXT_NAME_MAX + 1])
{
	size_t size = 0;

	for (; cursor->at < cursor->end && *cursor->at > ' ' && *cursor->at < 0x7f && size < TEXT_NAME_MAX;
	     size++)
		name[size] = *cursor->at++;
	name[size] = '\0';
	return size > 0;
}

/* Of sixteen hexadecimal digits. */
static bool read_hexadecimal(struct cursor *cursor, uint64_t *number)
{
	*number = 0;
	for (int i = 0; i < 16; i++) {
		int digit = cursor->at < cursor->end ? hex_digit(*cursor->at++) : -1;
		if (digit < 0)
			return false;
		*number = *number << 4 | (uint64_t)digit;
	}
	return true;
}

static bool read_caller(struct cursor *cursor, struct caller *caller)
{
	uint64_t uid, gid, pid;

	if (skip(cursor, " key ")) {
		*caller = (struct caller){ .known = true, .keyed = true, .uid = (uid_t)-1, .gid = (gid_t)-1 };
		return read_hexadecimal(cursor, &caller->born);
	}
	*caller = (struct caller){ .known = skip(cursor, " uid ") };
	if (!caller->known)
		return true;
	if (!read_unsigned(cursor, UINT32_MAX, &uid) || !skip(cursor, " gid ") ||
	    !read_unsigned(cursor, UINT32_MAX, &gid) || !skip(cursor, " pid ") ||
	    !read_unsigned(cursor, INT32_MAX, &pid))
		return false;
	caller->uid = (uid_t)uid;
	caller->gid = (gid_t)gid;
	caller->pid = (pid_t)pid;
	return true;
}

static bool read_session(struct cursor *cursor, struct text_session *session)
{
	session->waiting_count = 0;
	if (!read_unsigned(cursor, UINT64_MAX, &session->id) || !read_caller(cursor, &session->caller) ||
	    !skip(cursor, " last ") || !read_unsigned(cursor, UINT64_MAX, &session->last))
		return false;
	if (cursor->at == cursor->end)
		return true;
	if (!skip(cursor, " waiting"))
		return false;
	for (uint64_t before = 0; cursor->at < cursor->end;) {
		uint64_t sequence;
		if (!skip(cursor, " ") || !read_unsigned(cursor, session->last, &sequence) ||
		    sequence <= before ||
		    session->waiting_count == SESSION_PARKED_MAX)
			return false;
		session->waiting[session->waiting_count++] = before = sequence;
	}
	return session->waiting_count > 0;
}

static bool read_entry(struct cursor *cursor, struct text_entry *entry)
{
	if (!read_quoted(cursor, &entry->key) || !skip(cursor, " "))
		return false;
	if (cursor->at < cursor->end && *cursor->at == '"') {
		if (!read_quoted(cursor, &entry->value))
			return false;
	} else {
		int64_t integer;
		if (!read_signed(cursor, &integer))
			return false;
		entry->value = value_integer(integer);
	}
	return skip(cursor, " @") && read_unsigned(cursor, UINT64_MAX, &entry->revision);
}

/* ---- lines ---- */

/* The lines of the head have one place each; what is behind them is told by its first word. */
enum stage { FORMAT, BEHAVIOUR, HISTORY, REVISION, TIME, TOKEN, HEAD_STAGES, SESSIONS = HEAD_STAGES, MAPS,
	     ENDED };

static const struct {
	const char *word, *expected;
} head_lines[HEAD_STAGES] = {
	[FORMAT] = { "sole-text ", "'sole-text 1', with which every text begins" },
	[BEHAVIOUR] = { "behaviour ", "'behaviour NAME VERSION'" },
	[HISTORY] = { "history ", "'history' and 16 hexadecimal digits" },
	[REVISION] = { "revision ", "'revision NUMBER'" },
	[TIME] = { "time ", "'time' and one like 2026-11-24T08:43:05.123456Z" },
	[TOKEN] = { "token ", "'token NUMBER'" },
};

static enum text_kind wrong(struct text_reader *reader, const char *expected)
{
	snprintf(reader->why, sizeof reader->why, "line %" PRIu64 ": expected %s", reader->line, expected);
	return TEXT_WRONG;
}

static bool read_head_line(struct text_head *head, unsigned stage, struct cursor *cursor)
{
	uint64_t number = 0;

	switch (stage) {
	case FORMAT:
		return read_unsigned(cursor, UINT32_MAX, &number) && number == TEXT_FORMAT;
	case BEHAVIOUR:
		if (!read_name(cursor, head->behaviour) || !skip(cursor, " ") ||
		    !read_unsigned(cursor, UINT32_MAX, &number))
			return false;
		head->version = (uint32_t)number;
		return true;
	case HISTORY:
		return read_hexadecimal(cursor, &head->history);
	case REVISION:
		return read_unsigned(cursor, UINT64_MAX, &head->revision);
	case TIME:
		return read_when(cursor, &head->time_us);
	default:
		return read_signed(cursor, &head->token);
	}
}

static enum text_kind read_body_line(struct text_reader *reader, struct cursor *cursor)
{
	bool whole;

	if (reader->stage == SESSIONS && skip(cursor, "session ")) {
		whole = read_session(cursor, &reader->session) && cursor->at == cursor->end;
		return whole ? TEXT_SESSION :
			       wrong(reader, "'session ID [uid N gid N pid N] last N [waiting N ...]'");
	}
	if (skip(cursor, "map ")) {
		reader->stage = MAPS;
		whole = read_quoted(cursor, &reader->map) && cursor->at == cursor->end;
		return whole ? TEXT_MAP : wrong(reader, "'map' and its name in quotes");
	}
	if (reader->stage == MAPS && cursor->at < cursor->end && *cursor->at == '"') {
		whole = read_entry(cursor, &reader->entry) && cursor->at == cursor->end;
		return whole ? TEXT_ENTRY :
			       wrong(reader, "'\"KEY\" VALUE @REVISION', VALUE an integer or in quotes, "
					     "escapes as in sole-state(5)");
	}
	if (skip(cursor, "end") && cursor->at == cursor->end) {
		reader->stage = ENDED;
		return TEXT_END;
	}
	return wrong(reader, reader->stage == SESSIONS ? "'session ...', 'map ...' or 'end'" :
							 "an entry, 'map ...' or 'end'");
}

enum text_kind text_read(struct text_reader *reader, char *line, size_t size)
{
	struct cursor cursor = { .at = line, .end = line + size };

	reader->line++;
	if (size == 0 || line[0] == '#')
		return TEXT_NOTHING;
	if (reader->stage == ENDED)
		return wrong(reader, "nothing behind 'end'");
	if (reader->stage >= HEAD_STAGES)
		return read_body_line(reader, &cursor);
	unsigned stage = reader->stage;
	if (!skip(&cursor, head_lines[stage].word) || !read_head_line(&reader->head, stage, &cursor) ||
	    cursor.at != cursor.end)
		return wrong(reader, head_lines[stage].expected);
	return ++reader->stage == HEAD_STAGES ? TEXT_HEAD : TEXT_NOTHING;
}
