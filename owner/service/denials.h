/* SPDX-License-Identifier: MIT
 *
 * denials.h - who was refused what, until somebody tells it: a few senders, each with how often.
 *
 * Pure, and of a fixed size: whoever is refused a million times takes no memory, and one who does it loudly does not
 * hide another, unless DENIALS_MAX do.
 */
#ifndef SOLE_OWNER_DENIALS_H
#define SOLE_OWNER_DENIALS_H

#include "owner/core/operations.h"

enum { DENIALS_MAX = 16, DENIAL_WHAT_BYTES = 80 };

struct denial {
	struct caller caller; /* of the first time: another process of the same user counts with it */
	char what[DENIAL_WHAT_BYTES]; /* the first time */
	uint64_t times;
};

struct denials {
	struct denial list[DENIALS_MAX];
	size_t count;
	uint64_t others; /* times, of those beyond */
};

void denials_note(struct denials *denials, const struct caller *caller, const char *what);

/* The one that has stood longest is told. */
void denials_forget_first(struct denials *denials);

/* "uid 1000, pid 4242", "the key backup", "a caller behind a broker", "a caller on tcp in the clear". */
void caller_words(const struct caller *caller, char *words, size_t size);

#endif
