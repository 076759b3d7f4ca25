/* SPDX-License-Identifier: MIT
 *
 * rundir.c - which folder holds the endpoints.
 */
#include "common/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { CANDIDATES = 4, DIR_MAX = RUNDIR_FOLDER_MAX };

struct candidate {
	char dir[DIR_MAX];
	bool shared_parent; /* below /tmp: others may have made it first */
};

static size_t candidates(struct candidate list[CANDIDATES], bool claiming)
{
	const char *only = getenv("SOLE_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	unsigned uid = (unsigned)geteuid();
	size_t n = 0;

	memset(list, 0, CANDIDATES * sizeof *list);
	if (only != NULL && *only != '\0') {
		snprintf(list[n++].dir, DIR_MAX, "%s", only);
		return n;
	}
	if (uid == 0 && claiming) {
		snprintf(list[n++].dir, DIR_MAX, "/run/sole");
		return n;
	}
	if (xdg != NULL && *xdg == '/')
		snprintf(list[n++].dir, DIR_MAX, "%s/sole", xdg);
	snprintf(list[n++].dir, DIR_MAX, "/run/user/%u/sole", uid);
	snprintf(list[n++].dir, DIR_MAX, "/run/sole");
	list[n].shared_parent = true;
	snprintf(list[n++].dir, DIR_MAX, "/tmp/sole-%u", uid);
	return n;
}

const char *rundir_name_problem(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t length = strlen(name);

	if (length == 0 || length > RUNDIR_NAME_MAX)
		return "a name has 1 to 64 characters";
	if (*name == '.' || *name == '-')
		return "a name does not start with '.' or '-'";
	if (strspn(name, allowed) != length)
		return "a name is made of letters, digits, '-', '_' and '.'";
	return NULL;
}

static int join(const char *dir, const char *name, const char *suffix, char path[RUNDIR_PATH_MAX],
		char error[RUNDIR_ERROR_MAX])
{
	int needed = snprintf(path, RUNDIR_PATH_MAX, "%s/%s%s", dir, name, suffix);

	if (needed >= RUNDIR_PATH_MAX) {
		path[0] = '\0'; /* half a path is somebody else's */
		snprintf(error, RUNDIR_ERROR_MAX,
			 "the path of the socket would have %d bytes and the limit is %d: "
			 "set SOLE_RUNTIME_DIR to a shorter folder than %.80s",
			 needed, RUNDIR_PATH_MAX - 1, dir);
		return EX_CONFIG;
	}
	return 0;
}

/* A folder below /tmp that somebody else made could be theirs to read. */
static bool trusted(const struct candidate *c, char error[RUNDIR_ERROR_MAX])
{
	struct stat st;

	if (!c->shared_parent)
		return true;
	if (lstat(c->dir, &st) != 0)
		return true;
	if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 0777) == 0700)
		return true;
	snprintf(error, RUNDIR_ERROR_MAX,
		 "%.100s is not a folder of mode 0700 that belongs to this user: remove it or set "
		 "SOLE_RUNTIME_DIR", c->dir);
	return false;
}

int rundir_find(const char *name, const char *suffix, char path[RUNDIR_PATH_MAX],
		char error[RUNDIR_ERROR_MAX])
{
	struct candidate list[CANDIDATES];
	size_t count = candidates(list, false);
	char first[RUNDIR_PATH_MAX] = "";

	for (size_t i = 0; i < count; i++) {
		int status = join(list[i].dir, name, suffix, path, error);
		if (status != 0)
			return status;
		if (!trusted(&list[i], error))
			return EX_NOPERM;
		if (first[0] == '\0')
			snprintf(first, sizeof first, "%s", path);
		if (access(path, F_OK) == 0)
			return 0;
	}
	/* Where an owner of this user would listen: the first folder, but for root's. */
	snprintf(path, RUNDIR_PATH_MAX, "%s", first);
	if (candidates(list, true) == 1 && join(list[0].dir, name, suffix, path, error) != 0)
		return EX_CONFIG;
	snprintf(error, RUNDIR_ERROR_MAX, "nothing listens at %s", path);
	return EX_UNAVAILABLE;
}

int rundir_folder(unsigned index, char folder[RUNDIR_FOLDER_MAX], char error[RUNDIR_ERROR_MAX])
{
	struct candidate list[CANDIDATES];
	size_t count = candidates(list, false);

	if (index >= count)
		return -1;
	memcpy(folder, list[index].dir, RUNDIR_FOLDER_MAX);
	return trusted(&list[index], error) ? 0 : EX_NOPERM;
}

static void each_in(const char *dir, const char *suffix, rundir_found *found, void *context)
{
	DIR *listing = opendir(dir);
	size_t tail = strlen(suffix);

	/* cppcheck-suppress readdirCalled ; the listing is this call's own */
	for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
		size_t length = strlen(entry->d_name);
		if (length <= tail || length - tail > RUNDIR_NAME_MAX ||
		    strcmp(entry->d_name + length - tail, suffix) != 0)
			continue;
		entry->d_name[length - tail] = '\0';
		if (rundir_name_problem(entry->d_name) == NULL)
			found(entry->d_name, dir, context);
	}
	if (listing != NULL)
		closedir(listing);
}

void rundir_each(const char *suffix, rundir_found *found, void *context)
{
	struct candidate list[CANDIDATES];
	size_t count = candidates(list, false);
	char error[RUNDIR_ERROR_MAX];

	for (size_t i = 0; i < count; i++)
		if (trusted(&list[i], error))
			each_in(list[i].dir, suffix, found, context);
}

struct single {
	char *name, *error;
	int status;
};

/* A name that an earlier folder holds too is the same one. */
static void take_single(const char *name, const char *folder, void *context)
{
	struct single *single = context;

	(void)folder;
	if (single->name[0] != '\0' && strcmp(name, single->name) != 0 && single->status == 0) {
		snprintf(single->error, RUNDIR_ERROR_MAX, "there are several, %s and %.64s among them", single->name, name);
		single->status = EX_USAGE;
	}
	snprintf(single->name, RUNDIR_NAME_MAX + 1, "%s", name);
}

int rundir_single(const char *suffix, char name[RUNDIR_NAME_MAX + 1], char error[RUNDIR_ERROR_MAX])
{
	struct single single = { name, error, 0 };

	name[0] = '\0';
	rundir_each(suffix, take_single, &single);
	if (single.status == 0 && name[0] == '\0') {
		snprintf(error, RUNDIR_ERROR_MAX, "no *%s is in any of the folders for endpoints", suffix);
		return EX_UNAVAILABLE;
	}
	return single.status;
}

int rundir_claim(const char *name, const char *suffix, char path[RUNDIR_PATH_MAX],
		 char error[RUNDIR_ERROR_MAX])
{
	struct candidate list[CANDIDATES];
	size_t count = candidates(list, true);
	int last = 0;

	for (size_t i = 0; i < count; i++) {
		if (mkdir(list[i].dir, 0700) != 0 && errno != EEXIST) {
			last = errno;
			continue;
		}
		if (!trusted(&list[i], error))
			return EX_NOPERM;
		if (access(list[i].dir, W_OK | X_OK) != 0) {
			last = errno;
			continue;
		}
		return join(list[i].dir, name, suffix, path, error);
	}
	snprintf(error, RUNDIR_ERROR_MAX,
		 "cannot use the folder %.120s: %s: make it, or set SOLE_RUNTIME_DIR to one that this "
		 "user can write",
		 list[count - 1].dir, strerror(last));
	return last == EACCES || last == EPERM || last == EROFS ? EX_NOPERM : EX_CANTCREAT;
}
