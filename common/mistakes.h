/* SPDX-License-Identifier: MIT
 *
 * mistakes.h - what is wrong with a file, by line, so that all of it is told at once.
 */
#ifndef SOLE_COMMON_MISTAKES_H
#define SOLE_COMMON_MISTAKES_H

#include <stddef.h>

enum { MISTAKES_MAX = 200, MISTAKE_BYTES = 224 };

struct mistakes {
	struct mistake {
		unsigned line; /* from 1; 0: the file as a whole */
		char text[MISTAKE_BYTES];
	} list[MISTAKES_MAX];
	size_t count;
	size_t untold; /* beyond MISTAKES_MAX */
};

void mistakes_add(struct mistakes *mistakes, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Logs one error line a mistake, "FILE:LINE: TEXT", in the order of the lines. */
void mistakes_tell(struct mistakes *mistakes, const char *file);

#endif
