/* SPDX-License-Identifier: MIT
 *
 * series.c - LATENCIES read into histograms.
 */
#include "clients/series.h"
#include "common/quantity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void copy_text(const struct sole_value *value, char *text, size_t size)
{
	size_t length = value->type == SOLE_BYTES ? value->size : 0;

	length = length < size ? length : size - 1;
	if (length > 0)
		memcpy(text, value->bytes, length);
	text[length] = '\0';
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
			*at = '?';
}

/* [name, kind, unit, count, sum, maximum, [top, count ...]] */
static bool read_series(const struct sole_list *list, struct series *series)
{
	enum { NAME, KIND, UNIT, COUNT, SUM, MAXIMUM, BUCKETS, VALUES };
	struct sole_value top, count;

	if (list->count < VALUES || list->values[BUCKETS].type != SOLE_LIST)
		return false;
	for (int i = COUNT; i < BUCKETS; i++)
		if (list->values[i].type != SOLE_INTEGER)
			return false;
	copy_text(&list->values[NAME], series->name, sizeof series->name);
	copy_text(&list->values[KIND], series->kind, sizeof series->kind);
	copy_text(&list->values[UNIT], series->unit, sizeof series->unit);
	series->sum = (uint64_t)list->values[SUM].integer;
	series->maximum = (uint64_t)list->values[MAXIMUM].integer;
	struct sole_value buckets = list->values[BUCKETS];
	while (sole_next(&buckets, &top)) {
		if (!sole_next(&buckets, &count) || top.type != SOLE_INTEGER || count.type != SOLE_INTEGER)
			return false;
		histogram_add_many(&series->values, (uint64_t)top.integer, (uint64_t)count.integer);
	}
	return true;
}

static struct series *add(struct series_list *list)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 32;
		struct series **grown = realloc(list->list, room * sizeof(struct series *));
		if (grown == NULL)
			return NULL;
		list->list = grown;
		list->room = room;
	}
	struct series *series = calloc(1, sizeof *series);
	if (series != NULL)
		list->list[list->count++] = series;
	return series;
}

void series_clear(struct series_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->list[i]);
	free(list->list);
	*list = (struct series_list){ 0 };
}

static int fail(struct sole_reply *reply, int code)
{
	*reply = (struct sole_reply){ .outcome = sole_outcome_of(code), .code = code, .text = sole_text_of(code),
				      .failed_operation = -1 };
	return code;
}

int series_ask(struct sole *handle, struct series_list *list, struct sole_reply *reply)
{
	uint64_t from = 0, last;

	do {
		last = from;
		if (sole_latencies(handle, from, 0, reply) != SOLE_OK)
			return reply->code;
		if (reply->result_count < 1 || reply->results[0].count < 1 ||
		    reply->results[0].values[0].type != SOLE_INTEGER)
			return fail(reply, SOLE_PROTOCOL);
		for (size_t i = 1; i < reply->result_count; i++) {
			struct series *series = add(list);
			if (series == NULL)
				return fail(reply, SOLE_LOCAL_MEMORY);
			if (!read_series(&reply->results[i], series))
				return fail(reply, SOLE_PROTOCOL);
		}
		from = (uint64_t)reply->results[0].values[0].integer;
	} while (from > last);
	return SOLE_OK;
}

const struct series *series_find(const struct series_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->list[i]->name, name) == 0)
			return list->list[i];
	return NULL;
}

void series_since(const struct series *now, const struct series *before, struct series *out)
{
	*out = *now;
	if (before == NULL || before->values.total > now->values.total)
		return;
	out->sum -= before->sum;
	out->values.total = 0;
	out->values.maximum = 0;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t was = before->values.buckets[i];
		out->values.buckets[i] -= was < out->values.buckets[i] ? was : out->values.buckets[i];
		out->values.total += out->values.buckets[i];
		if (out->values.buckets[i] > 0)
			out->values.maximum = histogram_top(i);
	}
}

void series_quantile(const struct series *series, uint32_t per_million, char *text, size_t size)
{
	uint64_t value = histogram_quantile(&series->values, per_million);

	if (value > series->maximum)
		value = series->maximum;
	if (series->values.total == 0)
		snprintf(text, size, "-");
	else if (strcmp(series->unit, "ns") == 0)
		quantity_format_duration((int64_t)value, text, size);
	else
		snprintf(text, size, "%llu", (unsigned long long)value);
}
