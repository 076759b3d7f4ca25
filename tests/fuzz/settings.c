/* SPDX-License-Identifier: MIT
 *
 * An owner's configuration file, read as `sole-owner --config FILE NAME` reads it: taken, with every number in its
 * range, or refused with one of the documented statuses.
 *
 * config_read ends the program where a file is bad. Here exit() is the fuzzer's way back: linked
 * with --wrap=exit, as is zpl_load, so that what was read can be freed.
 */
#include "tests/fuzz/fuzz.h"

#include "common/log.h"
#include "common/quantity.h"
#include "common/zpl.h"
#include "owner/config.h"
#include "owner/inspect/inspect.h"

#include <getopt.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

static int file = -1;
static jmp_buf back;
static bool inside;
static volatile int status;
static struct zpl settings_read;

/* Where reading is left by exit(), what it held is lost, which in a program that ends is no matter. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

_Noreturn void __real_exit(int code);
_Noreturn void __wrap_exit(int code);
int __real_zpl_load(struct zpl *zpl, const char *path, struct mistakes *mistakes);
int __wrap_zpl_load(struct zpl *zpl, const char *path, struct mistakes *mistakes);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

_Noreturn void __wrap_exit(int code)
{
	if (!inside)
		__real_exit(code);
	status = code;
	longjmp(back, 1);
}

/* The mistakes are those of the one file that a program reads; here of each. */
int __wrap_zpl_load(struct zpl *zpl, const char *path, struct mistakes *mistakes)
{
	mistakes->count = mistakes->untold = 0;
	int rc = __real_zpl_load(zpl, path, mistakes);
	settings_read = *zpl;
	return rc;
}

/* As in plan.c. */
void *__wrap_malloc(size_t size)
{
	return __real_malloc(size == 16 << 20 ? 1 : size);
}

/* Of what looks back at a state the file says nothing. */
bool inspect_asked(const struct inspection *inspection)
{
	(void)inspection;
	return false;
}

const char *inspect_operands(struct inspection *inspection, int count, char **operands)
{
	(void)inspection, (void)count, (void)operands;
	return "not asked for";
}

static void no_line(const char *line, size_t size)
{
	require(size > 0 && line[size - 1] == '\n');
}

static void check(const struct config *config)
{
	require(config->drain_ns >= 0 && config->socket_mode >= 0 && config->socket_mode <= 0777);
#define LIMIT(field, option, kind, value, least, most, help) \
	require(config->limits.field >= (int64_t)least && config->limits.field <= (int64_t)most);
#include "owner/core/limits.def"
#undef LIMIT
}

static void read_numbers(const uint8_t *bytes, size_t size)
{
	char text[128], again[128];
	int64_t number, then;

	if (size >= sizeof text)
		size = sizeof text - 1;
	if (size > 0)
		memcpy(text, bytes, size);
	text[size] = '\0';
	if (quantity_duration(text, &number) == NULL) {
		require(number >= 0);
		quantity_format_duration(number, again, sizeof again);
		require(quantity_duration(again, &then) == NULL && then >= 0);
	}
	if (quantity_size(text, &number) == NULL)
		require(number >= 0);
	if (quantity_integer(text, -100, 1000, &number) == NULL)
		require(number >= -100 && number <= 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static char path[64];
	static struct config config;
	static char program[] = "sole-owner", option[] = "--config", name[] = "fuzz";
	char *arguments[] = { program, option, path, name, NULL };

	read_numbers(bytes, size);
	if (file < 0) {
		log_redirect(no_line);
		file = memfd_create("settings", 0);
	}
	require(file >= 0 && ftruncate(file, 0) == 0);
	require(pwrite(file, bytes, size, 0) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	optind = 0;
	status = 0;
	inside = true;
	if (setjmp(back) == 0) {
		config_read(&config, 4, arguments);
		inside = false;
		check(&config);
	}
	inside = false;
	require(status == 0 || status == EX_CONFIG);
	zpl_clear(&settings_read);
	return 0;
}
