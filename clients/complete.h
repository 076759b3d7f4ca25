/* SPDX-License-Identifier: MIT
 *
 * complete.h - how the last word of a command line may go on, for the shell and for bash.
 *
 * Nothing here changes anything anywhere, or waits for longer than a person does: the owner and the
 * supervisor are asked by queries only, with a short limit, and where they do not answer there are no candidates.
 */
#ifndef SOLE_CLIENTS_COMPLETE_H
#define SOLE_CLIENTS_COMPLETE_H

#include <stddef.h>

enum candidate_kind {
	CANDIDATE_WORDS,    /* those of the list */
	CANDIDATE_FILES,    /* names of files: bash knows them */
	CANDIDATE_COMMANDS, /* programs: bash knows them */
};

struct candidates {
	enum candidate_kind kind;
	char *word;   /* what stands there so far, unquoted */
	size_t start; /* of that word, in bytes of the line */
	size_t count;
	char **list;  /* in order, each once, and each begins with `word` */
};

/* Of "sole get -o inventory app"; in the shell of "get app". `line` ends at the cursor. */
void candidates_find(struct candidates *candidates, const char *line);
void candidates_clear(struct candidates *candidates);

/* How many bytes all of them begin with. */
size_t candidates_common(const struct candidates *candidates);

#endif
