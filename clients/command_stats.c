/* SPDX-License-Identifier: MIT
 *
 * command_stats.c - `sole stats`: every number of an owner, for a person, as JSON, or as Prometheus
 * reads it.
 */
#include "clients/command.h"
#include "clients/print.h"
#include "clients/series.h"

#include "common/exposition.h"
#include "common/quantity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { NAME, VALUE, UNIT, SENTENCE, KIND, GROUP, COLUMNS, CELL_BYTES = 256 };

/* One row of what STATS tells, with its texts cut to fit. */
struct row {
	char name[64], unit[24], sentence[CELL_BYTES], kind[16], group[64];
	int64_t value;
};

static void copy_cell(const struct sole_value *value, char *text, size_t size)
{
	size_t length = value->type == SOLE_BYTES ? value->size : 0;

	length = length < size ? length : size - 1;
	if (length > 0)
		memcpy(text, value->bytes, length);
	text[length] = '\0';
	for (char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
}

static bool read_row(const struct sole_list *list, struct row *row)
{
	if (list->count < COLUMNS || list->values[VALUE].type != SOLE_INTEGER)
		return false;
	const struct sole_value *v = list->values;
	copy_cell(&v[NAME], row->name, sizeof row->name);
	copy_cell(&v[UNIT], row->unit, sizeof row->unit);
	copy_cell(&v[SENTENCE], row->sentence, sizeof row->sentence);
	copy_cell(&v[KIND], row->kind, sizeof row->kind);
	copy_cell(&v[GROUP], row->group, sizeof row->group);
	row->value = v[VALUE].integer;
	return true;
}

/* What was asked for is copied: the next question reuses the handle's memory. */
struct answers {
	struct row *rows;
	size_t row_count;
	struct series_list series;
	char name[64], behaviour[64], durability[32];
};

static int copy_rows(const struct sole_reply *reply, struct answers *answers)
{
	answers->rows = calloc(reply->result_count + 1, sizeof *answers->rows);
	if (answers->rows == NULL)
		return bad_answer();
	for (size_t i = 0; i < reply->result_count; i++)
		if (!read_row(&reply->results[i], &answers->rows[answers->row_count++]))
			return bad_answer();
	return STATUS_DONE;
}

static void copy_about(const struct sole_reply *reply, struct answers *answers)
{
	const struct {
		const char *name;
		char *text;
		size_t size;
	} wanted[] = { { "name", answers->name, sizeof answers->name },
		       { "behaviour", answers->behaviour, sizeof answers->behaviour },
		       { "durability", answers->durability, sizeof answers->durability } };

	for (size_t i = 0; reply->result_count > 0 && i + 1 < reply->results[0].count; i += 2) {
		char name[64];
		copy_cell(&reply->results[0].values[i], name, sizeof name);
		for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++)
			if (strcmp(name, wanted[w].name) == 0)
				copy_cell(&reply->results[0].values[i + 1], wanted[w].text, wanted[w].size);
	}
}

/* ---- for a person ---- */

static void write_value(const struct row *row, char *text, size_t size)
{
	if (strcmp(row->unit, "ns") == 0)
		quantity_format_duration(row->value, text, size);
	else if (strcmp(row->unit, "ms") == 0)
		quantity_format_duration(row->value * 1000000, text, size);
	else if (strcmp(row->unit, "bytes") == 0)
		print_format_bytes((uint64_t)row->value, text, size);
	else
		snprintf(text, size, "%lld", (long long)row->value);
}

/* A unit that the value shows already is not said again. */
static const char *unit_of(const struct row *row)
{
	bool shown = strcmp(row->unit, "ns") == 0 || strcmp(row->unit, "ms") == 0 || strcmp(row->unit, "bytes") == 0;

	return shown ? "" : row->unit;
}

static void print_rows(const struct answers *answers)
{
	int width[3] = { 0 };
	const char *group = "";
	char value[32];

	for (size_t i = 0; i < answers->row_count; i++) {
		const struct row *row = &answers->rows[i];
		write_value(row, value, sizeof value);
		const int lengths[] = { (int)strlen(row->name), (int)strlen(value), (int)strlen(unit_of(row)) };
		for (int column = 0; column < 3; column++)
			width[column] = lengths[column] > width[column] ? lengths[column] : width[column];
	}
	for (size_t i = 0; i < answers->row_count; i++) {
		const struct row *row = &answers->rows[i];
		if (strcmp(row->group, group) != 0)
			printf("%s%s:\n", *group ? "\n" : "", row->group);
		group = row->group;
		write_value(row, value, sizeof value);
		printf("%-*s  %*s  %-*s  %s\n", width[0], row->name, width[1], value, width[2], unit_of(row), row->sentence);
	}
}

static const uint32_t quantiles[] = { 500000, 900000, 990000, 999000, 1000000 };

static void print_series(const struct answers *answers)
{
	int width = (int)strlen("operation");

	for (size_t i = 0; i < answers->series.count; i++)
		if ((int)strlen(answers->series.list[i]->name) > width)
			width = (int)strlen(answers->series.list[i]->name);
	printf("\nlatencies:\n%-*s  %-8s %12s %9s %9s %9s %9s %9s\n", width, "operation", "kind", "count", "p50", "p90", "p99",
	       "p99.9", "max");
	for (size_t i = 0; i < answers->series.count; i++) {
		const struct series *series = answers->series.list[i];
		printf("%-*s  %-8s %12llu", width, series->name, series->kind, (unsigned long long)series->values.total);
		for (size_t q = 0; q < sizeof quantiles / sizeof *quantiles; q++) {
			char text[32];
			series_quantile(series, quantiles[q], text, sizeof text);
			printf(" %9s", text);
		}
		putchar('\n');
	}
}

