/* SPDX-License-Identifier: MIT
 *
 * about.c - what an owner tells of itself: status, numbers, operations.
 */
#include "owner/service/service_parts.h"

#include "common/options.h"

#include <stdio.h>
#include <string.h>

void item_status(struct exchange *x, const struct request_header *header)
{
	const struct service *service = x->service;
	const struct identity *identity = &service->settings.identity;
	const struct gauges gauges = gauges_of(service, service->now_ns);
	struct core *core = service->core;
	static const char *const durability[] = {
		[DURABILITY_MEMORY] = "memory", [DURABILITY_SYNC] = "sync", [DURABILITY_INTERVAL] = "interval",
	};
	char history[17];
	snprintf(history, sizeof history, "%016llx", (unsigned long long)identity->history);
	const struct value list[] = {
		value_text("name"), value_text(identity->name),
		value_text("state"), value_text(service->leaving ? "leaving" : "serving"),
		value_text("pid"), value_integer(identity->pid),
		value_text("behaviour"), value_text(core_behaviour(core)->name),
		value_text("behaviour-version"), value_integer(core_behaviour(core)->version),
		value_text("version"), value_text(PROGRAM_VERSION),
		value_text("protocol"), value_integer(PROTOCOL_VERSION),
		value_text("durability"), value_text(durability[service->settings.durability]),
		value_text("folder"), value_text(service->settings.folder != NULL ? service->settings.folder : "none"),
		value_text("incarnation"), value_integer((int64_t)identity->incarnation),
		value_text("history"), value_text(history),
#define GAUGE(field, name, unit, sentence) value_text(name), value_integer((int64_t)gauges.field),
#include "owner/core/gauges.def"
#undef GAUGE
	};

	answer_list(x, header, list, sizeof list / sizeof *list);
}

static void write_number(void *context, const struct number *number)
{
	const struct value list[] = {
		value_text(number->name), value_integer((int64_t)number->value), value_text(number->unit),
		value_text(number->sentence), value_text(number->kind), value_text(number->group),
	};

	wire_write_list(context, list, sizeof list / sizeof *list);
}

void item_stats(struct exchange *x, const struct request_header *header)
{
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);

	each_number(x->service, x->service->now_ns, write_number, x->out);
	wire_finish_item(x->out, start);
	x->items++;
}

/* ---- every number there is ---- */

/* "refused_too_large" */
static void name_of_code(unsigned code, char *name, size_t size)
{
	snprintf(name, size, "%s_%s", code_outcome(code) == OUTCOME_UNKNOWN ? "unknown" : "refused", code_name(code));
	for (char *at = name; *at != '\0'; at++)
		if (*at == '-')
			*at = '_';
}

void each_number(const struct service *service, int64_t now_ns, void (*each)(void *context, const struct number *number),
		 void *context)
{
	const struct counters *counters = counters_of(service);
	const struct gauges gauges = gauges_of(service, now_ns);
	const char *group = "";

#define COUNTERS(title) group = title;
#define COUNTER(field, unit, sentence)                                                                     \
	each(context, &(const struct number){ #field, unit, sentence, strcmp(unit, "ns") == 0 ? "longest" : "counter", \
					      group, counters->field });
#include "owner/core/counters.def"
#undef COUNTER
	static const unsigned codes[] = {
#define CODE(number, NAME, outcome, name, text) number,
#include "common/codes.def"
#undef CODE
	};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		char name[48];
		if (codes[i] >= COUNTED_CODES ||
		    (code_outcome(codes[i]) != OUTCOME_REFUSED && code_outcome(codes[i]) != OUTCOME_UNKNOWN))
			continue;
		name_of_code(codes[i], name, sizeof name);
		each(context, &(const struct number){ name, "items", code_text(codes[i]), "counter", "refusals",
						      counters->answers[codes[i]] });
	}
#define GAUGE(field, name, unit, sentence) \
	each(context, &(const struct number){ name, unit, sentence, "gauge", "now", gauges.field });
#include "owner/core/gauges.def"
#undef GAUGE
}

/* "key:key value:integer or bytes", as a person writes a signature. */
static void write_fields(const struct sole_field *fields, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (; fields->type != SOLE_FIELD_END && used < size; fields++)
		used += (size_t)snprintf(text + used, size - used, "%s%s:%s", used ? ", " : "", fields->name,
					 field_type_name(fields->type));
}

void item_describe(struct exchange *x, const struct request_header *header)
{
	const struct sole_behaviour *behaviour = core_behaviour(x->service->core);
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);

	for (size_t i = 0; i < behaviour->operation_count; i++) {
		const struct sole_operation_entry *operation = &behaviour->operations[i];
		char arguments[256], results[256];
		write_fields(operation->arguments, arguments, sizeof arguments);
		write_fields(operation->results, results, sizeof results);
		const struct value list[] = {
			value_integer(operation->number), value_text(operation->name),
			value_text(operation->kind == SOLE_IS_QUERY ? "query" : "command"),
			value_text(arguments), value_text(results), value_text(operation->help),
		};
		wire_write_list(x->out, list, sizeof list / sizeof *list);
	}
	wire_finish_item(x->out, start);
	x->items++;
}

