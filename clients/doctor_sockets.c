/* SPDX-License-Identifier: MIT
 *
 * doctor_sockets.c - folders, sockets and locks: who listens where, and what was left behind.
 */
#include "clients/doctor.h"

#include "common/rundir.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *user_name(uid_t uid)
{
	static char text[64];
	/* cppcheck-suppress getpwuidCalled ; there is one thread that asks */
	const struct passwd *user = getpwuid(uid);

	if (user != NULL)
		snprintf(text, sizeof text, "%s", user->pw_name);
	else
		snprintf(text, sizeof text, "uid %u", (unsigned)uid);
	return text;
}

/* ---- folders ---- */

static void look_at_folder(const char *folder)
{
	struct stat st;

	if (stat(folder, &st) != 0) {
		if (errno == EACCES) {
			found(FINDING_WRONG, "folder", "%s cannot be looked into by this user", folder);
			advise("ask as the user whose owners listen there, or have them listen in /run/sole");
		}
		return; /* it need not be there */
	}
	bool writable = (st.st_mode & 0022) != 0 && (st.st_mode & S_ISVTX) == 0;
	if (!S_ISDIR(st.st_mode)) {
		found(FINDING_WRONG, "folder", "%s is no folder", folder);
		advise("remove it: owners make the folder anew");
	} else if (writable) {
		found(FINDING_WRONG, "folder", "%s can be written by others (mode %04o): they could listen in an owner's place",
		      folder, st.st_mode & 07777);
		advise("chmod go-w %s", folder);
	} else if (st.st_uid != 0 && st.st_uid != geteuid() && strcmp(folder, "/run/sole") != 0) {
		found(FINDING_WARNING, "folder", "%s belongs to %s: whoever listens there may be theirs", folder,
		      user_name(st.st_uid));
		advise("chown it to the user who runs the owners, or set SOLE_RUNTIME_DIR to another folder");
	} else {
		found(FINDING_OK, "folder", "%s, of %s, mode %04o", folder, user_name(st.st_uid), st.st_mode & 07777);
	}
}

void doctor_folders(void)
{
	char folder[RUNDIR_FOLDER_MAX], error[RUNDIR_ERROR_MAX];
	int status;

	for (unsigned i = 0; (status = rundir_folder(i, folder, error)) >= 0; i++) {
		if (status == 0) {
			look_at_folder(folder);
			continue;
		}
		found(FINDING_WRONG, "folder", "%s", error);
		advise("as long as it is there, no owner in any folder behind it is found");
	}
}

/* ---- locks ---- */

/* By the kernel's own list: to try the lock would be to have it for a moment, and to hinder an owner that starts. */
pid_t lock_holder(const char *path)
{
	FILE *list = fopen("/proc/locks", "re");
	char line[256];
	struct stat st;
	pid_t holder = 0;

	/* "1: FLOCK  ADVISORY  WRITE 4711 08:01:131098 0 EOF" */
	while (list != NULL && stat(path, &st) == 0 && holder == 0 && fgets(line, sizeof line, list) != NULL) {
		unsigned long long inode;
		unsigned major, minor;
		long pid;
		if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%llu", &pid, &major, &minor, &inode) == 4 &&
		    inode == st.st_ino && pid > 0)
			holder = (pid_t)pid; /* the device of a mounted folder may have another number there */
	}
	if (list != NULL)
		fclose(list);
	return holder;
}

static pid_t endpoint_holder(const char *folder, const char *name)
{
	char path[RUNDIR_FOLDER_MAX + RUNDIR_NAME_MAX + 8];

	snprintf(path, sizeof path, "%s/%s.sock.lock", folder, name);
	return lock_holder(path);
}

/* ---- sockets ---- */

struct search {
	const char *name; /* NULL: all */
	unsigned count;
	char first[RUNDIR_NAME_MAX + 1], folder[RUNDIR_FOLDER_MAX]; /* the latest one found */
};

static void nobody_listens(const char *name, const char *folder, const char *path)
{
	pid_t holder = endpoint_holder(folder, name);

	if (holder != 0) {
		found(FINDING_WARNING, "socket", "%s: %s has the lock and does not listen: it is starting, or leaving", path,
		      name_of_process(holder));
		advise("look again in a moment; if it stays so, see its log, and end it: kill %ld", (long)holder);
		return;
	}
	found(FINDING_WRONG, "socket", "%s is left over: nobody listens there, its owner died", path);
	advise("start it again, which takes the socket's place: sole-owner %s; or, if it is not wanted any more: rm %s", name,
	       path);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return errno;
	int error = 0;
	if (strlen(path) >= sizeof address.sun_path) {
		error = ENAMETOOLONG;
	} else {
		snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
		if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
			error = errno;
	}
	close(fd);
	return error;
}

static void look_at_socket(const char *name, const char *folder, void *context)
{
	struct search *search = context;
	char path[RUNDIR_FOLDER_MAX + RUNDIR_NAME_MAX + 8];
	struct stat st;

	if (search->name != NULL && strcmp(name, search->name) != 0)
		return;
	search->count++;
	snprintf(path, sizeof path, "%s/%s.sock", folder, name);
	if (strcmp(search->first, name) == 0) {
		found(FINDING_WARNING, "socket", "%s is never asked: clients find the one in %s first", path, search->folder);
		advise("stop one of the two owners, or name the endpoint: sole -e ipc://%s", path);
	}
	snprintf(search->first, sizeof search->first, "%s", name);
	snprintf(search->folder, sizeof search->folder, "%s", folder);
	if (lstat(path, &st) != 0)
		return;
	if (!S_ISSOCK(st.st_mode)) {
		found(FINDING_WRONG, "socket", "%s is no socket", path);
		advise("move it away: an owner called %s does not start as long as it is there", name);
		return;
	}
	int error = connect_to(path);
	switch (error) {
	case 0:
	case EAGAIN:
		doctor_owner(name, path, endpoint_holder(folder, name));
		break;
	case ECONNREFUSED:
		nobody_listens(name, folder, path);
		break;
	case EACCES:
	case EPERM:
		found(FINDING_WRONG, "socket", "%s, of %s, mode %04o, does not let this user in", path, user_name(st.st_uid),
		      st.st_mode & 07777);
		advise("ask as that user, or have the owner serve others: --socket-mode 0660 and rules of access, see sole-owner(8)");
		break;
	default:
		found(FINDING_WRONG, "socket", "%s: cannot connect: %s", path, strerror(error));
		advise(error == ENAMETOOLONG ? "set SOLE_RUNTIME_DIR to a shorter folder" : "see the owner's log");
		break;
	}
}

unsigned doctor_sockets(const char *name)
{
	struct search search = { .name = name };

	rundir_each(".sock", look_at_socket, &search);
	return search.count;
}
