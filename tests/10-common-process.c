/* SPDX-License-Identifier: MIT
 *
 * A process and what is around it: folders, locks, options, the supervisor to be told.
 */
#include "tests/lib/unit.h"

#include "common/lockfile.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/options.h"
#include "common/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- rundir ---- */

struct folder {
	char path[64];
};

static int enter_folder(void **state)
{
	static struct folder folder;

	snprintf(folder.path, sizeof folder.path, "/tmp/sole-unit-XXXXXX");
	if (mkdtemp(folder.path) == NULL)
		return -1;
	unsetenv("SOLE_RUNTIME_DIR");
	unsetenv("XDG_RUNTIME_DIR");
	*state = &folder;
	return 0;
}

static int leave_folder(void **state)
{
	const struct folder *folder = *state;
	char command[96];

	unsetenv("SOLE_RUNTIME_DIR");
	unsetenv("XDG_RUNTIME_DIR");
	snprintf(command, sizeof command, "rm -rf %s", folder->path);
	return system(command);
}

static void make_file(const char *dir, const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void names_are_letters_digits_and_three_marks(void **state)
{
	(void)state;
	static const char *const good[] = {
		"a",
		"Z9",
		"seed",
		"a.b",
		"a-b_c.d",
		"_",
		"0123456789012345678901234567890123456789012345678901234567890123"
	};
	static const char *const bad[] = {
		"",    ".",	   "..",   ".a",
		"-a",  "a/b",	   "../a", "a b",
		"a\n", "\xc3\xa4", "a*",   "01234567890123456789012345678901234567890123456789012345678901234"
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_null(rundir_name_problem(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_non_null(rundir_name_problem(bad[i]));
}

static void a_folder_that_is_set_is_the_only_one(void **state)
{
	const struct folder *folder = *state;
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX] = "", made[80], expected[RUNDIR_PATH_MAX];
	struct stat st;

	snprintf(made, sizeof made, "%s/run", folder->path);
	setenv("SOLE_RUNTIME_DIR", made, 1);
	setenv("XDG_RUNTIME_DIR", folder->path, 1);
	snprintf(expected, sizeof expected, "%s/seed.sock", made);
	assert_int_equal(rundir_find("seed", ".sock", path, error), EX_UNAVAILABLE);
	assert_string_equal(path, expected);
	assert_non_null(strstr(error, expected));
	mode_t before = umask(0);
	assert_int_equal(rundir_claim("seed", ".sock", path, error), 0);
	umask(before);
	assert_string_equal(path, expected);
	assert_int_equal(stat(made, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	make_file(made, "seed.sock");
	assert_int_equal(rundir_find("seed", ".sock", path, error), 0);
	assert_string_equal(path, expected);
	assert_int_equal(rundir_claim("seed", ".sock", path, error), 0); /* it may be there */
}

static void the_first_folder_that_holds_the_file_is_taken(void **state)
{
	const struct folder *folder = *state;
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX], dir[72], name[24], expected[RUNDIR_PATH_MAX];

	setenv("XDG_RUNTIME_DIR", folder->path, 1);
	snprintf(dir, sizeof dir, "%s/sole", folder->path);
	snprintf(name, sizeof name, "unit-%d", (int)getpid());
	snprintf(expected, sizeof expected, "%s/%s.sock", dir, name);
	/* No folder of this machine holds that: told is the one an owner of this user would take. */
	assert_int_equal(rundir_find(name, ".sock", path, error), EX_UNAVAILABLE);
	if (geteuid() == 0)
		assert_non_null(strstr(path, "/run/sole/unit-"));
	else
		assert_string_equal(path, expected);
	assert_int_equal(mkdir(dir, 0700), 0);
	strcat(strcpy(path, name), ".sock");
	make_file(dir, path);
	assert_int_equal(rundir_find(name, ".sock", path, error), 0);
	assert_string_equal(path, expected);
	setenv("XDG_RUNTIME_DIR", "relative/is-not-valid", 1);
	assert_int_equal(rundir_find(name, ".sock", path, error), EX_UNAVAILABLE);
	assert_null(strstr(path, "relative"));
}

static void a_path_that_is_too_long_is_an_error_and_not_cut(void **state)
{
	(void)state;
	char path[RUNDIR_PATH_MAX] = "", error[RUNDIR_ERROR_MAX], dir[RUNDIR_PATH_MAX];

	/* "DIR/n.sock": 7 bytes behind DIR, 107 is the most. */
	memset(dir, 'd', sizeof dir);
	dir[0] = '/';
	dir[100] = '\0';
	setenv("SOLE_RUNTIME_DIR", dir, 1);
	assert_int_equal(rundir_find("n", ".sock", path, error), EX_UNAVAILABLE);
	assert_int_equal(strlen(path), 107);
	dir[100] = 'd';
	dir[101] = '\0';
	setenv("SOLE_RUNTIME_DIR", dir, 1);
	assert_int_equal(rundir_find("n", ".sock", path, error), EX_CONFIG);
	assert_non_null(strstr(error, "108 bytes and the limit is 107"));
	assert_non_null(strstr(error, "SOLE_RUNTIME_DIR"));
}

static void a_folder_that_cannot_be_made_is_told_with_the_cause(void **state)
{
	const struct folder *folder = *state;
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX], dir[96];

	snprintf(dir, sizeof dir, "%s/not/there", folder->path);
	setenv("SOLE_RUNTIME_DIR", dir, 1);
	assert_int_equal(rundir_claim("seed", ".sock", path, error), EX_CANTCREAT);
	assert_non_null(strstr(error, dir));
	assert_non_null(strstr(error, strerror(ENOENT)));
}

static void the_only_owner_needs_no_name(void **state)
{
	const struct folder *folder = *state;
	char name[RUNDIR_NAME_MAX + 1], error[RUNDIR_ERROR_MAX];

	setenv("SOLE_RUNTIME_DIR", folder->path, 1);
	assert_int_equal(rundir_single(".sock", name, error), EX_UNAVAILABLE);
	make_file(folder->path, "one.sock");
	make_file(folder->path, "one.lock");
	make_file(folder->path, ".sock");
	make_file(folder->path, "..sock");
	make_file(folder->path, "a b.sock");
	make_file(folder->path, "sock");
	assert_int_equal(rundir_single(".sock", name, error), 0);
	assert_string_equal(name, "one");
	make_file(folder->path, "two.sock");
	assert_int_equal(rundir_single(".sock", name, error), EX_USAGE);
	assert_non_null(strstr(error, "one"));
	assert_non_null(strstr(error, "two"));
}

static void count_found(const char *name, const char *folder, void *context)
{
	char **wanted = context;

	assert_string_equal(folder, wanted[0]);
	if (strcmp(name, wanted[1]) == 0)
		wanted[1][0] = '\0'; /* seen */
}

static void every_name_in_the_folders_is_found(void **state)
{
	const struct folder *folder = *state;
	char path[RUNDIR_FOLDER_MAX], error[RUNDIR_ERROR_MAX], one[] = "one", mine[512];
	char *wanted[] = { mine, one };

	snprintf(mine, sizeof mine, "%s", folder->path);
	setenv("SOLE_RUNTIME_DIR", folder->path, 1);
	make_file(folder->path, "one.sock");
	make_file(folder->path, "two.sock");
	rundir_each(".sock", count_found, wanted);
	assert_string_equal(one, "");
	assert_int_equal(rundir_folder(0, path, error), 0);
	assert_string_equal(path, folder->path);
	assert_int_equal(rundir_folder(1, path, error), -1);
	unsetenv("SOLE_RUNTIME_DIR");
	setenv("XDG_RUNTIME_DIR", "/xdg", 1);
	assert_int_equal(rundir_folder(0, path, error), 0);
	assert_string_equal(path, "/xdg/sole");
	unsetenv("XDG_RUNTIME_DIR");
}

/* As a user of its own, whose folder in /tmp is this test's: 0, or the line that failed. */
#define CHILD_CHECK(condition)                     \
	do {                                       \
		if (!(condition))                  \
			return __LINE__ % 250 + 1; \
	} while (0)

static int distrust_what_stands_in_tmp(const char *mine, const char *elsewhere)
{
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX], expected[RUNDIR_PATH_MAX];
	struct stat st;

	snprintf(expected, sizeof expected, "%s/seed.unit", mine);
	CHILD_CHECK(mkdir(elsewhere, 0700) == 0);
	CHILD_CHECK(symlink(elsewhere, mine) == 0);
	CHILD_CHECK(rundir_claim("seed", ".unit", path, error) == EX_NOPERM);
	CHILD_CHECK(strstr(error, mine) != NULL);
	CHILD_CHECK(rundir_find("seed", ".unit", path, error) == EX_NOPERM);
	CHILD_CHECK(unlink(mine) == 0);

	CHILD_CHECK(mkdir(mine, 0700) == 0 && chmod(mine, 0750) == 0);
	CHILD_CHECK(rundir_claim("seed", ".unit", path, error) == EX_NOPERM);
	CHILD_CHECK(rundir_find("seed", ".unit", path, error) == EX_NOPERM);
	CHILD_CHECK(rmdir(mine) == 0);

	CHILD_CHECK(rundir_claim("seed", ".unit", path, error) == 0);
	CHILD_CHECK(strcmp(path, expected) == 0);
	CHILD_CHECK(lstat(mine, &st) == 0 && (st.st_mode & 07777) == 0700);
	CHILD_CHECK(rundir_find("seed", ".unit", path, error) == EX_UNAVAILABLE);
	return 0;
}

static void a_folder_in_tmp_must_be_ours_and_closed(void **state)
{
	const struct folder *folder = *state;
	char mine[64], elsewhere[96];
	struct stat st;

	if (geteuid() != 0) {
		/* Needs another user; the folder in /tmp of this one may be in use. Not cmocka's skip(),
		 * which prove takes for a failure. */
		print_message("# not as root: not looked at\n");
		return;
	}
	uid_t uid = (uid_t)(100000 + getpid());
	snprintf(mine, sizeof mine, "/tmp/sole-%u", (unsigned)uid);
	snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder->path);
	assert_int_equal(chmod(folder->path, 0777), 0);
	assert_int_equal(lstat(mine, &st), -1);
	pid_t pid = fork();
	if (pid == 0)
		_exit(setgid((gid_t)uid) != 0 || setuid(uid) != 0 ?
			      1 :
			      distrust_what_stands_in_tmp(mine, elsewhere));
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* What belongs to somebody else, here root, is no better. */
	if (lstat(mine, &st) == 0)
		assert_int_equal(S_ISDIR(st.st_mode) ? chown(mine, 0, 0) : 0, 0);
	pid_t second = fork();
	if (second == 0) {
		char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX];
		if (setgid((gid_t)uid) != 0 || setuid(uid) != 0)
			_exit(1);
		int refused = rundir_claim("seed", ".unit", path, error);
		_exit(refused == EX_NOPERM && strstr(error, "belongs to this user") != NULL ? 0 : 2);
	}
	int second_status = -1;
	assert_int_equal(waitpid(second, &second_status, 0), second);
	if (rmdir(mine) != 0)
		unlink(mine);
	assert_int_equal(status, 0);
	assert_int_equal(second_status, 0);
}

