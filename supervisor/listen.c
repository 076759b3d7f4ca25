/* SPDX-License-Identifier: MIT
 *
 * listen.c - makes listening sockets, and never takes one from somebody else.
 */
#include "supervisor/listen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

/* Only a socket whose connection is refused is stale. */
static bool remove_stale(const struct sockaddr_un *address, char error[LISTEN_ERROR_MAX])
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) != 0)
		return true;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(error, LISTEN_ERROR_MAX, "%s exists and is no socket: remove it", path);
		return false;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		snprintf(error, LISTEN_ERROR_MAX, "cannot make a socket: %s", strerror(errno));
		return false;
	}
	int refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
		      errno == ECONNREFUSED;
	close(fd);
	if (!refused) {
		snprintf(error, LISTEN_ERROR_MAX, "%s is in use: stop who listens there first", path);
		return false;
	}
	unlink(path);
	return true;
}

int listen_bind(int fd, const char *path, mode_t mode, char error[LISTEN_ERROR_MAX])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (!remove_stale(&address, error))
		return -1;
	/* The mode is right from the first moment on. */
	mode_t old = umask(0777 & ~mode);
	int failed = bind(fd, (const struct sockaddr *)&address, sizeof address);
	int saved = errno;
	umask(old);
	if (failed == 0)
		return 0;
	snprintf(error, LISTEN_ERROR_MAX, "cannot bind %s: %s", path, strerror(saved));
	return -1;
}

int listen_open(const char *target, mode_t mode, char path[RUNDIR_PATH_MAX], char error[LISTEN_ERROR_MAX])
{
	char folder_error[RUNDIR_ERROR_MAX];

	if (*target == '/') {
		snprintf(path, RUNDIR_PATH_MAX, "%s", target);
	} else if (rundir_claim(target, ".sock", path, folder_error) != 0) {
		snprintf(error, LISTEN_ERROR_MAX, "%s", folder_error);
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		snprintf(error, LISTEN_ERROR_MAX, "cannot make a socket: %s", strerror(errno));
		return -1;
	}
	if (listen_bind(fd, path, mode, error) == 0) {
		if (listen(fd, BACKLOG) == 0)
			return fd;
		snprintf(error, LISTEN_ERROR_MAX, "cannot listen on %s: %s", path, strerror(errno));
	}
	close(fd);
	return -1;
}
