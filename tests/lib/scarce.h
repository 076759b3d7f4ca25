/* SPDX-License-Identifier: MIT
 *
 * scarce.h - memory that runs out when a test says so.
 *
 * For tests linked with --wrap=malloc,calloc,realloc,strdup and free: the code under test and
 * the test itself allocate through here, cmocka and other libraries do not.
 */
#ifndef SOLE_TESTS_SCARCE_H
#define SOLE_TESTS_SCARCE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* How many allocations succeed before one fails; negative: none fails. */
static long scarce_left = -1;
/* Whether every later one fails too, until scarce_end. */
static bool scarce_for_good;
static unsigned long scarce_denied;
/* Blocks that are allocated and not yet freed. */
static long scarce_live;

static inline void scarce_begin(long succeed, bool for_good)
{
	scarce_left = succeed;
	scarce_for_good = for_good;
	scarce_denied = 0;
}

/* Returns how many allocations failed. */
static inline unsigned long scarce_end(void)
{
	scarce_left = -1;
	return scarce_denied;
}

static bool scarce_deny(void)
{
	if (scarce_left < 0)
		return false;
	if (scarce_left > 0) {
		scarce_left--;
		return false;
	}
	if (!scarce_for_good)
		scarce_left = -1;
	scarce_denied++;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *old);

static void *scarce_given(void *block)
{
	scarce_live += block != NULL;
	return block;
}

void *__wrap_malloc(size_t size)
{
	return scarce_deny() ? NULL : scarce_given(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return scarce_deny() ? NULL : scarce_given(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	if (scarce_deny())
		return NULL;
	return old == NULL ? scarce_given(__real_realloc(old, size)) : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = __wrap_malloc(size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

void __wrap_free(void *old)
{
	scarce_live -= old != NULL;
	__real_free(old);
}

#endif
