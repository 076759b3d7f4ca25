/* SPDX-License-Identifier: MIT
 *
 * The folder of a state: the real disk and the one in memory do the same, who may have the
 * folder, and a journal in it whose spares come from another thread.
 */
#include "owner/state/folder.h"
#include "owner/state/journal.h"
#include "tests/lib/memory_disk.h"
#include "tests/lib/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

struct place {
	char above[64], path[80], error[FOLDER_ERROR_MAX];
	struct folder folder;
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof *place);

	assert_non_null(place);
	strcpy(place->above, "/tmp/sole-test-XXXXXX");
	assert_non_null(mkdtemp(place->above));
	snprintf(place->path, sizeof place->path, "%s/state", place->above);
	place->folder = (struct folder){ .descriptor = -1, .lock = -1 };
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	struct dirent *entry;

	folder_close(&place->folder);
	DIR *listing = opendir(place->path);
	while (listing != NULL && (entry = readdir(listing)) != NULL)
		unlinkat(dirfd(listing), entry->d_name, 0);
	if (listing != NULL)
		closedir(listing);
	rmdir(place->path);
	unlink(place->path);
	assert_int_equal(rmdir(place->above), 0);
	free(place);
	return 0;
}

static void opens(struct place *place, unsigned use)
{
	if (folder_open(&place->folder, place->path, use, place->error) != 0)
		fail_msg("%s", place->error);
}

