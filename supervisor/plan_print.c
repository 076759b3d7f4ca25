/* SPDX-License-Identifier: MIT
 *
 * plan_print.c - the plan as people read it: `sole-supervisor --check FILE`.
 */
#include "common/quantity.h"
#include "supervisor/plan.h"

void plan_process_name(const struct child_spec *spec, int64_t instance, char *name, size_t size)
{
	if (spec->instances == 1)
		snprintf(name, size, "%s", spec->name);
	else
		snprintf(name, size, "%s.%lld", spec->name, (long long)instance);
}

void child_spec_print(const struct child_spec *child, FILE *stream)
{
	char start[24], stop[24], watchdog[24];

	quantity_format_duration(child->start_limit_ns, start, sizeof start);
	quantity_format_duration(child->stop_limit_ns, stop, sizeof stop);
	quantity_format_duration(child->watchdog_ns, watchdog, sizeof watchdog);
	fprintf(stream, "    command        %s\n", child->command);
	fprintf(stream, "    restart        %s%s\n", restart_names[child->restart],
		child->significant ? ", significant" : "");
	fprintf(stream, "    ready          %s",
		child->ready == READY_NOTIFY ? "when it says so" : "once it runs");
	fprintf(stream, child->start_limit_ns > 0 ? ", within %s\n" : ", whenever\n", start);
	fprintf(stream, "    stop           SIGTERM, then SIGKILL after %s\n",
		child->stop_limit_ns > 0 ? stop : "no time");
	fprintf(stream, "    watchdog       %s\n", child->watchdog_ns > 0 ? watchdog : "none");
	fprintf(stream, "    output         %s\n", output_names[child->output]);
	fprintf(stream, "    go             %s\n",
		child->go ? "waits for the end of its standard input" : "at once");
	if (child->directory != NULL)
		fprintf(stream, "    directory      %s\n", child->directory);
	for (size_t i = 0; i < child->environment_count; i++)
		fprintf(stream, "    environment    %s\n", child->environment[i]);
	for (size_t i = 0; i < child->listen_count; i++)
		fprintf(stream, "    listen         %s, mode %04o\n", child->listens[i],
			(unsigned)child->listen_mode);
}

void plan_print(const struct plan *plan, FILE *stream)
{
	char period[24], first[24], most[24], stable[24], duration[24], path[PATH_MAX];

	quantity_format_duration(plan->period_ns, period, sizeof period);
	quantity_format_duration(plan->backoff_first_ns, first, sizeof first);
	quantity_format_duration(plan->backoff_most_ns, most, sizeof most);
	quantity_format_duration(plan->stable_ns, stable, sizeof stable);
	quantity_format_duration(plan->duration_ns, duration, sizeof duration);
	fprintf(stream, "supervisor %s: %zu processes, %s, gives up after more than %lld restarts in %s,\n"
		"back-off %s to %s, forgotten after %s; runs %s%s\n", plan->name, plan->process_count,
		strategy_names[plan->strategy], (long long)plan->intensity, period, first, most, stable,
		plan->duration_ns > 0 ? "for " : "until told to stop", plan->duration_ns > 0 ? duration : "");
	for (size_t i = 0; i < plan->child_count; i++) {
		const struct child_spec *child = &plan->children[i];
		fprintf(stream, "\n%zu. %s", i + 1, child->name);
		if (child->instances > 1)
			fprintf(stream, ".1 to %s.%lld, together", child->name, (long long)child->instances);
		fprintf(stream, "\n");
		child_spec_print(child, stream);
		if (program_find(child, path) == NULL)
			fprintf(stream, "    program        %s\n", path);
	}
}