/* ---- for programs ---- */

static void print_json_series(const struct series *series)
{
	static const char *const names[] = { "p50", "p90", "p99", "p999", "maximum" };

	fputs("{\"name\":", stdout);
	print_json_text(series->name);
	printf(",\"kind\":\"%s\",\"unit\":\"%s\",\"count\":%llu,\"sum\":%llu", series->kind, series->unit,
	       (unsigned long long)series->values.total, (unsigned long long)series->sum);
	for (size_t q = 0; q < sizeof quantiles / sizeof *quantiles; q++) {
		uint64_t value = histogram_quantile(&series->values, quantiles[q]);
		printf(",\"%s\":%llu", names[q], (unsigned long long)(value < series->maximum ? value : series->maximum));
	}
	putchar('}');
}

static void print_as_json(const struct answers *answers)
{
	putchar('{');
	for (size_t i = 0; i < answers->row_count; i++) {
		print_json_text(answers->rows[i].name);
		printf(":%lld,", (long long)answers->rows[i].value);
	}
	fputs("\"latencies\":[", stdout);
	for (size_t i = 0; i < answers->series.count; i++) {
		if (i > 0)
			putchar(',');
		print_json_series(answers->series.list[i]);
	}
	puts("]}");
}

static struct exposition_number as_number(const struct row *row)
{
	return (struct exposition_number){ row->name, row->unit, row->sentence, row->kind, row->group, (uint64_t)row->value };
}

static void expose_series(struct buffer *out, const struct series *series, const char *name, bool labelled)
{
	struct exposition_histogram histogram;

	exposition_begin(&histogram, name, series->unit);
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (series->values.buckets[i] > 0)
			exposition_bucket(&histogram, histogram_top(i), series->values.buckets[i]);
	exposition_end(out, &histogram, labelled ? series->name : NULL, labelled ? series->kind : NULL,
		       series->values.total, series->sum);
}

/* In the order of the owner's own /metrics: series of one name stand together. */
static void expose(struct buffer *out, const struct answers *answers)
{
	const struct exposition_about about = { answers->name, answers->behaviour, answers->durability };

	exposition_about(out, &about);
	for (size_t i = 0; i < answers->row_count; i++) {
		const struct exposition_number number = as_number(&answers->rows[i]);
		if (strcmp(number.group, "refusals") != 0)
			exposition_number(out, &number);
	}
	exposition_refusals(out);
	for (size_t i = 0; i < answers->row_count; i++) {
		const struct exposition_number number = as_number(&answers->rows[i]);
		exposition_refusal(out, &number);
	}
	for (size_t i = 0; i < answers->series.count; i++) {
		const struct series *series = answers->series.list[i];
		if (strcmp(series->kind, "owner") != 0)
			continue;
		exposition_histogram(out, series->name, series->unit, exposition_sentence(series->name));
		expose_series(out, series, series->name, false);
	}
	exposition_histogram(out, EXPOSITION_OPERATIONS, "ns", exposition_sentence(EXPOSITION_OPERATIONS));
	for (size_t i = 0; i < answers->series.count; i++)
		if (strcmp(answers->series.list[i]->kind, "owner") != 0)
			expose_series(out, answers->series.list[i], EXPOSITION_OPERATIONS, true);
}

static int print_exposition(const struct answers *answers)
{
	struct buffer out = { 0 };

	expose(&out, answers);
	if (!out.failed)
		fwrite(out.data, 1, out.size, stdout);
	int status = out.failed ? EX_OSERR : STATUS_DONE;
	buffer_clear(&out);
	return status;
}

/* ---- the command ---- */

static int print_answers(const struct answers *answers)
{
	if (settings.prometheus)
		return print_exposition(answers);
	if (settings.json) {
		print_as_json(answers);
		return STATUS_DONE;
	}
	print_rows(answers);
	print_series(answers);
	return STATUS_DONE;
}

int command_stats(int count, char **operands)
{
	struct answers answers = { 0 };
	struct sole_reply reply;

	(void)count, (void)operands;
	if (settings.json && settings.prometheus)
		usage_error("--json and --prometheus exclude each other");
	struct sole *handle = open_handle();
	int status = ask_owner(handle, sole_stats, &reply) == SOLE_OK ? copy_rows(&reply, &answers) : tell_failure(handle, &reply);
	if (status == STATUS_DONE && settings.prometheus) {
		if (ask_owner(handle, sole_status, &reply) == SOLE_OK)
			copy_about(&reply, &answers);
		else
			status = tell_failure(handle, &reply);
	}
	if (status == STATUS_DONE && series_ask(handle, &answers.series, &reply) != SOLE_OK)
		status = tell_failure(handle, &reply);
	if (status == STATUS_DONE)
		status = print_answers(&answers);
	close_handle(&handle);
	free(answers.rows);
	series_clear(&answers.series);
	return status;
}
