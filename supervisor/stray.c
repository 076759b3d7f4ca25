/* SPDX-License-Identifier: MIT
 *
 * stray.c - finds what children left behind, in /proc.
 */
#include "supervisor/stray.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENVIRONMENT_BYTES = 128 * 1024 };

/* The kernel's own list; not every kernel is built with it. */
static bool from_kernel_list(pid_t *pids, size_t most, size_t *count)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	int pid;
	while (*count < most && fscanf(file, "%d", &pid) == 1)
		pids[(*count)++] = pid;
	fclose(file);
	return true;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0)
		return -1;
	text[got] = '\0';
	/* The name, in parentheses, may hold anything: the last one ends it. */
	const char *end = strrchr(text, ')');
	int parent = -1;
	return end != NULL && sscanf(end, ") %*c %d", &parent) == 1 ? parent : -1;
}

size_t our_processes(pid_t *pids, size_t most)
{
	size_t count = 0;

	if (from_kernel_list(pids, most, &count))
		return count;
	DIR *proc = opendir("/proc");
	/* cppcheck-suppress readdirCalled ; there is one thread */
	for (struct dirent *entry; proc != NULL && count < most && (entry = readdir(proc)) != NULL;) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (parent_of(pid) == getpid())
			pids[count++] = pid;
	}
	if (proc != NULL)
		closedir(proc);
	return count;
}

/* A nested supervisor's children have "OUTER/INNER", and are OUTER's too. */
static bool has_mark(const char *environment, size_t size, const char *mark)
{
	static const char variable[] = "SOLE_CHILD=";
	size_t length = strlen(mark);

	for (const char *at = environment, *end = environment + size; at < end;
	     at += strnlen(at, (size_t)(end - at)) + 1) {
		size_t left = (size_t)(end - at);
		if (left < sizeof variable + length || strncmp(at, variable, sizeof variable - 1) != 0)
			continue;
		const char *value = at + sizeof variable - 1;
		return strncmp(value, mark, length) == 0 && (value[length] == '\0' || value[length] == '/');
	}
	return false;
}

bool stray_is_of(pid_t pid, pid_t group, const char *mark)
{
	static char environment[ENVIRONMENT_BYTES];
	char path[64];

	if (getsid(pid) == group || getpgid(pid) == group)
		return true;
	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size_t used = 0;
	for (ssize_t got; used < sizeof environment &&
			  (got = read(fd, environment + used, sizeof environment - used)) > 0;)
		used += (size_t)got;
	close(fd);
	return has_mark(environment, used, mark);
}
