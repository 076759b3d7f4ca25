/* SPDX-License-Identifier: MIT
 *
 * series.h - what an owner tells of how long things took, as histograms that can be asked and
 * subtracted. For `sole stats` and `sole top`.
 */
#ifndef SOLE_CLIENTS_SERIES_H
#define SOLE_CLIENTS_SERIES_H

#include "clients/sole.h"
#include "common/histogram.h"

#include <stdbool.h>

struct series {
	char name[64];
	char kind[12];  /* "owner", "query", "command" */
	char unit[12];  /* "ns", "messages" */
	uint64_t sum, maximum;
	struct histogram values; /* its maximum is that of a bucket */
};

struct series_list {
	struct series **list;
	size_t count, room;
};

/* Asks for all of them, as many pages as there are. SOLE_OK, or the code of *reply. */
int series_ask(struct sole *handle, struct series_list *list, struct sole_reply *reply);
void series_clear(struct series_list *list);

/* NULL: there is none (yet). */
const struct series *series_find(const struct series_list *list, const char *name);

/* What came since `before` (NULL: all of it) into `out`. An owner that began anew counts from its beginning. */
void series_since(const struct series *now, const struct series *before, struct series *out);

/* "1.2ms", or "12" of what is no time; "-" when there is nothing. */
void series_quantile(const struct series *series, uint32_t per_million, char *text, size_t size);

#endif
