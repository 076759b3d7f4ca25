/* SPDX-License-Identifier: MIT
 *
 * reload.c - the plan becomes children and sockets: at the start, and again at
 * each SIGHUP, where only what changed is touched.
 *
 * All that can fail is done first, on the side; then the new arrays replace the
 * old ones in one step that cannot.
 */
#include "common/log.h"
#include "supervisor/listen.h"
#include "supervisor/supervisor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- listening sockets ---- */

const struct listener *listener_find(const struct supervisor *s, const char *target)
{
	for (size_t i = 0; i < s->listener_count; i++)
		if (strcmp(s->listeners[i].target, target) == 0)
			return &s->listeners[i];
	return NULL;
}

/* The child that has `target`, or NULL. */
static const struct child_spec *plan_names(const struct plan *plan, const char *target)
{
	for (size_t i = 0; plan != NULL && i < plan->child_count; i++)
		for (size_t k = 0; k < plan->children[i].listen_count; k++)
			if (strcmp(plan->children[i].listens[k], target) == 0)
				return &plan->children[i];
	return NULL;
}

static void listener_close(struct supervisor *s, size_t index)
{
	struct listener *listener = &s->listeners[index];

	unlink(listener->path);
	close(listener->fd);
	*listener = s->listeners[--s->listener_count];
}

void listeners_prune(struct supervisor *s)
{
	for (size_t i = s->listener_count; i-- > 0;) {
		const struct child_spec *spec = plan_names(s->plan, s->listeners[i].target);
		if (spec == NULL)
			listener_close(s, i);
		else if (s->listeners[i].mode != (mode_t)spec->listen_mode)
			chmod(s->listeners[i].path, s->listeners[i].mode = (mode_t)spec->listen_mode);
	}
	if (s->listener_count == 0) {
		free(s->listeners);
		s->listeners = NULL;
	}
}

/* Opens one that is new. */
static int listener_add(struct supervisor *s, const char *target, mode_t mode, char *error, size_t size)
{
	char problem[LISTEN_ERROR_MAX] = "out of memory";

	if (listener_find(s, target) != NULL)
		return 0;
	struct listener *grown = realloc(s->listeners, (s->listener_count + 1) * sizeof *grown);
	if (grown != NULL) {
		struct listener *fresh = &grown[s->listener_count];
		s->listeners = grown;
		fresh->fd = listen_open(target, mode, fresh->path, problem);
		if (fresh->fd >= 0) {
			snprintf(fresh->target, sizeof fresh->target, "%s", target);
			fresh->mode = mode;
			s->listener_count++;
			return 0;
		}
	}
	snprintf(error, size, "listen: %s", problem);
	return -1;
}

int listeners_open(struct supervisor *s, const struct plan *plan, char *error, size_t size)
{
	size_t before = s->listener_count;

	for (size_t i = 0; i < plan->child_count; i++) {
		const struct child_spec *spec = &plan->children[i];
		for (size_t k = 0; k < spec->listen_count; k++) {
			if (listener_add(s, spec->listens[k], (mode_t)spec->listen_mode, error, size) == 0)
				continue;
			while (s->listener_count > before)
				listener_close(s, s->listener_count - 1);
			return -1;
		}
	}
	return 0;
}

/* ---- children ---- */

struct roster {
	struct child **children;
	struct child_view *views;
	size_t count, fresh; /* fresh: made for this roster */
};

static size_t find_old(const struct supervisor *s, const char *name, int64_t instance)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->children[i]->removed && s->children[i]->instance == instance &&
		    strcmp(s->children[i]->spec->name, name) == 0)
			return i;
	return s->count;
}

static bool in_roster(const struct roster *roster, const struct child *child)
{
	for (size_t i = 0; i < roster->count; i++)
		if (roster->children[i] == child)
			return true;
	return false;
}

static void roster_drop(struct supervisor *s, struct roster *roster)
{
	for (size_t i = 0; i < roster->count; i++) {
		bool old = false;
		for (size_t k = 0; k < s->count && !old; k++)
			old = s->children[k] == roster->children[i];
		if (!old)
			child_free(roster->children[i]);
	}
	free(roster->children);
	free(roster->views);
}

/* Old children keep their place in life, new ones begin; those that the plan no
 * longer has come last. Returns false when out of memory. */
