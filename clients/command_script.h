/* SPDX-License-Identifier: MIT
 *
 * command_script.h - the text that `sole txn` reads: lines of words.
 *
 * A line is one operation. Words stand between blanks. '...' is taken as it is; "..." and what is
 * not quoted may hold \t \n \r \\ \' \" \# \xHH and a backslash before a blank. A line whose first
 * character is # is a comment. sole(1) describes it.
 */
#ifndef SOLE_CLIENTS_COMMAND_SCRIPT_H
#define SOLE_CLIENTS_COMMAND_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script_word {
	const char *text; /* terminated; may hold zero bytes of its own */
	uint32_t size;
	bool quoted;      /* somewhere in it: then it is no integer and no --none */
};

struct script_line {
	unsigned number;  /* from 1 */
	size_t word_count;
	const struct script_word *words;
};

struct script {
	struct script_line *lines; /* without the empty ones */
	size_t line_count;
	struct script_word *words;
	char *memory;
};

/* Reads `size` bytes, which are copied. NULL, or a sentence about what is wrong, valid until the
 * next call; then `script` holds nothing. No memory is such a sentence, too. */
const char *script_read(struct script *script, const char *text, size_t size);
void script_clear(struct script *script);

#endif