/* ---- options ---- */

static void options_are_set_by_name_and_checked(void **state)
{
	(void)state;
	bool flag = false;
	const char *text = "before";
	int64_t wait_ns = 1, size = 2, number = 3, mode = 4, free_number = 5;
	const struct option_spec specs[] = {
		{ "flag", 'f', OPTION_FLAG, &flag, 0, 0, NULL, "a flag" },
		{ "text", 0, OPTION_TEXT, &text, 0, 0, "TEXT", "a text" },
		{ "wait", 0, OPTION_DURATION, &wait_ns, 1000, 5000000000, "TIME", "a time" },
		{ "size", 0, OPTION_SIZE, &size, 4096, 1 << 20, "SIZE", "a size" },
		{ "number", 0, OPTION_INTEGER, &number, 1, 10, "N", "a number" },
		{ "free", 0, OPTION_INTEGER, &free_number, 0, 0, "N", "a number without a range" },
		{ "mode", 0, OPTION_MODE, &mode, 0, 0777, "MODE", "bits" },
	};
	const struct program program = { .name = "unit",
					 .options = specs,
					 .option_count = sizeof specs / sizeof *specs };
	static const struct {
		const char *name, *value;
	} good[] = {
		{ "flag", "yes" },  { "text", "after" }, { "wait", "5s" },   { "size", "4KiB" },
		{ "number", "10" }, { "free", "-5" },	 { "mode", "0640" },
	};
	static const struct {
		const char *name, *value, *told;
	} bad[] = {
		{ "flag", "maybe", "flag: 'maybe' is not yes or no" },
		{ "wait", "soon", "wait: 'soon' is not a time" },
		{ "wait", "999ns", "give 1000 to 5000000000 nanoseconds" },
		{ "wait", "6s", "out of range" },
		{ "size", "4095", "give 4096 to 1048576 bytes" },
		{ "size", "2MiB", "out of range" },
		{ "number", "11", "give 1 to 10" },
		{ "number", "0", "give 1 to 10" },
		{ "number", "ten", "number: 'ten' is not" },
		{ "mode", "0800", "octal" },
		{ "mode", "01000", "octal" },
		{ "mode", "-1", "octal" },
		{ "mode", "", "octal" },
		{ "mode", "0640 ", "octal" },
		{ "nothing", "1", "'nothing' is not a setting of unit: its --help-all lists them" },
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_null(options_set(&program, good[i].name, good[i].value));
	for (int again = 0; again < 2; again++) {
		assert_true(flag);
		assert_string_equal(text, "after");
		assert_true(wait_ns == 5000000000 && size == 4096 && number == 10 && free_number == -5 &&
			    mode == 0640);
		for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
			const char *problem = options_set(&program, bad[i].name, bad[i].value);
			if (problem == NULL || strstr(problem, bad[i].told) == NULL)
				fail_msg("%s = '%s': %s", bad[i].name, bad[i].value, problem);
		}
	}
	assert_null(options_set(&program, "flag", "no"));
	assert_false(flag);
	/* However long the value, the sentence stays one. */
	char longest[5000];
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	assert_true(strlen(options_set(&program, "wait", longest)) < 256);
	assert_true(strlen(options_set(&program, longest, "1")) < 256);
}

