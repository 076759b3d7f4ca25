/* SPDX-License-Identifier: MIT
 *
 * endpoint.c - lock, then listen.
 */
#include "owner/transport/endpoint.h"
#include "common/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { BACKLOG = 128 };
_Static_assert((int)LOCKFILE_ERROR_MAX <= (int)RUNDIR_ERROR_MAX, "its sentence fits into ours");

static int status_of_errno(void)
{
	return errno == EACCES || errno == EPERM || errno == EROFS ? EX_NOPERM : EX_CANTCREAT;
}

static int take_lock(struct endpoint *endpoint, char error[RUNDIR_ERROR_MAX])
{
	pid_t holder;
	int status = lockfile_take(endpoint->lock_path, &endpoint->lock, &holder, error);

	if (status == EX_UNAVAILABLE && holder > 0)
		snprintf(error, RUNDIR_ERROR_MAX, "%.120s is served by process %ld: stop it first",
			 endpoint->path, (long)holder);
	else if (status == EX_UNAVAILABLE)
		snprintf(error, RUNDIR_ERROR_MAX, "%.90s is locked by a process that does not tell its number: fuser %.90s finds it",
			 endpoint->path, endpoint->lock_path);
	if (status != 0)
		endpoint->lock = -1;
	return status;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	return address;
}

/* Removes what a dead owner left; anything that lives or is no socket stays. */
static int clear_path(const char *path, char error[RUNDIR_ERROR_MAX])
{
	struct stat st;

	if (lstat(path, &st) != 0) {
		if (errno == ENOENT)
			return 0;
		snprintf(error, RUNDIR_ERROR_MAX, "cannot look at %.120s: %s", path, strerror(errno));
		return status_of_errno();
	}
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(error, RUNDIR_ERROR_MAX, "%.120s is there and is not a socket: move it away", path);
		return EX_CANTCREAT;
	}
	struct sockaddr_un address = address_of(path);
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0) {
		snprintf(error, RUNDIR_ERROR_MAX, "cannot make a socket: %s", strerror(errno));
		return EX_OSERR;
	}
	int rc = connect(probe, (const struct sockaddr *)&address, sizeof address), problem = errno;
	close(probe);
	if (rc == 0 || problem == EAGAIN) {
		snprintf(error, RUNDIR_ERROR_MAX, "another program listens at %.120s: stop it first", path);
		return EX_UNAVAILABLE;
	}
	if (problem != ECONNREFUSED || (unlink(path) != 0 && errno != ENOENT)) {
		snprintf(error, RUNDIR_ERROR_MAX, "cannot replace %.120s: %s", path,
			 strerror(problem != ECONNREFUSED ? problem : errno));
		errno = problem != ECONNREFUSED ? problem : errno;
		return status_of_errno();
	}
	return 0;
}

static int listen_at(struct endpoint *endpoint, mode_t mode, char error[RUNDIR_ERROR_MAX])
{
	struct sockaddr_un address = address_of(endpoint->path);
	int status = clear_path(endpoint->path, error);

	if (status != 0)
		return status;
	endpoint->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (endpoint->listener < 0) {
		snprintf(error, RUNDIR_ERROR_MAX, "cannot make a socket: %s", strerror(errno));
		return EX_OSERR;
	}
	/* The mode comes with the file, so that there is no moment in which others may connect. */
	mode_t before = umask(0777 & ~mode);
	int rc = bind(endpoint->listener, (const struct sockaddr *)&address, sizeof address), problem = errno;
	umask(before);
	if (rc != 0 || listen(endpoint->listener, BACKLOG) != 0) {
		errno = rc != 0 ? problem : errno;
		snprintf(error, RUNDIR_ERROR_MAX, "cannot listen at %.120s: %s", endpoint->path,
			 strerror(errno));
		return status_of_errno();
	}
	return 0;
}

static int check_inherited(struct endpoint *endpoint, int fd, char error[RUNDIR_ERROR_MAX])
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof address, flag_size = sizeof(int);
	int listening = 0;

	if (getsockname(fd, (struct sockaddr *)&address, &size) != 0 || address.sun_family != AF_UNIX ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &flag_size) != 0 || !listening) {
		snprintf(error, RUNDIR_ERROR_MAX,
			 "the descriptor handed over is not a listening Unix socket");
		return EX_CONFIG;
	}
	if (strncmp(address.sun_path, endpoint->path, sizeof address.sun_path) != 0) {
		snprintf(error, RUNDIR_ERROR_MAX,
			 "the socket handed over is %.90s, but this owner is to serve %.90s",
			 address.sun_path, endpoint->path);
		return EX_CONFIG;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	endpoint->listener = fd;
	endpoint->inherited = true;
	return 0;
}

int endpoint_open(struct endpoint *endpoint, const char *path, mode_t mode, int inherited_fd,
		  char error[RUNDIR_ERROR_MAX])
{
	*endpoint = (struct endpoint){ .listener = -1, .lock = -1 };
	snprintf(endpoint->path, sizeof endpoint->path, "%s", path);
	snprintf(endpoint->lock_path, sizeof endpoint->lock_path, "%s.lock", path);
	int status = take_lock(endpoint, error);
	if (status == 0)
		status = inherited_fd >= 0 ? check_inherited(endpoint, inherited_fd, error) :
					     listen_at(endpoint, mode, error);
	if (status != 0) {
		if (endpoint->listener >= 0 && !endpoint->inherited)
			close(endpoint->listener);
		if (endpoint->lock >= 0) {
			unlink(endpoint->lock_path);
			close(endpoint->lock);
		}
	}
	return status;
}

void endpoint_close(struct endpoint *endpoint)
{
	if (!endpoint->inherited)
		unlink(endpoint->path);
	unlink(endpoint->lock_path);
	close(endpoint->lock);
}
