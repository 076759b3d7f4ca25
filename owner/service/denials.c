/* SPDX-License-Identifier: MIT
 *
 * denials.c - who was refused what, until somebody tells it.
 */
#include "owner/service/denials.h"

#include <stdio.h>
#include <string.h>

void denials_note(struct denials *denials, const struct caller *caller, const char *what)
{
	for (size_t i = 0; i < denials->count; i++)
		if (caller_same(&denials->list[i].caller, caller) && denials->list[i].caller.clear == caller->clear) {
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

void denials_forget_first(struct denials *denials)
{
	memmove(denials->list, denials->list + 1, --denials->count * sizeof *denials->list);
}

void caller_words(const struct caller *caller, char *words, size_t size)
{
	if (caller_is_keyed(caller))
		snprintf(words, size, "the key '%.*s'", KEY_NAME_MAX, caller->key_name);
	else if (caller->known)
		snprintf(words, size, "uid %u, pid %d", (unsigned)caller->uid, (int)caller->pid);
	else
		snprintf(words, size, "%s", caller->clear ? "a caller on tcp in the clear" : "a caller behind a broker");
}