static bool roster_fill(struct supervisor *s, const struct plan *plan, struct roster *roster)
{
	size_t room = plan->process_count + s->count;

	roster->children = calloc(room, sizeof *roster->children);
	roster->views = calloc(room, sizeof *roster->views);
	if (roster->children == NULL || roster->views == NULL)
		return false;
	for (size_t i = 0; i < plan->child_count; i++) {
		const struct child_spec *spec = &plan->children[i];
		for (int64_t instance = 1; instance <= spec->instances; instance++) {
			size_t old = find_old(s, spec->name, instance), at = roster->count;
			struct child *child = old < s->count ? s->children[old] : child_new(spec, instance);
			if (child == NULL)
				return false;
			if (old < s->count)
				roster->views[at] = s->views[old];
			else
				roster->fresh++;
			roster->views[at].order = (unsigned)i;
			roster->views[at].significant = spec->significant;
			roster->children[roster->count++] = child;
		}
	}
	for (size_t i = 0, planned = roster->count; i < s->count; i++) {
		struct roster planned_only = { .children = roster->children, .count = planned };
		if (in_roster(&planned_only, s->children[i]))
			continue;
		roster->views[roster->count] = s->views[i];
		roster->views[roster->count].order = ORDER_REMOVED;
		roster->views[roster->count].significant = false;
		roster->children[roster->count++] = s->children[i];
	}
	return true;
}

/* From here on nothing fails. Returns how many children changed. */
static size_t roster_take(struct supervisor *s, struct roster *roster, struct plan *plan, size_t *removed)
{
	size_t changed = 0, at = 0;
	bool first = s->children == NULL;

	free(s->children);
	free(s->views);
	s->children = roster->children;
	s->views = roster->views;
	s->count = roster->count;
	s->plan = plan;
	s->batch++;
	*removed = 0;
	for (size_t i = 0; i < s->count; i++)
		s->children[i]->view = &s->views[i];
	for (size_t i = 0; i < plan->child_count; i++) {
		struct child_spec *spec = &plan->children[i];
		for (int64_t instance = 1; instance <= spec->instances; instance++, at++) {
			struct child *child = s->children[at];
			bool differs = strcmp(child->spec->text, spec->text) != 0 ||
				       (child->spec->instances == 1) != (spec->instances == 1);
			child->spec = spec;
			plan_process_name(spec, instance, child->name, sizeof child->name);
			if (first || !differs)
				continue;
			changed++;
			child->not_before_ns = s->now_ns;
			child->failures = 0;
			if (child_state(child) != CHILD_HELD)
				order_down(s, child, AFTER_RESTART);
		}
	}
	for (; at < s->count; at++) {
		*removed += !s->children[at]->removed;
		s->children[at]->removed = true;
		order_down(s, s->children[at], AFTER_HOLD);
	}
	return changed;
}

int children_make(struct supervisor *s, struct plan *plan)
{
	struct roster roster = { 0 };
	size_t removed;

	if (!roster_fill(s, plan, &roster)) {
		roster_drop(s, &roster);
		return -1;
	}
	roster_take(s, &roster, plan, &removed);
	return 0;
}

/* Returns NULL, or why the new plan cannot be used. */
static const char *prepare(struct supervisor *s, const struct plan *plan, struct roster *roster)
{
	static char error[512];

	if (strcmp(plan->name, s->plan->name) != 0) {
		snprintf(error, sizeof error, "the name '%s' cannot become '%s' while the supervisor runs",
			 s->plan->name, plan->name);
		return error;
	}
	if (!roster_fill(s, plan, roster))
		return "out of memory";
	if (listeners_open(s, plan, error, sizeof error) != 0)
		return error;
	return NULL;
}

void reload(struct supervisor *s)
{
	static struct mistakes mistakes; /* too large for the stack */
	struct roster roster = { 0 };
	size_t removed, changed;
	int status;

	if (s->stopping) {
		log_info("%s is not read again: the supervisor is stopping", s->file);
		return;
	}
	mistakes.count = mistakes.untold = 0;
	struct plan *plan = plan_load(s->file, &mistakes, &status), *old = s->plan;
	if (plan == NULL) {
		mistakes_tell(&mistakes, s->file);
		log_error("%s was read again and has mistakes: nothing was changed", s->file);
		return;
	}
	const char *problem = prepare(s, plan, &roster);
	if (problem != NULL) {
		log_error("%s was read again and cannot be used: %s: nothing was changed", s->file, problem);
		roster_drop(s, &roster);
		plan_destroy(&plan);
		return;
	}
	changed = roster_take(s, &roster, plan, &removed);
	old->next = s->retired;
	s->retired = old;
	listeners_prune(s);
	if (s->went)
		s->stop_ns = order_stop_time(s, s->go_ns);
	log_info("%s was read again: %zu children changed, %zu new, %zu removed", s->file, changed,
		 roster.fresh,
		 removed);
}

void children_sweep(struct supervisor *s)
{
	size_t kept = 0, waiting = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct child *child = s->children[i];
		if (child->removed && !child_state_runs(s->views[i].state)) {
			child_free(child);
			continue;
		}
		waiting += child->removed;
		s->children[kept] = child;
		s->views[kept] = s->views[i];
		child->view = &s->views[kept++];
	}
	s->count = kept;
	while (waiting == 0 && s->retired != NULL) {
		struct plan *next = s->retired->next;
		plan_destroy(&s->retired);
		s->retired = next;
	}
}
