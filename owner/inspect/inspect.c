/* SPDX-License-Identifier: MIT
 *
 * inspect.c - which of the options is asked for, and what they share: the folder, a core, output.
 */
#include "owner/inspect/inspect_parts.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- which one ---- */

enum { ACTIONS = 8 };

struct action {
	const char *name, *given;
	bool takes_folder; /* as an operand behind the option's file */
};

static void list_actions(const struct inspection *inspection, struct action actions[ACTIONS])
{
	const struct action all[ACTIONS] = {
		{ "verify", inspection->verify, false },
		{ "repair", inspection->repair, false },
		{ "dump", inspection->dump, false },
		{ "log", inspection->log, false },
		{ "replay", inspection->replay, false },
		{ "export", inspection->export_as_text, false },
		{ "restore", inspection->restore, true },
		{ "import", inspection->import, true },
	};

	memcpy(actions, all, sizeof all);
}

bool inspect_asked(const struct inspection *inspection)
{
	struct action actions[ACTIONS];

	list_actions(inspection, actions);
	for (size_t i = 0; i < ACTIONS; i++)
		if (actions[i].given != NULL)
			return true;
	return inspection->at != 0 || inspection->from != 0 || inspection->to != 0 || inspection->yes ||
	       inspection->json;
}

const char *inspect_operands(struct inspection *inspection, int count, char **operands)
{
	struct action actions[ACTIONS];
	const struct action *found = NULL;
	static char text[160];

	list_actions(inspection, actions);
	for (size_t i = 0; i < ACTIONS; i++) {
		if (actions[i].given == NULL)
			continue;
		if (found != NULL) {
			snprintf(text, sizeof text, "--%s and --%s are two things to do: give one",
				 found->name, actions[i].name);
			return text;
		}
		found = &actions[i];
	}
	if (found == NULL)
		return "--at, --from, --to, --json and --yes go with --dump, --log and --repair: give one of "
		       "those";
	if (inspection->at != 0 && inspection->dump == NULL && inspection->export_as_text == NULL)
		return "--at goes with --dump and --export";
	if ((inspection->from != 0 || inspection->to != 0 || inspection->json) && inspection->log == NULL)
		return "--from, --to and --json go with --log";
	if (inspection->yes && inspection->repair == NULL)
		return "--yes goes with --repair";
	if (count != found->takes_folder) {
		snprintf(text, sizeof text,
			 found->takes_folder ? "--%s takes a file, and behind it one folder, which it makes" :
					       "--%s takes a folder, and nothing behind it",
			 found->name);
		return text;
	}
	inspection->folder = found->takes_folder ? operands[0] : NULL;
	return NULL;
}

int inspect_run(const struct inspection *inspection)
{
	/* A pipe that is closed is seen where something is written, and is no error. */
	signal(SIGPIPE, SIG_IGN);
	if (inspection->verify != NULL)
		return inspect_verify(inspection);
	if (inspection->repair != NULL)
		return inspect_repair(inspection);
	if (inspection->log != NULL)
		return inspect_log(inspection);
	if (inspection->replay != NULL)
		return inspect_replay(inspection);
	if (inspection->restore != NULL)
		return inspect_restore(inspection);
	if (inspection->import != NULL)
		return inspect_import(inspection);
	return inspect_dump(inspection,
			    inspection->dump != NULL ? inspection->dump : inspection->export_as_text);
}

/* ---- what they share ---- */

struct core *inspect_core(const struct inspection *inspection, struct counters *counters)
{
	const char *why;
	const struct core_settings settings = { .behaviour = inspection->behaviour,
						.limits = inspection->limits,
						.counters = counters };
	struct core *core = core_new(&settings, &why);

	if (core == NULL)
		log_error("cannot make the state: %s", why);
	return core;
}

static bool nobody_reads;

bool inspect_printing(void)
{
	return !ferror(stdout);
}

int inspect_flush(void)
{
	if (nobody_reads)
		return EX_OK;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EX_OK;
	/* What was written before may have failed, and left no errno. */
	nobody_reads = errno == EPIPE;
	if (nobody_reads)
		return EX_OK;
	log_error("cannot write to standard output: %s", strerror(errno));
	return EX_IOERR;
}

void inspect_progress(void *context, const char *what, uint64_t done, uint64_t all)
{
	static int64_t next_ns;
	int64_t now_ns = clock_monotonic_ns();

	(void)context;
	if (next_ns == 0)
		next_ns = now_ns + NS_PER_S;
	if (now_ns < next_ns || all == 0 || !isatty(STDERR_FILENO))
		return;
	next_ns = now_ns + NS_PER_S;
	log_info("%s: %" PRIu64 " %%", what, (uint64_t)(100.0 * (double)done / (double)all));
}

const char *inspect_size(uint64_t bytes)
{
	static char texts[4][32];
	static unsigned next;
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	char *text = texts[next++ % 4];
	double size = (double)bytes;
	size_t unit = 0;

	while (size >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		size /= 1024;
		unit++;
	}
	snprintf(text, sizeof texts[0], unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
	return text;
}
