/* SPDX-License-Identifier: MIT
 *
 * loader.c - dlopen, and what can be wrong about it.
 *
 * dlopen maps what a file's headers promise and believes them: of one that was cut short it dies with
 * SIGBUS, and at a FIFO it waits for a writer. So the headers are read first. What is whole and yet
 * no behaviour, dlopen and the table of operations tell.
 */
#include "owner/loader.h"
#include "owner/core/operations.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- whether dlopen may see it ---- */

static const char cut_short[] = "it ends before its code does: build or copy it again";
static const char no_object[] = "it is no shared object: build one with -shared -fPIC";

static bool read_at(int fd, void *to, size_t size, uint64_t offset)
{
	return offset <= INT64_MAX && pread(fd, to, size, (off_t)offset) == (ssize_t)size;
}

static bool is_within(uint64_t offset, uint64_t size, uint64_t whole)
{
	return offset <= whole && size <= whole - offset;
}

/* For the machine that this program is for, as far as /proc can tell; and else dlopen will. */
static bool is_for_this_machine(const ElfW(Ehdr) *header)
{
	ElfW(Ehdr) own;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool known = fd >= 0 && read_at(fd, &own, sizeof own, 0);

	if (fd >= 0)
		close(fd);
	return !known || (header->e_ident[EI_CLASS] == own.e_ident[EI_CLASS] &&
			  header->e_ident[EI_DATA] == own.e_ident[EI_DATA] &&
			  header->e_machine == own.e_machine);
}

static const char *header_problem(int fd, uint64_t size, ElfW(Ehdr) *header)
{
	char magic[SELFMAG];

	if (size == 0)
		return "it is empty: build or copy it again";
	if (!read_at(fd, magic, sizeof magic, 0) || memcmp(magic, ELFMAG, SELFMAG) != 0)
		return no_object;
	if (!read_at(fd, header, sizeof *header, 0))
		return cut_short;
	if (!is_for_this_machine(header))
		return "it was built for another machine: build it on, or for, this one";
	return header->e_type == ET_DYN ? NULL : no_object;
}

/* Everything that the headers speak of is in the file. */
static const char *segments_problem(int fd, uint64_t size, const ElfW(Ehdr) *header)
{
	ElfW(Phdr) segment;

	if (header->e_phentsize != sizeof segment || header->e_phnum == 0)
		return no_object;
	if (!is_within(header->e_phoff, (uint64_t)header->e_phnum * sizeof segment, size) ||
	    !is_within(header->e_shoff, (uint64_t)header->e_shnum * header->e_shentsize, size))
		return cut_short;
	for (size_t i = 0; i < header->e_phnum; i++) {
		if (!read_at(fd, &segment, sizeof segment, header->e_phoff + i * sizeof segment))
			return cut_short;
		if (segment.p_type == PT_LOAD && !is_within(segment.p_offset, segment.p_filesz, size))
			return cut_short;
	}
	return NULL;
}

static const char *file_problem(int fd)
{
	ElfW(Ehdr) header;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? "it is a directory: give the shared object in it" :
					     "it is no regular file: give a shared object";
	const char *problem = header_problem(fd, (uint64_t)st.st_size, &header);
	return problem != NULL ? problem : segments_problem(fd, (uint64_t)st.st_size, &header);
}

static const char *path_problem(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC); /* no FIFO is waited for */
	const char *problem = file_problem(fd);

	if (fd >= 0)
		close(fd);
	return problem;
}

/* ---- loading ---- */

const struct sole_behaviour *loader_open(const char *file, const char **why)
{
	static char path[4096], text[4096 + 512];
	static void *object; /* never closed: the behaviour's code is in it */

	/* A bare name would be looked for among the system's libraries. */
	int size = snprintf(path, sizeof path, "%s%s", strchr(file, '/') == NULL ? "./" : "", file);
	*why = text;
	if (*file == '\0') {
		snprintf(text, sizeof text, "the name of the behaviour's file is empty: give a shared object, such as "
			 "./ledger.so");
		return NULL;
	}
	if (size < 0 || (size_t)size >= sizeof path) {
		snprintf(text, sizeof text, "the path of the behaviour is too long: give one of less than %zu "
			 "bytes", sizeof path);
		return NULL;
	}
	const char *problem = path_problem(path);
	if (problem != NULL) {
		snprintf(text, sizeof text, "cannot load the behaviour: %s: %s", file, problem);
		return NULL;
	}
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (object == NULL) {
		snprintf(text, sizeof text, "cannot load the behaviour: %s", dlerror());
		return NULL;
	}
	const struct sole_behaviour *behaviour = dlsym(object, "sole_behaviour");
	if (behaviour == NULL) {
		snprintf(text, sizeof text, "%s defines no 'const struct sole_behaviour sole_behaviour': see sole-behaviour(3)", file);
		return NULL;
	}
	problem = behaviour_problem(behaviour);
	if (problem != NULL) {
		snprintf(text, sizeof text, "%s: %s", file, problem);
		return NULL;
	}
	*why = NULL;
	return behaviour;
}
