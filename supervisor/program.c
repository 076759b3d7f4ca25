/* SPDX-License-Identifier: MIT
 *
 * program.c - which file a command's first word means.
 *
 * A name without a slash is looked up beside our own executable first, so that a
 * tree that was built but not installed, and two versions installed side by side,
 * run what belongs together; then in PATH, as a shell would.
 */
#include "supervisor/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool runnable(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	if (!S_ISREG(st.st_mode)) {
		errno = EACCES;
		return false;
	}
	return access(path, X_OK) == 0;
}

static bool join(char path[PATH_MAX], const char *folder, size_t length, const char *name)
{
	int size = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, folder, name);

	return size > 0 && size < PATH_MAX;
}

static bool beside_ourselves(const char *name, char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	if (length <= 0)
		return false;
	self[length] = '\0';
	const char *slash = strrchr(self, '/');

	return slash != NULL && join(path, self, (size_t)(slash - self), name) && runnable(path);
}

static bool in_path(const char *name, char path[PATH_MAX])
{
	const char *at = getenv("PATH");

	while (at != NULL && *at != '\0') {
		size_t length = strcspn(at, ":");
		if (length > 0 && join(path, at, length, name) && runnable(path))
			return true;
		at += length + (at[length] == ':');
	}
	return false;
}

const char *program_find(const struct child_spec *spec, char path[PATH_MAX])
{
	const char *name = spec->words[0];
	char seen[PATH_MAX];

	if (strchr(name, '/') == NULL) {
		if (beside_ourselves(name, path) || in_path(name, path))
			return NULL;
		return "is not a program beside sole-supervisor or in PATH";
	}
	/* What is executed is the name itself, after the change of folder. */
	if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
		return "has a path that is too long";
	if (*name != '/' && spec->directory != NULL) {
		if (!join(seen, spec->directory, strlen(spec->directory), name))
			return "has a path that is too long";
	} else {
		snprintf(seen, sizeof seen, "%s", name);
	}
	if (runnable(seen))
		return NULL;
	return errno == ENOENT ? "does not exist" : errno == EACCES ? "cannot be executed" : strerror(errno);
}
