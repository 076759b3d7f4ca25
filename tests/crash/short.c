/* SPDX-License-Identifier: MIT
 *
 * short.c - preloaded, makes writes to files short: what a disk may do, and strace cannot make it do (it
 * can only lie about what was written).
 *
 * SHORT_WRITE=n: the nth write of two bytes or more to a file, in each process, writes the first half;
 * SHORT_FROM=1: so do all after it; SHORT_KILL=1: and is the last thing that the process did. SHORT_TOLD
 * names a file that is made when it has come to that.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

static long nth;
static int for_ever, kills;
static const char *told;
static atomic_long count;

__attribute__((constructor)) static void read_environment(void)
{
	nth = getenv("SHORT_WRITE") != NULL ? atol(getenv("SHORT_WRITE")) : 0;
	for_ever = getenv("SHORT_FROM") != NULL;
	kills = getenv("SHORT_KILL") != NULL;
	told = getenv("SHORT_TOLD");
}

/* Its turn? What is no file (a socket, a counter of events) is left alone, and so is standard output. */
static int chosen(int file, size_t size)
{
	struct stat st;

	if (nth == 0 || file <= 2 || size < 2 || fstat(file, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	long number = atomic_fetch_add(&count, 1) + 1;
	if (number != nth && !(for_ever && number > nth))
		return 0;
	if (told != NULL)
		close(open(told, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	return 1;
}

static void end(void)
{
	if (kills)
		kill(getpid(), SIGKILL);
}

SHOWN ssize_t write(int file, const void *bytes, size_t size)
{
	static ssize_t (*real)(int, const void *, size_t);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "write");
	if (!chosen(file, size))
		return real(file, bytes, size);
	ssize_t put = real(file, bytes, size / 2);
	end();
	return put;
}

SHOWN ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset)
{
	static ssize_t (*real)(int, const void *, size_t, off64_t);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
	if (!chosen(file, size))
		return real(file, bytes, size, offset);
	ssize_t put = real(file, bytes, size / 2, offset);
	end();
	return put;
}

SHOWN ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset)
{
	return pwrite64(file, bytes, size, offset);
}
