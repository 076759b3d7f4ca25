/* SPDX-License-Identifier: MIT
 *
 * slow.c - a heap of bounded size, least first.
 */
#include "owner/service/slow.h"

#include <stdlib.h>

bool slow_init(struct slow *slow, size_t room)
{
	*slow = (struct slow){ .room = room, .kept = calloc(room > 0 ? room : 1, sizeof *slow->kept) };
	return slow->kept != NULL;
}

void slow_clear(struct slow *slow)
{
	free(slow->kept);
	*slow = (struct slow){ 0 };
}

void slow_reset(struct slow *slow)
{
	slow->count = slow->unfinished = 0;
	slow->total = 0;
}

bool slow_takes(const struct slow *slow, uint64_t run_ns)
{
	return slow->count < slow->room || (slow->room > 0 && run_ns > slow->kept[0].run_ns);
}

static void swap(struct seen *a, struct seen *b)
{
	struct seen kept = *a;

	*a = *b;
	*b = kept;
}

static void sink(struct slow *slow, size_t at)
{
	for (;;) {
		size_t least = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < slow->count && slow->kept[child].run_ns < slow->kept[least].run_ns)
				least = child;
		if (least == at)
			return;
		swap(&slow->kept[at], &slow->kept[least]);
		at = least;
	}
}

void slow_add(struct slow *slow, const struct seen *seen)
{
	slow->total++;
	if (!slow_takes(slow, seen->run_ns))
		return;
	if (slow->count == slow->room) {
		slow->unfinished -= slow->kept[0].took_ns == 0;
		slow->kept[0] = *seen;
		sink(slow, 0);
	} else {
		size_t at = slow->count++;
		slow->kept[at] = *seen;
		for (; at > 0 && slow->kept[(at - 1) / 2].run_ns > slow->kept[at].run_ns; at = (at - 1) / 2)
			swap(&slow->kept[at], &slow->kept[(at - 1) / 2]);
	}
	slow->unfinished++;
}

void slow_finish(struct slow *slow, uint64_t took_ns)
{
	if (slow->unfinished == 0)
		return;
	for (size_t i = 0; i < slow->count; i++)
		if (slow->kept[i].took_ns == 0)
			slow->kept[i].took_ns = took_ns > 0 ? took_ns : 1;
	slow->unfinished = 0;
}

static int least_first(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->run_ns != y->run_ns)
		return x->run_ns < y->run_ns ? -1 : 1;
	return x->wall_us < y->wall_us ? -1 : x->wall_us > y->wall_us;
}

/* What is sorted so is a heap, too. */
void slow_sort(struct slow *slow)
{
	qsort(slow->kept, slow->count, sizeof *slow->kept, least_first);
}