static void options_are_parsed_around_operands(void **state)
{
	(void)state;
	bool flag = false;
	int64_t number = 3;
	const struct option_spec specs[] = {
		{ "flag", 'f', OPTION_FLAG, &flag, 0, 0, NULL, "a flag" },
		{ "number", 'n', OPTION_INTEGER, &number, 1, 10, "N", "a number" },
	};
	const struct program program = { .name = "unit", .options = specs, .option_count = 2 };
	char words[6][16] = { "unit", "operand", "-n", "7", "--flag", "more" };
	char *argv[] = { words[0], words[1], words[2], words[3], words[4], words[5], NULL };

	int first = options_parse(&program, 6, argv, 0);
	assert_int_equal(first, 4);
	assert_string_equal(argv[first], "operand");
	assert_string_equal(argv[first + 1], "more");
	assert_true(flag);
	assert_int_equal(number, 7);

	char *again[] = { words[0], words[1], words[2], words[3], NULL };
	flag = false;
	number = 3;
	assert_int_equal(options_parse(&program, 4, again, 1), 1); /* what stands behind is the operand's */
	assert_int_equal(number, 3);
}

static char *wrapped(int column, int indent, const char *text)
{
	char *out = NULL;
	size_t size;
	FILE *stream = open_memstream(&out, &size);

	assert_non_null(stream);
	options_wrap(stream, column, indent, text);
	fclose(stream);
	return out;
}

