/* SPDX-License-Identifier: MIT
 *
 * symbols.c - the undefined symbols of a shared object, read from its dynamic symbol table.
 *
 * A list of names is no sandbox: it catches what is called by mistake. What is not in it, and what is
 * reached in other ways, the runs side by side have to show.
 */
#include "owner/kit/symbols.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names end with a space each; '*' at the end of one: all that begin so. */
static const struct {
	const char *what, *names;
} forbidden[] = {
	{ "a clock (take sole_call_now)",
	  "time clock clock_gettime clock_getres gettimeofday ftime times timespec_get localtime localtime_r ctime "
	  "ctime_r mktime difftime getrusage " },
	{ "randomness (nothing replaces it: draw in the client, and send it)",
	  "rand rand_r srand random random_r srandom drand48 erand48 lrand48 nrand48 mrand48 jrand48 srand48 getrandom "
	  "getentropy arc4random* uuid_generate* " },
	{ "input or output",
	  "open open64 openat openat64 creat close read write pread pwrite readv writev lseek dup dup2 pipe pipe2 fopen "
	  "fopen64 freopen fdopen fclose fread fwrite fgets fgetc getc getchar getline scanf fscanf __isoc99_scanf "
	  "__isoc99_fscanf printf vprintf fprintf vfprintf dprintf vdprintf puts fputs putchar fputc putc perror "
	  "fflush setvbuf syslog vsyslog err errx warn warnx unlink rename mkdir stat fstat access opendir readdir "
	  "mmap mmap64 shm_open ioctl fcntl fcntl64 socket socketpair bind listen accept accept4 connect send sendto "
	  "sendmsg recv recvfrom recvmsg getaddrinfo gethostbyname zmq_* sd_* " },
	{ "the environment, which another process has not",
	  "getenv secure_getenv setenv putenv unsetenv environ getpid getppid gettid getuid geteuid getgid getegid "
	  "gethostname uname sysconf getcwd setlocale gnu_get_libc_version sched_getcpu getauxval " },
	{ "waiting",
	  "sleep usleep nanosleep clock_nanosleep poll ppoll select pselect epoll_* eventfd timerfd_* pause sigwait* alarm "
	  "setitimer timer_* sched_yield sem_* " },
	{ "threads or processes",
	  "pthread_* thrd_* mtx_* cnd_* tss_* fork vfork clone execv* execl* fexecve posix_spawn* system popen wait* kill "
	  "raise signal sigaction sigprocmask daemon ptrace prctl syscall dlopen dlsym dlmopen " },
	{ "the end of the owner (refuse instead)", "exit _exit _Exit quick_exit abort atexit on_exit longjmp " },
};

static bool is_in(const char *names, const char *name, size_t size)
{
	for (const char *at = names, *end; (end = strchr(at, ' ')) != NULL; at = end + 1) {
		size_t length = (size_t)(end - at);
		bool prefix = length > 0 && end[-1] == '*';
		if (prefix ? size >= length - 1 && memcmp(at, name, length - 1) == 0 :
			     size == length && memcmp(at, name, length) == 0)
			return true;
	}
	return false;
}

const char *symbol_is(const char *name)
{
	size_t size = strlen(name);

	/* The checked forms that _FORTIFY_SOURCE makes: __printf_chk for printf. */
	if (size > 6 && strncmp(name, "__", 2) == 0 && strcmp(name + size - 4, "_chk") == 0) {
		name += 2;
		size -= 6;
	}
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
		if (is_in(forbidden[i].names, name, size))
			return forbidden[i].what;
	return NULL;
}

/* A file in memory; every offset is checked before it is used. */
struct image {
	const unsigned char *bytes;
	size_t size;
};

static const void *part(const struct image *image, uint64_t offset, uint64_t size)
{
	return offset <= image->size && size <= image->size - offset ? image->bytes + offset : NULL;
}

static const ElfW(Shdr) *section(const struct image *image, const ElfW(Ehdr) *header, size_t index)
{
	if (index >= header->e_shnum || header->e_shentsize != sizeof(ElfW(Shdr)))
		return NULL;
	return part(image, header->e_shoff + index * sizeof(ElfW(Shdr)), sizeof(ElfW(Shdr)));
}

static bool walk(const struct image *image, void (*tell)(void *, const char *, const char *), void *context)
{
	const ElfW(Ehdr) *header = part(image, 0, sizeof *header);

	if (header == NULL || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
		return false;
	for (size_t i = 0; i < header->e_shnum; i++) {
		const ElfW(Shdr) *table = section(image, header, i);
		if (table == NULL)
			return false;
		if (table->sh_type != SHT_DYNSYM)
			continue;
		const ElfW(Shdr) *names = section(image, header, table->sh_link);
		const ElfW(Sym) *symbols = part(image, table->sh_offset, table->sh_size);
		const char *text = names != NULL ? part(image, names->sh_offset, names->sh_size) : NULL;
		if (symbols == NULL || text == NULL || names->sh_size == 0 || text[names->sh_size - 1] != '\0')
			return false;
		for (size_t s = 0; s < table->sh_size / sizeof *symbols; s++) {
			if (symbols[s].st_shndx != SHN_UNDEF || symbols[s].st_name >= names->sh_size)
				continue;
			const char *name = text + symbols[s].st_name, *what = symbol_is(name);
			if (what != NULL)
				tell(context, name, what);
		}
		return true;
	}
	return false;
}

bool symbols_forbidden(const char *file, void (*tell)(void *context, const char *symbol, const char *what),
		       void *context, const char **why)
{
	struct image image = { 0 };
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	*why = NULL;
	if (fd < 0 || fstat(fd, &st) != 0) {
		*why = strerror(errno);
	} else {
		image.size = (size_t)st.st_size;
		void *bytes = image.size > 0 ? mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
		image.bytes = bytes;
		if (bytes == MAP_FAILED)
			*why = "it cannot be mapped";
		else if (!walk(&image, tell, context))
			*why = "it has no table of dynamic symbols";
		if (bytes != MAP_FAILED)
			munmap(bytes, image.size);
	}
	if (fd >= 0)
		close(fd);
	return *why == NULL;
}
