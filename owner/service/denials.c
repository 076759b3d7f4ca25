/* SPDX-License-Identifier: MIT
 *
 * denials.c - who was refused what, until somebody tells it.
 */
#include "owner/service/denials.h"

#include <stdio.h>
#include <string.h>

/* As far as the owner can tell them apart, whatever process it is. */
static bool same(const struct caller *a, const struct caller *b)
{
	if (a->known != b->known || a->keyed != b->keyed || a->clear != b->clear)
		return false;
	if (a->keyed)
		return a->born == b->born;
	return !a->known || a->uid == b->uid;
}

void denials_note(struct denials *denials, const struct caller *caller, const char *what)
{
	for (size_t i = 0; i < denials->count; i++)
		if (same(&denials->list[i].caller, caller)) {
			denials->list[i].times++;
			return;
		}
	if (denials->count == DENIALS_MAX) {
		denials->others++;
		return;
	}
	struct denial *denial = &denials->list[denials->count++];
	denial->caller = *caller;
	denial->times = 1;
	snprintf(denial->what, sizeof denial->what, "%s", what);
}

void caller_words(const struct caller *caller, char *words, size_t size)
{
	if (caller->keyed)
		snprintf(words, size, "the key %.*s", KEY_NAME_MAX, caller->key_name);
	else if (caller->known)
		snprintf(words, size, "uid %u, pid %d", (unsigned)caller->uid, (int)caller->pid);
	else
		snprintf(words, size, "%s", caller->clear ? "a caller on tcp in the clear" : "a caller behind a broker");
}