static void text_is_broken_at_blanks(void **state)
{
	char word[200], expected[300];

	(void)state;
	memset(word, 'x', 79);
	snprintf(word + 79, sizeof word - 79, " y");
	snprintf(expected, sizeof expected, "%.79s\n  y", word);
	char *text = wrapped(0, 2, word);
	assert_string_equal(text, expected);
	free(text);
	text = wrapped(76, 4, "ab c  d");
	assert_string_equal(text, "ab\n    c d");
	free(text);
	text = wrapped(3, 3, "");
	assert_string_equal(text, "");
	free(text);
}

/* ---- log ---- */

static jmp_buf back;

static void come_back(int status)
{
	longjmp(back, status);
}

static void say_nothing(const char *line, size_t bytes)
{
	(void)line, (void)bytes;
}

static void a_cause_says_what_to_do(void **state)
{
	(void)state;
	assert_non_null(strstr(log_cause(EMFILE), strerror(EMFILE)));
	assert_non_null(strstr(log_cause(EMFILE), ": raise the limit"));
	assert_string_equal(log_cause(EPROTO), strerror(EPROTO));
}

static void what_is_fatal_may_be_left_for(void **state)
{
	(void)state;
	log_redirect(say_nothing);
	log_on_leave(come_back);
	int status = setjmp(back);
	if (status == 0)
		fatal(EX_USAGE, "to be told");
	log_on_leave(NULL);
	log_redirect(NULL);
	assert_int_equal(status, EX_USAGE);
}

