/* SPDX-License-Identifier: MIT
 *
 * loader.c - dlopen, and what can be wrong about it.
 */
#include "owner/loader.h"
#include "owner/operations.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const struct sole_behaviour *loader_open(const char *file, const char **why)
{
	static char path[4096], text[4096 + 512];
	static void *object; /* never closed: the behaviour's code is in it */

	/* A bare name would be looked for among the system's libraries. */
	int size = snprintf(path, sizeof path, "%s%s", strchr(file, '/') == NULL ? "./" : "", file);
	*why = text;
	if (size < 0 || (size_t)size >= sizeof path) {
		snprintf(text, sizeof text, "the path of the behaviour is too long");
		return NULL;
	}
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (object == NULL) {
		snprintf(text, sizeof text, "cannot load the behaviour: %s", dlerror());
		return NULL;
	}
	const struct sole_behaviour *behaviour = dlsym(object, "sole_behaviour");
	if (behaviour == NULL) {
		snprintf(text, sizeof text, "%s defines no 'const struct sole_behaviour sole_behaviour'", file);
		return NULL;
	}
	const char *problem = behaviour_problem(behaviour);
	if (problem != NULL) {
		snprintf(text, sizeof text, "%s: %s", file, problem);
		return NULL;
	}
	*why = NULL;
	return behaviour;
}
