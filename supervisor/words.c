/* SPDX-License-Identifier: MIT
 *
 * words.c - splits a command into words; the rules stand in words.h.
 */
#include "supervisor/words.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 256 };

static int is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Copies one word to *out, which is moved behind its final NUL, and returns
 * where reading stopped; NULL with a sentence in *problem. */
static const char *take_word(const char *in, char **out, const char **problem)
{
	char *at = *out, quote = '\0';

	for (; *in != '\0' && (quote != '\0' || !is_blank(*in)); in++) {
		if (quote == '\0' && (*in == '\'' || *in == '"')) {
			quote = *in;
		} else if (*in == quote) {
			quote = '\0';
		} else if (*in == '\\' && quote != '\'' &&
			   (quote == '\0' || in[1] == '"' || in[1] == '\\')) {
			if (in[1] == '\0') {
				*problem = "ends in a backslash: write it twice to mean one";
				return NULL;
			}
			*at++ = *++in;
		} else {
			*at++ = *in;
		}
	}
	if (quote != '\0') {
		*problem = quote == '"' ? "has a \" that is not closed" : "has a ' that is not closed";
		return NULL;
	}
	*at++ = '\0';
	*out = at;
	return in;
}

const char *words_split(const char *text, char ***words)
{
	/* No word is longer than the text, and each takes at least one byte of
	 * it; the NULs of all words take no more than the blanks and one. */
	const char *problem = NULL;
	char **vector = malloc((WORDS_MAX + 1) * sizeof *vector + strlen(text) + 1);
	if (vector == NULL)
		return "cannot be held: out of memory";
	char *out = (char *)&vector[WORDS_MAX + 1];
	size_t count = 0;

	while (problem == NULL) {
		while (is_blank(*text))
			text++;
		if (*text == '\0')
			break;
		if (count == WORDS_MAX) {
			problem = "has more than 256 words";
			break;
		}
		vector[count++] = out;
		text = take_word(text, &out, &problem);
	}
	if (problem == NULL && count == 0)
		problem = "is empty";
	if (problem == NULL && vector[0][0] == '\0')
		problem = "has an empty first word";
	if (problem != NULL) {
		free(vector);
		return problem;
	}
	vector[count] = NULL;
	*words = vector;
	return NULL;
}
