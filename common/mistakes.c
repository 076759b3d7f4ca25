/* SPDX-License-Identifier: MIT
 *
 * mistakes.c - collects what is wrong with a file and tells it in order.
 */
#include "common/mistakes.h"
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void mistakes_add(struct mistakes *mistakes, unsigned line, const char *format, ...)
{
	if (mistakes->count == MISTAKES_MAX) {
		mistakes->untold++;
		return;
	}
	struct mistake *mistake = &mistakes->list[mistakes->count++];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(mistake->text, sizeof mistake->text, format, arguments);
	va_end(arguments);
	mistake->line = line;
}

static int by_line(const void *a, const void *b)
{
	const struct mistake *left = a, *right = b;

	return (left->line > right->line) - (left->line < right->line);
}

void mistakes_tell(struct mistakes *mistakes, const char *file)
{
	qsort(mistakes->list, mistakes->count, sizeof *mistakes->list, by_line);
	for (size_t i = 0; i < mistakes->count; i++) {
		const struct mistake *mistake = &mistakes->list[i];
		if (mistake->line > 0)
			log_error("%s:%u: %s", file, mistake->line, mistake->text);
		else
			log_error("%s: %s", file, mistake->text);
	}
	if (mistakes->untold > 0)
		log_error("%s: and %zu more mistakes", file, mistakes->untold);
}