/* ---- notify ---- */

static int listen_at(const struct sockaddr_un *address, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)address, size), 0);
	return fd;
}

static void assert_received(int fd, const char *expected)
{
	char text[2048];
	ssize_t size = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

	assert_int_equal(size, strlen(expected));
	text[size] = '\0';
	assert_string_equal(text, expected);
}

static void a_notice_reaches_the_socket_it_is_for(void **state)
{
	const struct folder *folder = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[64], many[2000];

	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify("READY=1"), 0); /* nobody to tell */
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify("READY=1"), 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder->path);
	int fd = listen_at(&address, sizeof address);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	assert_int_equal(notify("READY=1\nSTATUS=%s %d", "serving", 7), 0);
	assert_received(fd, "READY=1\nSTATUS=serving 7");
	memset(many, 'x', sizeof many);
	many[sizeof many - 1] = '\0';
	assert_int_equal(notify("STATUS=%s", many), -1); /* never cut in the middle of a line */
	assert_int_equal(errno, EMSGSIZE);
	close(fd);
	assert_int_equal(notify("READY=1"), -1);
	assert_int_equal(errno, ECONNREFUSED);

	struct sockaddr_un abstract = { .sun_family = AF_UNIX };
	int length = snprintf(name, sizeof name, "@sole-unit-%ld", (long)getpid());
	memcpy(abstract.sun_path, name, (size_t)length);
	abstract.sun_path[0] = '\0';
	fd = listen_at(&abstract, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length));
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify("WATCHDOG=1"), 0);
	assert_received(fd, "WATCHDOG=1");
	close(fd);

	many[200] = '\0';
	many[0] = '/';
	setenv("NOTIFY_SOCKET", many, 1);
	assert_int_equal(notify("READY=1"), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	unsetenv("NOTIFY_SOCKET");
}

static void a_supervisor_that_does_not_read_hangs_nobody(void **state)
{
	const struct folder *folder = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timespec before, after;

	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder->path);
	int fd = listen_at(&address, sizeof address);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	int sent = 0;
	clock_gettime(CLOCK_MONOTONIC, &before);
	while (sent < 100000 && notify("WATCHDOG=1") == 0)
		sent++;
	assert_int_equal(errno, EAGAIN);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 30);
	close(fd);
	unsetenv("NOTIFY_SOCKET");
}

static void the_watchdog_is_for_the_process_it_names(void **state)
{
	(void)state;
	char pid[32];

	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_USEC", "1500000", 1);
	assert_int_equal(notify_watchdog_ns(), 1500000000);
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ns(), 1500000000);
	snprintf(pid, sizeof pid, "%ld", (long)getppid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_PID", "junk", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	unsetenv("WATCHDOG_PID");
	static const char *const bad[] = { "", "0", "-1", "1s", "9223372036854775807" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("WATCHDOG_USEC", bad[i], 1);
		assert_int_equal(notify_watchdog_ns(), 0);
	}
	unsetenv("WATCHDOG_USEC");
}

