/* SPDX-License-Identifier: MIT
 *
 * memory.c - resident memory.
 */
#include "owner/memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

uint64_t memory_resident(void)
{
	char text[128];
	unsigned long long total, resident;

	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t size = read(fd, text, sizeof text - 1);
	close(fd);
	if (size <= 0)
		return 0;
	text[size] = '\0';
	if (sscanf(text, "%llu %llu", &total, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void memory_trim(void)
{
	malloc_trim(0);
}
