/* SPDX-License-Identifier: MIT
 *
 * text.h - a whole state as lines of text that people read, compare and edit, and that make
 * the same state again.
 *
 *	sole-text 1
 *	behaviour table 1
 *	history 00c0ffee00c0ffee
 *	revision 42
 *	time 2026-11-24T08:43:05.123456Z
 *	token 1795509785000001
 *	session 17 uid 1000 gid 1000 pid 4711 last 12 waiting 5 7
 *	map "table"
 *	"apples" 12 @41
 *	"note" "two\nlines" @42
 *	end
 *
 * ASCII only, one thing a line, in this order; sole-state(5) has the rules. What is read may also hold
 * empty lines and lines that begin with '#'. Pure; allocates nothing but in the buffer.
 */
#ifndef SOLE_OWNER_TEXT_H
#define SOLE_OWNER_TEXT_H

#include "owner/core/session.h"

/* In quotes, each of the first is a backslash and its letter of the second; other bytes that are not
 * printable ASCII are \xHH. */
#define TEXT_ESCAPED "\"\\\n\r\t"
#define TEXT_LETTERS "\"\\nrt"

enum { TEXT_FORMAT = 1, TEXT_NAME_MAX = 64, TEXT_TIME_BYTES = 40 };

struct text_head {
	char behaviour[TEXT_NAME_MAX + 1];
	uint32_t version;
	uint64_t history, revision;
	int64_t time_us, token;
};

struct text_session {
	uint64_t id, last;
	struct caller caller;
	uint64_t waiting[SESSION_PARKED_MAX]; /* sequences, in order */
	size_t waiting_count;
};

struct text_entry {
	struct value key, value; /* bytes; an integer or bytes */
	uint64_t revision;       /* at which it was put */
};

/* ---- writing: each appends whole lines ---- */

void text_write_head(struct buffer *out, const struct text_head *head);
void text_write_session(struct buffer *out, const struct text_session *session);
void text_write_map(struct buffer *out, const char *name);
void text_write_entry(struct buffer *out, const struct text_entry *entry);
void text_write_end(struct buffer *out);

/* A value as it stands in a line: 12, "bytes", none, or [list, of values]. */
void text_write_value(struct buffer *out, const struct value *value);

/* 2026-11-24T08:43:05.123456Z */
void text_format_time(char text[TEXT_TIME_BYTES], int64_t time_us);

/* ---- reading, line by line ---- */

enum text_kind {
	TEXT_NOTHING, /* go on */
	TEXT_HEAD,    /* reader->head is complete */
	TEXT_SESSION, /* reader->session */
	TEXT_MAP,     /* reader->map, of which the next entries are */
	TEXT_ENTRY,   /* reader->entry; its bytes stand in the line */
	TEXT_END,     /* nothing may follow */
	TEXT_WRONG,   /* reader->why */
};

/* All zeros before the first line. */
struct text_reader {
	struct text_head head;
	struct text_session session;
	struct value map;
	struct text_entry entry;
	unsigned stage;
	uint64_t line; /* number of the line read last, from 1 */
	char why[200];
};

/* Takes a line, without its newline, which is changed in place. */
enum text_kind text_read(struct text_reader *reader, char *line, size_t size);

#endif
