/* SPDX-License-Identifier: MIT
 *
 * about.c - what an owner tells of itself: status, counters, operations.
 */
#include "owner/service/service_parts.h"

#include "common/options.h"

#include <stdio.h>

void item_status(struct exchange *x, const struct request_header *header)
{
	const struct service *service = x->service;
	const struct identity *identity = &service->settings.identity;
	const struct gauges *gauges = service->settings.gauges;
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
		value_text("revision"), value_integer((int64_t)core_revision(core)),
		value_text("uptime-ms"), value_integer((service->now_ns - service->settings.started_ns) / 1000000),
		value_text("sessions"), value_integer((int64_t)sessions_count(core_sessions(core))),
		value_text("connections"), value_integer((int64_t)gauges->connections),
		value_text("entries"), value_integer((int64_t)store_entries(core_store(core))),
		value_text("state-bytes"), value_integer((int64_t)store_bytes(core_store(core))),
		value_text("watches"), value_integer((int64_t)service->watch_count),
		value_text("events-bytes"), value_integer((int64_t)events_bytes(core_events(core))),
		value_text("outbox-bytes"), value_integer((int64_t)gauges->outbox_bytes),
		value_text("resident-bytes"), value_integer((int64_t)gauges->resident_bytes),
		value_text("journal-bytes"), value_integer((int64_t)gauges->journal_bytes),
		value_text("snapshot-round"), value_integer((int64_t)gauges->snapshot_round),
		value_text("synced-revision"), value_integer((int64_t)gauges->synced_revision),
		value_text("max-connections"), value_integer((int64_t)gauges->max_connections),
		value_text("clock-ahead-ms"), value_integer((int64_t)gauges->clock_ahead_ms),
	};

	answer_list(x, header, list, sizeof list / sizeof *list);
}

void item_stats(struct exchange *x, const struct request_header *header)
{
	const struct counters *counters = counters_of(x->service);
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);

#define COUNTER(field, unit, sentence)                                                             \
	wire_write_list(x->out,                                                                    \
			(const struct value[]){ value_text(#field), value_integer((int64_t)counters->field), \
						value_text(unit), value_text(sentence) },          \
			4);
#include "owner/core/counters.def"
#undef COUNTER
	wire_finish_item(x->out, start);
	x->items++;
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