static int take_listening_descriptors(void)
{
	char pid[32];

	unsetenv("LISTEN_PID");
	setenv("LISTEN_FDS", "2", 1);
	CHILD_CHECK(notify_listen_fds() == 0); /* for whom? */
	setenv("LISTEN_PID", "1", 1);
	CHILD_CHECK(notify_listen_fds() == 0);
	CHILD_CHECK(getenv("LISTEN_FDS") == NULL);

	int ends[2];
	CHILD_CHECK(pipe(ends) == 0);
	for (int fd = 3; fd <= 4; fd++)
		if (ends[0] != fd)
			CHILD_CHECK(dup2(ends[0], fd) == fd);
	CHILD_CHECK(fcntl(3, F_SETFD, 0) == 0 && fcntl(4, F_SETFD, 0) == 0);
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	static const char *const bad[] = { "0", "-1", "65", "2 ", "" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", bad[i], 1);
		CHILD_CHECK(notify_listen_fds() == 0);
		CHILD_CHECK(fcntl(3, F_GETFD) == 0);
	}
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "a:b", 1);
	CHILD_CHECK(notify_listen_fds() == 2);
	CHILD_CHECK(fcntl(3, F_GETFD) == FD_CLOEXEC && fcntl(4, F_GETFD) == FD_CLOEXEC);
	CHILD_CHECK(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL &&
		    getenv("LISTEN_FDNAMES") == NULL);
	CHILD_CHECK(notify_listen_fds() == 0);
	return 0;
}

static void listening_descriptors_are_taken_once(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0)
		_exit(take_listening_descriptors());
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- lockfile ---- */

static void a_lock_is_held_by_one_and_tells_by_whom(void **state)
{
	const struct folder *folder = *state;
	char path[96], error[LOCKFILE_ERROR_MAX];
	pid_t holder;
	int first, second;

	snprintf(path, sizeof path, "%s/a.lock", folder->path);
	assert_int_equal(lockfile_take(path, &first, &holder, error), 0);
	assert_int_equal(lockfile_take(path, &second, &holder, error), EX_UNAVAILABLE);
	assert_int_equal(holder, getpid());
	unlink(path); /* its holder leaves: the file goes before the lock does */
	assert_int_equal(lockfile_take(path, &second, &holder, error), 0);
	close(first);
	close(second);
	assert_int_equal(lockfile_take(path, &first, &holder, error), 0);
	close(first);
	assert_int_equal(lockfile_take("/nonexistent/a.lock", &first, &holder, error), EX_CANTCREAT);
	assert_non_null(strstr(error, "/nonexistent/a.lock"));
	assert_int_equal(holder, 0);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(names_are_letters_digits_and_three_marks),
	IN_FOLDER(a_folder_that_is_set_is_the_only_one),
	IN_FOLDER(the_first_folder_that_holds_the_file_is_taken),
	IN_FOLDER(a_path_that_is_too_long_is_an_error_and_not_cut),
	IN_FOLDER(a_folder_that_cannot_be_made_is_told_with_the_cause),
	IN_FOLDER(the_only_owner_needs_no_name),
	IN_FOLDER(every_name_in_the_folders_is_found),
	IN_FOLDER(a_folder_in_tmp_must_be_ours_and_closed),
	IN_FOLDER(a_lock_is_held_by_one_and_tells_by_whom),
	cmocka_unit_test(options_are_set_by_name_and_checked),
	cmocka_unit_test(options_are_parsed_around_operands),
	cmocka_unit_test(text_is_broken_at_blanks),
	cmocka_unit_test(a_cause_says_what_to_do),
	cmocka_unit_test(what_is_fatal_may_be_left_for),
	IN_FOLDER(a_notice_reaches_the_socket_it_is_for),
	IN_FOLDER(a_supervisor_that_does_not_read_hangs_nobody),
	cmocka_unit_test(the_watchdog_is_for_the_process_it_names),
	cmocka_unit_test(listening_descriptors_are_taken_once),
};

UNIT_MAIN(tests)
