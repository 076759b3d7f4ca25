/* SPDX-License-Identifier: MIT
 *
 * cut.h - cuts the connections that this process has to an owner, as a network would:
 * the sockets are shut down under libzmq's feet.
 */
#ifndef TESTS_CUT_H
#define TESTS_CUT_H

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Those to an endpoint "ipc://PATH". Returns how many there were. */
static inline int cut_connections(const char *endpoint)
{
	const char *path = endpoint + strlen("ipc://");
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	int cut = 0;

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		struct sockaddr_un peer = { 0 };
		socklen_t size = sizeof peer;
		int descriptor = atoi(entry->d_name);
		if (entry->d_name[0] == '.' ||
		    getpeername(descriptor, (struct sockaddr *)&peer, &size) != 0 ||
		    peer.sun_family != AF_UNIX || strncmp(peer.sun_path, path, sizeof peer.sun_path) != 0)
			continue;
		cut += shutdown(descriptor, SHUT_RDWR) == 0;
	}
	if (folder != NULL)
		closedir(folder);
	return cut;
}

#endif
