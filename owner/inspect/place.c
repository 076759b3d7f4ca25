/* SPDX-License-Identifier: MIT
 *
 * place.c - opening the folder that is looked at or made, and saying what is wrong with it.
 */
#include "owner/inspect/inspect_parts.h"
#include "common/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

struct contents {
	bool state, other; /* files of a state; anything else but its lock */
};

static void found(void *argument, const char *name)
{
	struct contents *contents = argument;

	if (strncmp(name, "journal-", 8) == 0 || strncmp(name, "snapshot-", 9) == 0)
		contents->state = true;
	else if (strcmp(name, "lock") != 0)
		contents->other = true;
}

/* Before anything of it is touched. */
static int look_into(const char *path, enum place_use use)
{
	char error[FOLDER_ERROR_MAX];
	struct contents contents = { 0 };
	struct folder folder;

	int status = folder_open(&folder, path, FOLDER_LOOK, error);
	if (status == EX_NOINPUT && use == PLACE_NEW)
		return EX_OK;
	if (status != EX_OK) {
		log_error("%s", error);
		return status;
	}
	int problem = folder.disk.list(&folder, found, &contents);
	folder_close(&folder);
	if (problem != 0) {
		log_error("%s cannot be listed: %s", path, strerror(-problem));
		return EX_IOERR;
	}
	if (use == PLACE_NEW && (contents.state || contents.other)) {
		log_error("%s %s: give a folder that is empty, or not there", path,
			  contents.state ? "holds a state" : "is not empty");
		return EX_CANTCREAT;
	}
	if (use != PLACE_NEW && !contents.state) {
		log_error("%s holds no state: no file in it is called journal-... or snapshot-...: name the folder that --state was given", path);
		return EX_NOINPUT;
	}
	return EX_OK;
}

/* Who has locked the folder, by the system's list of locks: a try to take it could keep an owner from
 * starting. */
static pid_t find_owner(const struct folder *folder)
{
	char line[256];
	struct stat st;
	pid_t owner = 0;

	if (fstatat(folder->descriptor, "lock", &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	FILE *locks = fopen("/proc/locks", "re");
	while (locks != NULL && owner == 0 && fgets(line, sizeof line, locks) != NULL) {
		unsigned long long inode;
		int pid;
		/* "1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF"; the device differs from stat's on some
		 * file systems. */
		if (sscanf(line, "%*d: FLOCK %*s WRITE %d %*x:%*x:%llu ", &pid, &inode) == 2 &&
		    inode == (unsigned long long)st.st_ino)
			owner = pid;
	}
	if (locks != NULL)
		fclose(locks);
	return owner;
}

int place_open(struct place *place, const char *path, enum place_use use)
{
	static const unsigned uses[] = { [PLACE_LOOK] = FOLDER_LOOK,
					 [PLACE_WRITE] = FOLDER_LOCK | FOLDER_WRITE,
					 [PLACE_NEW] = FOLDER_LOCK | FOLDER_WRITE | FOLDER_MAKE };
	char error[FOLDER_ERROR_MAX];

	*place = (struct place){ .path = path, .folder = { .descriptor = -1, .lock = -1 } };
	int status = look_into(path, use);
	if (status != EX_OK)
		return status;
	status = folder_open(&place->folder, path, uses[use], error);
	if (status != EX_OK) {
		log_error("%s", error);
		return status;
	}
	place->disk = &place->folder.disk;
	if (use == PLACE_LOOK)
		place->owner = find_owner(&place->folder);
	return EX_OK;
}

void place_close(struct place *place)
{
	folder_close(&place->folder);
}