static void is_refused(struct place *place, unsigned use, int status, const char *why)
{
	assert_int_equal(folder_open(&place->folder, place->path, use, place->error), status);
	assert_int_equal(place->folder.descriptor, -1);
	assert_int_equal(place->folder.lock, -1);
	if (strstr(place->error, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", place->error, why);
	assert_null(strchr(place->error, '\n'));
}

enum { EVERYTHING = FOLDER_MAKE | FOLDER_LOCK | FOLDER_WRITE };

/* ---- the disk ---- */

static void count_found(void *argument, const char *name)
{
	unsigned *found = argument;

	*found += strcmp(name, "one") == 0 || strcmp(name, "two") == 0 ? 1 : strcmp(name, "lock") == 0 ? 0 : 100;
}

/* What every disk does. */
static void a_disk(const struct disk *disk)
{
	void *at = disk->context;
	unsigned found = 0;
	char text[16];

	assert_int_equal(disk->open(at, "one", DISK_READ), -ENOENT);
	assert_int_equal(disk->open(at, "one", DISK_WRITE), -ENOENT);
	int one = disk->open(at, "one", DISK_CREATE);
	assert_true(one >= 0);
	assert_int_equal(disk->open(at, "one", DISK_CREATE), -EEXIST);
	assert_int_equal(disk_write_all(disk, one, "hello", 5, 3), 0);
	assert_int_equal(disk->size(at, one), 8);
	assert_int_equal(disk->read(at, one, text, sizeof text, 0), 8);
	assert_memory_equal(text, "\0\0\0hello", 8);
	assert_int_equal(disk->read(at, one, text, sizeof text, 8), 0);
	assert_int_equal(disk->read(at, one, text, sizeof text, 100), 0);
	assert_int_equal(disk_read_all(disk, one, text, 9, 0), -EIO);
	assert_int_equal(disk_read_all(disk, one, text, 5, 3), 0);
	assert_int_equal(disk->sync(at, one), 0);
	int two = disk->open(at, "two", DISK_CREATE);
	assert_int_equal(disk_write_all(disk, two, "2", 1, 0), 0);
	disk->close(at, two);
	assert_int_equal(disk->list(at, count_found, &found), 0);
	assert_int_equal(found, 2);
	/* Over the other, which is still read by who has it open. */
	assert_int_equal(disk->rename(at, "two", "one"), 0);
	assert_int_equal(disk->size(at, one), 8);
	int now = disk->open(at, "one", DISK_WRITE);
	assert_int_equal(disk->size(at, now), 1);
	disk->close(at, now);
	disk->close(at, one);
	assert_int_equal(disk->rename(at, "two", "one"), -ENOENT);
	assert_int_equal(disk->remove(at, "one"), 0);
	assert_int_equal(disk->remove(at, "one"), -ENOENT);
	assert_int_equal(disk->sync_folder(at), 0);
	found = 0;
	assert_int_equal(disk->list(at, count_found, &found), 0);
	assert_int_equal(found, 0);
}

static void the_real_disk_and_the_one_in_memory_do_the_same(void **state)
{
	struct place *place = *state;
	struct memory_disk *memory = memory_disk_new(1);

	opens(place, EVERYTHING);
	a_disk(&place->folder.disk);
	a_disk(memory_disk_seam(memory));
	memory_disk_free(memory);
}

static void only_plain_files_of_the_folder_are_opened(void **state)
{
	struct place *place = *state;

	opens(place, EVERYTHING);
	const struct disk *disk = &place->folder.disk;
	int folder = place->folder.descriptor;
	assert_int_equal(symlinkat("/etc/passwd", folder, "link"), 0);
	assert_int_equal(mkfifoat(folder, "pipe", 0600), 0);
	assert_int_equal(disk->open(disk->context, "link", DISK_READ), -ELOOP);
	assert_int_equal(disk->open(disk->context, "pipe", DISK_READ), -EINVAL);
	assert_int_equal(disk->open(disk->context, ".", DISK_READ), -EISDIR);
}

static void files_are_for_their_owner_and_close_on_exec(void **state)
{
	struct place *place = *state;
	struct stat st;

	mode_t before = umask(0);
	opens(place, EVERYTHING);
	const struct disk *disk = &place->folder.disk;
	int file = disk->open(disk->context, "one", DISK_CREATE);
	umask(before);
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstat(place->folder.descriptor, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(fcntl(file, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(place->folder.descriptor, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(place->folder.lock, F_GETFD) & FD_CLOEXEC);
	disk->close(disk->context, file);
}

/* ---- who may have it ---- */

static void a_second_owner_is_told_who_has_the_folder(void **state)
{
	struct place *place = *state;
	int ready[2];
	char byte, name[32];

	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		if (folder_open(&place->folder, place->path, EVERYTHING, place->error) == 0 &&
		    write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	snprintf(name, sizeof name, "process %ld:", (long)child);
	is_refused(place, EVERYTHING, EX_UNAVAILABLE, name);
	is_refused(place, FOLDER_LOCK, EX_UNAVAILABLE, name);
	opens(place, FOLDER_LOOK);
	folder_close(&place->folder);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	opens(place, EVERYTHING);
	close(ready[0]);
	close(ready[1]);
}

static void looking_leaves_nothing_behind(void **state)
{
	struct place *place = *state;
	unsigned found = 0;

	is_refused(place, FOLDER_LOOK, EX_NOINPUT, "No such file");
	is_refused(place, FOLDER_LOCK | FOLDER_WRITE, EX_NOINPUT, "No such file");
	assert_int_equal(mkdir(place->path, 0700), 0);
	opens(place, FOLDER_LOOK | FOLDER_LOCK);
	assert_int_equal(place->folder.disk.list(&place->folder, count_found, &found), 0);
	assert_int_equal(found, 0);
	assert_int_equal(faccessat(place->folder.descriptor, "lock", F_OK, 0), -1);
}

static void a_folder_that_others_can_write_is_refused(void **state)
{
	struct place *place = *state;

	assert_int_equal(mkdir(place->path, 0700), 0);
	assert_int_equal(chmod(place->path, 0770), 0);
	is_refused(place, EVERYTHING, EX_NOPERM, "chmod go-w");
	assert_int_equal(chmod(place->path, 0702), 0);
	is_refused(place, EVERYTHING, EX_NOPERM, "(mode 0702)");
	opens(place, FOLDER_LOOK);
	folder_close(&place->folder);
	assert_int_equal(chmod(place->path, 0755), 0);
	opens(place, EVERYTHING);
	folder_close(&place->folder);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(place->path, 12345, 12345), 0);
	is_refused(place, EVERYTHING, EX_NOPERM, "belongs to user 12345");
}

static void what_is_no_folder_is_refused(void **state)
{
	struct place *place = *state;
	char deep[128];

	close(open(place->path, O_CREAT | O_WRONLY, 0600));
	is_refused(place, EVERYTHING, EX_DATAERR, "Not a directory");
	assert_int_equal(unlink(place->path), 0);
	snprintf(deep, sizeof deep, "%s/not/there", place->above);
	assert_int_equal(folder_open(&place->folder, deep, EVERYTHING, place->error), EX_CANTCREAT);
	assert_non_null(strstr(place->error, "make the one above it first"));
	/* A link to a folder is one. */
	assert_int_equal(symlink(place->above, place->path), 0);
	opens(place, FOLDER_LOOK);
}

/* ---- a journal in it ---- */

struct spares {
	struct journal *journal;
	atomic_bool done;
	unsigned made;
};

static void *make_spares(void *argument)
{
	struct spares *spares = argument;

	while (!atomic_load(&spares->done)) {
		assert_int_equal(journal_make_spare(spares->journal), 0);
		spares->made++;
		sched_yield();
	}
	return NULL;
}

static void a_journal_takes_its_spares_from_another_thread(void **state)
{
	struct place *place = *state;
	const struct journal_settings settings = {
		.disk = &place->folder.disk, .history = 1, .segment_bytes = JOURNAL_SEGMENT_LEAST
	};
	struct journal_fault fault;
	struct journal_end end = { .round = 1 };
	static uint8_t records[6000];
	pthread_t thread;
	struct round round = { .number = 1, .records = records, .size = sizeof records };

	opens(place, EVERYTHING);
	struct spares spares = { .journal = journal_open(&settings, &end, &fault) };
	assert_non_null(spares.journal);
	assert_int_equal(pthread_create(&thread, NULL, make_spares, &spares), 0);
	for (; round.number <= 200; round.number++) {
		memset(records, (int)round.number, sizeof records);
		assert_int_equal(journal_append(spares.journal, &round, &fault), 0);
		assert_int_equal(journal_sync(spares.journal, &fault), 0);
	}
	atomic_store(&spares.done, true);
	pthread_join(thread, NULL);
	journal_close(&spares.journal);
	struct journal_reader *reader = journal_reader_new(&place->folder.disk, 1, 1, &fault);
	enum journal_result result;
	uint64_t number = 0;
	while ((result = journal_read(reader, &round, &end, &fault)) == JOURNAL_ROUND) {
		assert_int_equal(round.number, ++number);
		assert_int_equal(round.records[0], (uint8_t)number);
	}
	assert_int_equal(result, JOURNAL_ENDED);
	assert_int_equal(number, 200);
	journal_reader_destroy(&reader);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static const struct CMUnitTest tests[] = {
	IN_A_FOLDER(the_real_disk_and_the_one_in_memory_do_the_same),
	IN_A_FOLDER(only_plain_files_of_the_folder_are_opened),
	IN_A_FOLDER(files_are_for_their_owner_and_close_on_exec),
	IN_A_FOLDER(a_second_owner_is_told_who_has_the_folder),
	IN_A_FOLDER(looking_leaves_nothing_behind),
	IN_A_FOLDER(a_folder_that_others_can_write_is_refused),
	IN_A_FOLDER(what_is_no_folder_is_refused),
	IN_A_FOLDER(a_journal_takes_its_spares_from_another_thread),
};

UNIT_MAIN(tests)
