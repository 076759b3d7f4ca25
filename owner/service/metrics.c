/* SPDX-License-Identifier: MIT
 *
 * metrics.c - all numbers of an owner as Prometheus reads them: what `sole stats --prometheus`
 * prints, too, from the items that tell them.
 */
#include "owner/service/service_parts.h"
#include "common/exposition.h"

#include <string.h>

static struct exposition_number as_told(const struct number *number)
{
	return (struct exposition_number){ number->name, number->unit, number->sentence,
					   number->kind, number->group, number->value };
}

static void tell_number(void *context, const struct number *number)
{
	const struct exposition_number told = as_told(number);

	if (strcmp(number->group, "refusals") != 0)
		exposition_number(context, &told);
}

/* Series of a name have to stand together. */
static void tell_refusal(void *context, const struct number *number)
{
	const struct exposition_number told = as_told(number);

	exposition_refusal(context, &told);
}

static void tell_bucket(void *context, uint64_t top, uint64_t count)
{
	exposition_bucket(context, top, count);
}

static void tell_latency(struct buffer *out, const char *name, const char *unit, const char *operation, const char *kind,
			 const struct latency *latency)
{
	struct exposition_histogram histogram;

	exposition_begin(&histogram, name, unit);
	latency_each(latency, tell_bucket, &histogram);
	exposition_end(out, &histogram, operation, kind, latency->values.total, latency->sum);
}

static void tell_own(struct buffer *out, const char *name, const char *unit, const struct latency *latency)
{
	exposition_histogram(out, name, unit, exposition_sentence(name));
	tell_latency(out, name, unit, NULL, NULL, latency);
}

void service_metrics(struct service *service, int64_t now_ns, struct buffer *out)
{
	const struct latencies *latencies = service->numbers.latencies;
	const struct sole_behaviour *behaviour = core_behaviour(service->core);
	static const char *const durability[] = {
		[DURABILITY_MEMORY] = "memory", [DURABILITY_SYNC] = "sync", [DURABILITY_INTERVAL] = "interval",
	};
	const struct exposition_about about = { service->settings.identity.name, behaviour->name,
						durability[service->settings.durability] };

	counters_of(service)->scrapes++;
	buffer_reset(out);
	exposition_about(out, &about);
	each_number(service, now_ns, tell_number, out);
	exposition_refusals(out);
	each_number(service, now_ns, tell_refusal, out);
	tell_own(out, EXPOSITION_ROUNDS, "ns", &latencies->rounds);
	tell_own(out, EXPOSITION_SYNCS, "ns", &latencies->syncs);
	tell_own(out, EXPOSITION_ARRIVALS, "messages", &latencies->arrivals);
	exposition_histogram(out, EXPOSITION_OPERATIONS, "ns", exposition_sentence(EXPOSITION_OPERATIONS));
	for (size_t i = 0; i < latencies->operation_count; i++) {
		const struct sole_operation_entry *operation = &behaviour->operations[i];
		bool others = i == LATENCY_OPERATIONS_MAX - 1 && behaviour->operation_count > LATENCY_OPERATIONS_MAX;
		if (latencies->operations[i].values.total > 0)
			tell_latency(out, EXPOSITION_OPERATIONS, "ns", others ? "others" : operation->name,
				     operation->kind == SOLE_IS_QUERY ? "query" : "command", &latencies->operations[i]);
	}
}
