/* SPDX-License-Identifier: MIT
 *
 * command_script.c - splits the text of `sole txn` into lines and words.
 *
 * Words are unescaped where they stand: what is written never overtakes what is read.
 */
#include "clients/command_script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	char *read, *write;
	const char *end;
	unsigned line;
	const char *problem;
};

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static const char *problem_at(unsigned line, const char *what)
{
	static char sentence[128];

	snprintf(sentence, sizeof sentence, "line %u: %s", line, what);
	return sentence;
}

static int hex_digit(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = digit != '\0' ? strchr(digits, tolower((unsigned char)digit)) : NULL;

	return found != NULL ? (int)(found - digits) : -1;
}

/* Behind a backslash. */
static void take_escape(struct reader *r)
{
	static const char letters[] = "tnr\\'\"# ", meanings[] = "\t\n\r\\'\"# ";
	char letter = r->read < r->end ? *r->read : '\0';
	const char *found = letter != '\0' ? strchr(letters, letter) : NULL;

	if (found != NULL) {
		*r->write++ = meanings[found - letters];
		r->read++;
	} else if (letter == 'x' && r->end - r->read >= 3 && hex_digit(r->read[1]) >= 0 &&
		   hex_digit(r->read[2]) >= 0) {
		*r->write++ = (char)(hex_digit(r->read[1]) << 4 | hex_digit(r->read[2]));
		r->read += 3;
	} else {
		r->problem = problem_at(r->line,
					"a backslash stands before t, n, r, x and two hex digits, a quote, "
					"#, a blank or a backslash; write \\\\ for one");
	}
}

static void take_quoted(struct reader *r, char quote)
{
	while (r->problem == NULL && r->read < r->end && *r->read != quote) {
		char byte = *r->read++;
		if (byte == '\\' && quote == '"')
			take_escape(r);
		else
			*r->write++ = byte;
	}
	if (r->problem == NULL && r->read == r->end)
		r->problem = problem_at(r->line,
					"a quote is not closed; write \\n in double quotes for a newline");
	r->read++;
}

static void take_word(struct reader *r, struct script_word *word)
{
	*word = (struct script_word){ .text = r->write = r->read };
	while (r->problem == NULL && r->read < r->end && !is_blank(*r->read)) {
		char byte = *r->read++;
		if (byte == '\'' || byte == '"') {
			word->quoted = true;
			take_quoted(r, byte);
		} else if (byte == '\\') {
			take_escape(r);
		} else {
			*r->write++ = byte;
		}
	}
	word->size = (uint32_t)(r->write - word->text);
	/* The terminator stands at the blank or the line's end at the latest. */
	*r->write = '\0';
	r->read++;
}

/* The words of one line, whose end may be overwritten. Returns how many. */
static size_t take_line(struct reader *r, struct script_word *words)
{
	size_t count = 0;

	for (;;) {
		while (r->read < r->end && is_blank(*r->read))
			r->read++;
		if (r->problem != NULL || r->read >= r->end || (count == 0 && *r->read == '#'))
			return count;
		take_word(r, &words[count++]);
	}
}

static size_t count_lines(const char *text, size_t size)
{
	size_t count = 1;

	for (size_t i = 0; i < size; i++)
		count += text[i] == '\n';
	return count;
}

const char *script_read(struct script *script, const char *text, size_t size)
{
	struct reader reader = { 0 };
	size_t words = 0;

	*script = (struct script){
		.memory = malloc(size + 1),
		.lines = calloc(count_lines(text, size), sizeof *script->lines),
		.words = calloc(size / 2 + 1, sizeof *script->words), /* one byte and a blank each */
	};
	if (script->memory == NULL || script->lines == NULL || script->words == NULL) {
		script_clear(script);
		return "no memory for it";
	}
	memcpy(script->memory, text, size);
	char *end = script->memory + size;
	*end = '\0';
	for (char *start = script->memory; start <= end && reader.problem == NULL;) {
		char *newline = memchr(start, '\n', (size_t)(end - start));
		reader.read = start;
		reader.end = newline != NULL ? newline : end;
		reader.line++;
		start = newline != NULL ? newline + 1 : end + 1;
		size_t count = take_line(&reader, &script->words[words]);
		if (count > 0)
			script->lines[script->line_count++] =
				(struct script_line){ reader.line, count, &script->words[words] };
		words += count;
	}
	if (reader.problem != NULL)
		script_clear(script);
	return reader.problem;
}

void script_clear(struct script *script)
{
	free(script->memory);
	free(script->lines);
	free(script->words);
	*script = (struct script){ 0 };
}
