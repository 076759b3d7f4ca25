/* SPDX-License-Identifier: MIT
 *
 * owner_kit.h - a real owner for tests in C: started, stopped and killed in a
 * folder of its own, which is $SOLE_RUNTIME_DIR of the test as well.
 *
 * $SOLE_BIN is where the programs are ("bin"); $SOLE_TIME_FACTOR stretches every
 * limit. Header-only: a test is one file.
 */
#ifndef TESTS_OWNER_KIT_H
#define TESTS_OWNER_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above before it. */
#include <cmocka.h>

#include "clients/sole.h"
#include "common/clock.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char kit_folder[64];
static pid_t kit_owner; /* 0: none */

static inline int64_t kit_ns(int64_t ms)
{
	const char *factor = getenv("SOLE_TIME_FACTOR");

	return ms * NS_PER_MS * (factor != NULL ? strtol(factor, NULL, 10) : 1);
}

static inline int kit_folder_make(void **state)
{
	(void)state;
	strcpy(kit_folder, "/tmp/sole-test-XXXXXX");
	if (mkdtemp(kit_folder) == NULL)
		return -1;
	unsetenv("SOLE_ENDPOINT");
	return setenv("SOLE_RUNTIME_DIR", kit_folder, 1);
}

static inline int kit_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

static inline int kit_folder_remove(void **state)
{
	(void)state;
	return nftw(kit_folder, kit_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Starts `sole-owner NAME`; it dies with the test. Its output goes to NAME.log in the folder. */
static inline void kit_start(const char *name)
{
	const char *bin = getenv("SOLE_BIN");
	char path[4096], log[256];

	assert_int_equal(kit_owner, 0);
	snprintf(path, sizeof path, "%s/sole-owner", bin != NULL ? bin : "bin");
	snprintf(log, sizeof log, "%s/%s.log", kit_folder, name);
	pid_t parent = getpid();
	kit_owner = fork();
	assert_true(kit_owner >= 0);
	if (kit_owner == 0) {
		int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (out < 0 || getppid() != parent)
			_exit(126);
		dup2(out, 1);
		dup2(out, 2);
		execl(path, path, name, "--drain", "100ms", (char *)NULL);
		_exit(127);
	}
}

static inline void kit_kill(int signal)
{
	assert_int_equal(kill(kit_owner, signal), 0);
}

/* Waits until the owner has ended. Returns its wait status. */
static inline int kit_wait_owner(void)
{
	int status = 0;

	assert_int_equal(waitpid(kit_owner, &status, 0), kit_owner);
	kit_owner = 0;
	return status;
}

static inline void kit_stop(int signal)
{
	kit_kill(signal);
	kit_wait_owner();
}

/* After each test, also one that failed half-way. */
static inline int kit_clean(void **state)
{
	(void)state;
	if (kit_owner != 0) {
		kill(kit_owner, SIGCONT);
		kill(kit_owner, SIGKILL);
		waitpid(kit_owner, NULL, 0);
		kit_owner = 0;
	}
	return 0;
}

/* A handle of the owner called `name`, with a limit of 10 s for each call. */
static inline struct sole *kit_open(const char *name)
{
	const struct sole_options options = { .owner = name, .timeout_ns = kit_ns(10000) };
	struct sole *handle;

	assert_int_equal(sole_open(&handle, &options), SOLE_OK);
	return handle;
}

#define assert_code(code, expected) assert_string_equal(sole_name_of(code), sole_name_of(expected))

#endif
