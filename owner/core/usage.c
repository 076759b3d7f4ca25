/* SPDX-License-Identifier: MIT
 *
 * usage.c - the memory of it.
 */
#include "owner/core/usage.h"

#include <stdlib.h>

bool usage_init(struct usage *usage, size_t places)
{
	usage->places = places;
	usage->touched_count = usage->noted = 0;
	usage->counts = calloc(places > 0 ? places : 1, sizeof *usage->counts);
	usage->touched = calloc(places > 0 ? places : 1, sizeof *usage->touched);
	return usage->counts != NULL && usage->touched != NULL;
}

void usage_clear(struct usage *usage)
{
	free(usage->counts);
	free(usage->touched);
	usage->counts = NULL;
	usage->touched = NULL;
}

void usage_reset(struct usage *usage)
{
	for (size_t i = 0; i < usage->touched_count; i++)
		usage->counts[usage->touched[i]] = 0;
	usage->touched_count = 0;
}
