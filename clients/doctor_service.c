/* SPDX-License-Identifier: MIT
 *
 * doctor_service.c - who keeps owners up: systemd's unit, and supervisors with their children.
 */
#include "clients/doctor.h"

#include "clients/children.h"
#include "clients/command.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/rundir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_NS (2 * NS_PER_S)

/* ---- systemd ---- */

struct unit {
	char load[32], active[32], sub[32], result[32], restarts[16];
};

static void take_property(struct unit *unit, const char *line)
{
	const struct {
		const char *name;
		char *value;
		size_t size;
	} wanted[] = {
		{ "LoadState=", unit->load, sizeof unit->load },
		{ "ActiveState=", unit->active, sizeof unit->active },
		{ "SubState=", unit->sub, sizeof unit->sub },
		{ "Result=", unit->result, sizeof unit->result },
		{ "NRestarts=", unit->restarts, sizeof unit->restarts },
	};

	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		if (strncmp(line, wanted[i].name, strlen(wanted[i].name)) == 0)
			snprintf(wanted[i].value, wanted[i].size, "%.*s", (int)strcspn(line + strlen(wanted[i].name), "\n"),
				 line + strlen(wanted[i].name));
}

/* `name` is one that rundir_name_problem lets pass, so it means nothing to a shell. */
static bool ask_systemd(const char *name, struct unit *unit)
{
	char command[256], line[256];

	if (access("/run/systemd/system", F_OK) != 0)
		return false;
	snprintf(command, sizeof command,
		 "exec timeout 2 systemctl show -p LoadState,ActiveState,SubState,Result,NRestarts 'sole-owner@%s.service' 2>/dev/null",
		 name);
	fflush(stdout);
	FILE *in = popen(command, "re");
	while (in != NULL && fgets(line, sizeof line, in) != NULL)
		take_property(unit, line);
	return in != NULL && pclose(in) == 0 && strcmp(unit->load, "loaded") == 0;
}

bool doctor_unit(const char *name)
{
	struct unit unit = { 0 };

	if (!ask_systemd(name, &unit))
		return false;
	if (strcmp(unit.active, "failed") == 0) {
		found(FINDING_WRONG, "systemd", "sole-owner@%s has failed: %s", name, unit.result);
		advise("journalctl -u sole-owner@%s says why; then systemctl reset-failed sole-owner@%s and start it", name, name);
	} else if (strcmp(unit.active, "activating") == 0) {
		found(FINDING_WARNING, "systemd", "sole-owner@%s is not ready yet (%s), started again %s times", name, unit.sub,
		      unit.restarts);
		advise("journalctl -u sole-owner@%s says what it waits for", name);
	} else if (strcmp(unit.active, "active") == 0 && strcmp(unit.restarts, "0") != 0) {
		found(FINDING_WARNING, "systemd", "sole-owner@%s is active; systemd has started it again %s times", name,
		      unit.restarts);
		advise("journalctl -u sole-owner@%s says what ended it", name);
	} else if (strcmp(unit.active, "active") == 0) {
		found(FINDING_OK, "systemd", "sole-owner@%s is active (%s)", name, unit.sub);
	} else {
		found(FINDING_NOTE, "systemd", "sole-owner@%s is %s", name, unit.active);
	}
	return true;
}

/* ---- supervisors ---- */

struct children {
	unsigned count, bad;
	char first[256]; /* of those that are not well */
};

/* "CHILD PID STATE UP RESTARTS OPS/S STATUS" */
static void take_child(const char *text, void *context)
{
	struct children *children = context;
	char name[RUNDIR_NAME_MAX + 1] = "", pid[24] = "", state[32] = "";

	if (sscanf(text, "%64s %23s %31s", name, pid, state) != 3 || strcmp(name, "CHILD") == 0)
		return;
	children->count++;
	/* Ended as it should, or because somebody wanted it so, is well. */
	if (strcmp(state, "ready") == 0 || strcmp(state, "ended") == 0 || strcmp(state, "stopped") == 0)
		return;
	if (children->bad++ == 0)
		snprintf(children->first, sizeof children->first, "%s is %s", name, state);
}

static void nothing(const char *line, size_t bytes)
{
	(void)line, (void)bytes;
}

static void look_at_supervisor(const char *name, const char *folder, void *context)
{
	struct children children = { 0 };

	(void)context;
	log_redirect(nothing);
	int status = children_list(name, LIMIT_NS, take_child, &children);
	log_redirect(NULL);
	if (status != 0) {
		found(FINDING_WRONG, "supervisor", "%s/%s.supervisor is there, and nobody answers", folder, name);
		advise("start it again: sole-supervisor FILE; or, if it is not wanted any more: rm %s/%s.supervisor", folder, name);
	} else if (children.bad > 0) {
		found(FINDING_WARNING, "supervisor", "%s: %u of %u children are not up: %s", name, children.bad, children.count,
		      children.first);
		advise("sole status -s %s shows them, and its log why; sole start CHILD tries again", name);
	} else {
		found(FINDING_OK, "supervisor", "%s keeps %u children up", name, children.count);
	}
}

void doctor_supervisors(void)
{
	rundir_each(".supervisor", look_at_supervisor, NULL);
}
