/* SPDX-License-Identifier: MIT
 *
 * What an owner's shell does to look back: a child that writes a snapshot, backups that are fetched from what
 * it has written, and a thread that looks through a real journal for what became of commands.
 */
#include "tests/lib/outlet.h"

#include "owner/state/backups.h"
#include "owner/state/folder.h"
#include "owner/state/journal.h"
#include "owner/state/lookback.h"
#include "owner/state/outcomes.h"
#include "owner/state/snapshot_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 20000, C1 = 1, C2 = 2, ROUNDS_MAX = 64 };

struct bench {
	struct rig *rig;
	struct folder folder;
	char path[64];
	struct buffer records;
	struct journal *journal;
	uint64_t round;
};

static int limit_ms(void)
{
	const char *factor = getenv("SOLE_TIME_FACTOR");

	return LIMIT_MS * (factor != NULL ? atoi(factor) : 1);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof *b);
	char error[FOLDER_ERROR_MAX];

	assert_non_null(b);
	strcpy(b->path, "/tmp/sole-test-XXXXXX");
	assert_non_null(mkdtemp(b->path));
	assert_int_equal(folder_open(&b->folder, b->path, FOLDER_LOCK | FOLDER_WRITE, error), 0);
	b->rig = rig_new();
	assert_true(rig_start(b->rig, &table_behaviour, 1));
	*state = b;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	journal_close(&b->journal);
	rig_free(b->rig);
	buffer_clear(&b->records);
	folder_close(&b->folder);
	assert_int_equal(nftw(b->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(b);
	/* Whatever was begun has been reaped. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

#define ON_A_BENCH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void fill(struct bench *b, unsigned entries, size_t value_bytes)
{
	for (unsigned i = 0; i < entries; i += 50) {
		rig_message(b->rig, &alice, true);
		for (unsigned k = i; k < entries && k < i + 50; k++) {
			char key[32];
			snprintf(key, sizeof key, "key-%06u", k);
			rig_query(b->rig, 0, 1);
			b->rig->bodies[b->rig->count - 1].data[b->rig->item_start + 5] = 0; /* no query, no session */
			rig_put(b->rig, key, *rig_big(value_bytes));
		}
		rig_round(b->rig);
		rig_is(b->rig, 0, ITEM_RUN, CODE_OK);
	}
}

static bool wait_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, limit_ms()) == 1;
}

/* ---- a snapshot in a file ---- */

struct source {
	int file;
};

static ssize_t read_source(void *context, void *bytes, size_t size)
{
	const struct source *source = context;
	size_t got = 0;
	ssize_t n = 1;

	while (got < size && (n = read(source->file, (char *)bytes + got, size - got)) > 0)
		got += (size_t)n;
	return n < 0 ? -errno : (ssize_t)got;
}

/* Reads it to its end: sound, and of this state? */
static bool is_snapshot_of(int file, uint64_t digest)
{
	struct source source = { .file = file };
	const struct snapshot_source from = { .context = &source, .read = read_source };
	struct snapshot_head head;
	char why[256] = "";

	if (!snapshot_read(&from, &head, NULL, NULL, NULL, why, sizeof why))
		fail_msg("%s", why);
	return head.digest == digest && head.history == 0x5678 && head.incarnation == 0x1234;
}

static const struct snapshot_head head = { .history = 0x5678, .incarnation = 0x1234, .written_us = 1 };

static int wait_child(struct snapshot_child *child)
{
	int error = -1;

	assert_true(wait_readable(child->pidfd));
	assert_true(snapshot_child_ended(child, &error));
	assert_int_equal(child->pid, 0);
	assert_int_equal(child->pidfd, -1);
	assert_false(snapshot_child_ended(child, &error));
	return error;
}

static struct snapshot_job job_of(struct bench *b, int file)
{
	return (struct snapshot_job){ .core = service_core(b->rig->service), .head = &head, .file = file, .folder = -1 };
}

static void a_child_writes_syncs_and_names_a_snapshot(void **state)
{
	struct bench *b = *state;
	struct snapshot_child child;

	fill(b, 100, 1000);
	int file = openat(b->folder.descriptor, "x.tmp", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct snapshot_job job = job_of(b, file);
	job.sync = true;
	job.folder = b->folder.descriptor;
	job.from = "x.tmp";
	job.to = "x";
	assert_int_equal(snapshot_child_start(&child, &job), 0);
	close(file);
	assert_int_equal(wait_child(&child), 0);
	assert_int_equal(faccessat(b->folder.descriptor, "x.tmp", F_OK, 0), -1);
	file = openat(b->folder.descriptor, "x", O_RDONLY | O_CLOEXEC);
	assert_true(file >= 0 && is_snapshot_of(file, rig_digest(b->rig)));
	close(file);
}

static void what_failed_in_the_child_is_told_by_its_errno(void **state)
{
	struct bench *b = *state;
	struct snapshot_child child;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	struct snapshot_job job = job_of(b, full);
	assert_int_equal(snapshot_child_start(&child, &job), 0);
	assert_int_equal(wait_child(&child), ENOSPC);
	close(full);

	int file = openat(b->folder.descriptor, "x.tmp", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(mkdirat(b->folder.descriptor, "taken", 0700), 0);
	job = job_of(b, file);
	job.folder = b->folder.descriptor;
	job.from = "x.tmp";
	job.to = "taken";
	assert_int_equal(snapshot_child_start(&child, &job), 0);
	assert_int_equal(wait_child(&child), EISDIR);
	assert_int_equal(snapshot_child_start(&child, &job), 0);
	kill(child.pid, SIGKILL);
	int error = wait_child(&child);
	assert_true(error == ECANCELED || error == EISDIR); /* it may have been quicker */
	close(file);
}

static unsigned descriptors_of(pid_t pid)
{
	char path[64];
	unsigned count = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count - 2;
}

/* The child has a pipe that nobody reads: it stands still in the middle. */
static void the_child_has_its_file_and_nothing_else_and_its_moment(void **state)
{
	struct bench *b = *state;
	struct snapshot_child child;
	int ends[2];

	fill(b, 1000, 1000);
	uint64_t digest = rig_digest(b->rig);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	struct snapshot_job job = job_of(b, ends[1]);
	assert_int_equal(snapshot_child_start(&child, &job), 0);
	close(ends[1]);
	assert_true(wait_readable(ends[0]));
	assert_int_equal(descriptors_of(child.pid), 1);
	fill(b, 50, 7); /* goes on meanwhile */
	assert_int_not_equal(rig_digest(b->rig), digest);
	assert_true(is_snapshot_of(ends[0], digest));
	assert_int_equal(wait_child(&child), 0);
	close(ends[0]);
}

static void the_child_dies_with_its_owner(void **state)
{
	struct bench *b = *state;
	int ends[2];

	fill(b, 1000, 1000);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t parent = getpid(), owner = fork();
	if (owner == 0) {
		struct snapshot_child child;
		struct snapshot_job job = job_of(b, ends[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || snapshot_child_start(&child, &job) != 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_true(wait_readable(ends[0]));
	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	/* Nobody reads on: a child that lived would stand still for ever, and the pipe have somebody who may write. */
	int64_t until_ns = clock_monotonic_ns() + limit_ms() * NS_PER_MS;
	struct pollfd end = { .fd = ends[0] };
	while (poll(&end, 1, 10) == 0)
		assert_true(clock_monotonic_ns() < until_ns);
	assert_true((end.revents & POLLHUP) != 0);
	close(ends[0]);
}

/* ---- backups ---- */

struct fetched {
	enum storage_result result;
	struct backup_part part;
	int error;
	bool began;
	uint8_t bytes[1000];
};

static int64_t most = 2, now_ns = 1000 * NS_PER_S;

static struct backups *backups_of(const struct bench *b, bool in_folder)
{
	const struct backups_settings settings = { .folder = in_folder ? b->folder.descriptor : -1,
						   .most = &most,
						   .history = 0x5678,
						   .incarnation = 0x1234 };
	struct backups *backups = backups_new(&settings);

	assert_non_null(backups);
	return backups;
}

static struct fetched fetch(struct bench *b, struct backups *backups, uint64_t connection, uint64_t id, uint64_t offset)
{
	struct fetched f = { 0 };

	f.result = backups_read(backups, service_core(b->rig->service), connection, id, offset, f.bytes, sizeof f.bytes,
				now_ns, &f.part, &f.began, &f.error);
	return f;
}

/* The same, waiting for what is not there yet. */
static struct fetched fetch_patiently(struct bench *b, struct backups *backups, uint64_t connection, uint64_t id,
				      uint64_t offset)
{
	int64_t until_ns = clock_monotonic_ns() + limit_ms() * NS_PER_MS;

	for (;;) {
		struct fetched f = fetch(b, backups, connection, id, offset);
		if (f.result != STORAGE_NOT_YET)
			return f;
		assert_true(clock_monotonic_ns() < until_ns);
		poll(NULL, 0, 1);
	}
}

/* Fetches all of it into a file. Returns how long it is. */
static uint64_t fetch_all(struct bench *b, struct backups *backups, uint64_t id, int file)
{
	uint64_t offset = 0;

	for (;;) {
		struct fetched f = fetch_patiently(b, backups, C1, id, offset);
		assert_int_equal(f.result, STORAGE_DONE);
		assert_int_equal(write(file, f.bytes, f.part.bytes), f.part.bytes);
		offset += f.part.bytes;
		if (f.part.bytes == 0) {
			assert_int_equal(f.part.size, offset);
			return offset;
		}
	}
}

/* Until all children have been reaped. */
static void settle(struct backups *backups)
{
	int64_t until_ns = clock_monotonic_ns() + limit_ms() * NS_PER_MS, next_ns;
	siginfo_t info;

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
		backups_tend(backups, now_ns, &next_ns);
		assert_true(clock_monotonic_ns() < until_ns);
		poll(NULL, 0, 1);
	}
}

static void parts_make_a_whole_in_the_folder_and_out_of_it(void **state)
{
	struct bench *b = *state;
	FILE *whole = tmpfile();

	assert_non_null(whole);
	fill(b, 300, 1000);
	for (int i = 0; i < 2; i++) {
		struct backups *backups = backups_of(b, i == 0);
		assert_int_equal(ftruncate(fileno(whole), 0), 0);
		lseek(fileno(whole), 0, SEEK_SET);
		assert_true(fetch_all(b, backups, 5, fileno(whole)) > 300000);
		lseek(fileno(whole), 0, SEEK_SET);
		assert_true(is_snapshot_of(fileno(whole), rig_digest(b->rig)));
		/* It is over: what stood behind its end is nowhere now. */
		assert_int_equal(fetch(b, backups, C1, 5, 300).result, STORAGE_NONE);
		backups_destroy(&backups);
	}
	fclose(whole);
	struct dirent *entry;
	DIR *folder = opendir(b->path);
	while ((entry = readdir(folder)) != NULL)
		assert_true(entry->d_name[0] == '.' || strcmp(entry->d_name, "lock") == 0);
	closedir(folder);
}

static void a_backup_is_of_its_connection_and_they_are_so_many(void **state)
{
	struct bench *b = *state;
	struct backups *backups = backups_of(b, true);

	assert_int_equal(fetch_patiently(b, backups, C1, 1, 0).result, STORAGE_DONE);
	assert_int_equal(fetch(b, backups, C2, 1, 10).result, STORAGE_NONE);
	assert_int_equal(fetch(b, backups, C1, 1, 1 << 20).result, STORAGE_NONE);
	assert_true(fetch(b, backups, C2, 1, 0).began);
	assert_false(fetch(b, backups, C2, 1, 0).began);
	assert_int_equal(fetch(b, backups, C1, 2, 0).result, STORAGE_FULL);
	backups_connection_ended(backups, C2);
	settle(backups);
	assert_true(fetch(b, backups, C1, 2, 0).began);
	assert_int_equal(fetch(b, backups, C1, 1, 1).result, STORAGE_DONE);
	backups_destroy(&backups);
}

static void an_idle_backup_ends(void **state)
{
	struct bench *b = *state;
	struct backups *backups = backups_of(b, false);
	int64_t next_ns;

	assert_int_equal(fetch_patiently(b, backups, C1, 1, 0).result, STORAGE_DONE);
	backups_tend(backups, now_ns + 59 * NS_PER_S, &next_ns);
	assert_int_equal(next_ns, now_ns + 60 * NS_PER_S);
	assert_int_equal(fetch(b, backups, C1, 1, 1).result, STORAGE_DONE);
	backups_tend(backups, now_ns + 60 * NS_PER_S, &next_ns);
	assert_int_equal(next_ns, INT64_MAX);
	assert_int_equal(fetch(b, backups, C1, 1, 1).result, STORAGE_NONE);
	backups_destroy(&backups);
}

static void a_backup_that_cannot_be_written_says_why(void **state)
{
	struct bench *b = *state;
	struct backups *backups = backups_of(b, true);
	struct rlimit before, small;

	fill(b, 1000, 1000);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = 300000;
	setrlimit(RLIMIT_FSIZE, &small);
	uint64_t offset = 0;
	struct fetched f;
	while ((f = fetch_patiently(b, backups, C1, 1, offset)).result == STORAGE_DONE)
		offset += f.part.bytes;
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(f.result, STORAGE_FAILED);
	assert_int_equal(f.error, EFBIG);
	assert_int_equal(fetch(b, backups, C1, 1, 100).result, STORAGE_NONE);
	backups_destroy(&backups);
}

static void ending_kills_what_still_writes(void **state)
{
	struct bench *b = *state;
	struct backups *backups = backups_of(b, true);

	fill(b, 1000, 10000);
	assert_true(fetch(b, backups, C1, 1, 0).began);
	assert_true(fetch(b, backups, C1, 2, 0).began);
	backups_connection_ended(backups, C1);
	assert_true(wait_readable(backups_descriptor(backups)));
	settle(backups);
	assert_true(fetch(b, backups, C1, 3, 0).began);
	backups_destroy(&backups);
}

/* ---- outcomes ---- */

static void keep_journal(struct bench *b)
{
	const struct journal_settings settings = { .disk = &b->folder.disk, .history = 0x5678,
						   .segment_bytes = JOURNAL_SEGMENT_LEAST };
	const struct journal_end start = { .round = 1 };
	struct journal_fault fault;

	core_record_to(service_core(b->rig->service), &b->records);
	b->journal = journal_open(&settings, &start, &fault);
	if (b->journal == NULL)
		fail_msg("%s", fault.text);
}

static void append(struct bench *b)
{
	struct core *core = service_core(b->rig->service);
	struct journal_fault fault;
	const struct round round = { .number = b->round + 1,
				     .time_us = b->rig->wall_us,
				     .revision = core_revision(core),
				     .count = core_take_record_count(core),
				     .records = b->records.data,
				     .size = b->records.size };

	if (round.count == 0)
		return;
	assert_int_equal(journal_append(b->journal, &round, &fault), 0);
	assert_int_equal(journal_sync(b->journal, &fault), 0);
	buffer_reset(&b->records);
	b->round++;
}

static void round_of(struct bench *b)
{
	rig_round(b->rig);
	append(b);
}

static uint64_t session_of(struct bench *b, uint64_t connection)
{
	uint64_t session = rig_session_by(b->rig, &alice, connection);

	append(b);
	return session;
}

static void put(struct bench *b, uint64_t session, uint64_t sequence, struct value value)
{
	rig_message(b->rig, &alice, true);
	rig_command(b->rig, session, sequence);
	rig_put(b->rig, "k", value);
	rig_get(b->rig, "k");
	round_of(b);
}

static void end_session(struct bench *b, uint64_t session)
{
	rig_message(b->rig, &alice, true);
	rig_item(b->rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = session });
	round_of(b);
	rig_is(b->rig, 0, ITEM_GOODBYE, CODE_OK);
}

static struct outcomes *outcomes_of(struct bench *b)
{
	const struct outcomes_settings settings = { .disk = &b->folder.disk, .history = 0x5678 };
	struct outcomes *outcomes = outcomes_new(&settings);

	assert_non_null(outcomes);
	outcomes_set_end(outcomes, b->round);
	return outcomes;
}

static enum storage_result ask(struct outcomes *outcomes, uint64_t session, uint64_t sequence, struct fate *fate, int *error)
{
	enum storage_result result;

	while ((result = outcomes_find(outcomes, session, sequence, now_ns, fate, error)) == STORAGE_NOT_YET)
		assert_true(wait_readable(outcomes_descriptor(outcomes)));
	return result;
}

static struct fate told(struct outcomes *outcomes, uint64_t session, uint64_t sequence)
{
	struct fate fate;
	int error = 0;

	assert_int_equal(ask(outcomes, session, sequence, &fate, &error), STORAGE_DONE);
	return fate;
}

#define assert_fate(told, expected, expected_code)              \
	do {                                                    \
		assert_int_equal((told).fate, expected);        \
		assert_int_equal((told).code, expected_code);   \
	} while (0)

static void a_journal_tells_what_became_of_commands_of_ended_sessions(void **state)
{
	struct bench *b = *state;

	keep_journal(b);
	uint64_t session = session_of(b, C1);
	put(b, session, 1, value_integer(5));
	uint64_t revision = rig_revision(b->rig);
	rig_message(b->rig, &alice, true);
	rig_command(b->rig, session, 2);
	rig_cas(b->rig, "k", value_integer(7), value_integer(8));
	round_of(b);
	put(b, session, 3, *rig_big(5000));
	end_session(b, session);
	struct outcomes *outcomes = outcomes_of(b);

	struct fate fate = told(outcomes, session, 1);
	assert_fate(fate, FATE_RAN, CODE_OK);
	assert_int_equal(fate.revision, revision);
	assert_true(fate.opener_told && fate.opener.known && fate.opener.uid == alice.uid);
	struct wire_reader reply = wire_reader(fate.reply, fate.reply_size);
	struct value value;
	size_t count;
	assert_true(wire_read_list(&reply, &value, 1, &count) && wire_read_list(&reply, &value, 1, &count));
	assert_int_equal(value.integer, 5);
	assert_int_equal(reply.left, 0);

	fate = told(outcomes, session, 2);
	assert_fate(fate, FATE_REFUSED, CODE_CONFLICT);
	assert_non_null(fate.reply);
	fate = told(outcomes, session, 3);
	assert_fate(fate, FATE_RAN, CODE_OK);
	assert_null(fate.reply); /* larger than what is recorded */
	fate = told(outcomes, session, 4);
	assert_fate(fate, FATE_NEVER_CAME, CODE_OK);
	fate = told(outcomes, session + 1, 1);
	assert_fate(fate, FATE_UNKNOWN, CODE_SESSION_FORGOTTEN);
	outcomes_destroy(&outcomes);
}

static void what_waited_is_told_by_how_that_ended(void **state)
{
	struct bench *b = *state;

	keep_journal(b);
	uint64_t holder = session_of(b, C1), waiter = session_of(b, C2);
	rig_message(b->rig, &alice, true);
	rig_command(b->rig, holder, 1);
	rig_lock(b->rig, "door");
	for (uint64_t sequence = 1; sequence <= 3; sequence++) {
		char name[] = "door";
		rig_item(b->rig, &(struct request_header){ .kind = ITEM_RUN, .session = waiter, .sequence = sequence });
		rig_lock(b->rig, name);
	}
	round_of(b);
	rig_message(b->rig, &alice, true);
	rig_cancel(b->rig, waiter, 2, false);
	rig_command(b->rig, holder, 2);
	rig_unlock(b->rig, "door");
	round_of(b);
	end_session(b, waiter);
	struct outcomes *outcomes = outcomes_of(b);
	struct fate fate = told(outcomes, waiter, 1);
	assert_fate(fate, FATE_RAN, CODE_OK);
	assert_non_null(fate.reply);
	fate = told(outcomes, waiter, 2);
	assert_fate(fate, FATE_REFUSED, CODE_CANCELLED);
	outcomes_destroy(&outcomes);
}

static void a_session_that_has_not_ended_is_looked_at_twice(void **state)
{
	struct bench *b = *state;
	struct fate fate;
	int error;

	keep_journal(b);
	uint64_t session = session_of(b, C1);
	put(b, session, 1, value_integer(5));
	struct outcomes *outcomes = outcomes_of(b);
	fate = told(outcomes, session, 1);
	assert_fate(fate, FATE_RAN, CODE_OK);
	/* Its end comes between the passes. */
	assert_int_equal(outcomes_find(outcomes, session, 2, now_ns, &fate, &error), STORAGE_NOT_YET);
	end_session(b, session);
	outcomes_set_end(outcomes, b->round);
	fate = told(outcomes, session, 2);
	assert_fate(fate, FATE_NEVER_CAME, CODE_OK);
	/* It does not come: what is not known is said. */
	uint64_t other = session_of(b, C2);
	outcomes_set_end(outcomes, b->round);
	fate = told(outcomes, other, 1);
	assert_fate(fate, FATE_UNKNOWN, CODE_REPLY_FORGOTTEN);
	outcomes_destroy(&outcomes);
}

static void a_shortened_journal_knows_what_it_can(void **state)
{
	struct bench *b = *state;

	keep_journal(b);
	uint64_t session = session_of(b, C1), idle = session_of(b, C2);
	for (uint64_t sequence = 1; sequence <= 100; sequence++)
		put(b, session, sequence, *rig_big(2000));
	assert_int_equal(journal_forget(b->journal, 60), 0);
	end_session(b, session);
	end_session(b, idle);
	struct outcomes *outcomes = outcomes_of(b);
	struct fate fate = told(outcomes, session, 100);
	assert_fate(fate, FATE_RAN, CODE_OK);
	fate = told(outcomes, session, 1);
	assert_fate(fate, FATE_UNKNOWN, CODE_REPLY_FORGOTTEN);
	fate = told(outcomes, session, 101);
	assert_fate(fate, FATE_NEVER_CAME, CODE_OK);
	fate = told(outcomes, idle, 1);
	assert_fate(fate, FATE_UNKNOWN, CODE_REPLY_FORGOTTEN);
	outcomes_destroy(&outcomes);
}

static void a_damaged_journal_fails_the_question_and_the_next_one_is_tried_anew(void **state)
{
	struct bench *b = *state;
	struct fate fate;
	int error = 0;
	char byte;

	keep_journal(b);
	uint64_t session = session_of(b, C1);
	put(b, session, 1, *rig_big(2000));
	end_session(b, session);
	int file = openat(b->folder.descriptor, "journal-0000000000000001", O_RDWR | O_CLOEXEC);
	assert_true(file >= 0);
	assert_int_equal(pread(file, &byte, 1, 1600), 1);
	byte ^= 1;
	assert_int_equal(pwrite(file, &byte, 1, 1600), 1);
	struct outcomes *outcomes = outcomes_of(b);
	assert_int_equal(ask(outcomes, session, 2, &fate, &error), STORAGE_FAILED);
	assert_int_equal(error, EBADMSG);
	byte ^= 1;
	assert_int_equal(pwrite(file, &byte, 1, 1600), 1);
	close(file);
	assert_int_equal(ask(outcomes, session, 2, &fate, &error), STORAGE_DONE);
	assert_fate(fate, FATE_NEVER_CAME, CODE_OK);
	outcomes_destroy(&outcomes);
}

static void questions_are_so_many_and_answers_are_remembered_for_a_while(void **state)
{
	struct bench *b = *state;
	struct fate fate;
	int error;

	keep_journal(b);
	uint64_t session = session_of(b, C1);
	end_session(b, session);
	struct outcomes *outcomes = outcomes_of(b);
	for (uint64_t sequence = 1; sequence <= 64; sequence++)
		told(outcomes, session, sequence);
	assert_int_equal(outcomes_find(outcomes, session, 65, now_ns, &fate, &error), STORAGE_FULL);
	assert_int_equal(outcomes_find(outcomes, session, 3, now_ns, &fate, &error), STORAGE_DONE);
	now_ns += 11 * NS_PER_S;
	fate = told(outcomes, session, 65);
	assert_fate(fate, FATE_NEVER_CAME, CODE_OK);
	outcomes_destroy(&outcomes);
}

static void it_ends_in_the_middle_of_a_pass(void **state)
{
	struct bench *b = *state;
	struct fate fate;
	int error;

	keep_journal(b);
	uint64_t session = session_of(b, C1);
	for (uint64_t sequence = 1; sequence <= 50; sequence++)
		put(b, session, sequence, *rig_big(2000));
	struct outcomes *outcomes = outcomes_of(b);
	assert_int_equal(outcomes_find(outcomes, 4711, 1, now_ns, &fate, &error), STORAGE_NOT_YET);
	outcomes_destroy(&outcomes);
}

/* ---- both behind one seam ---- */

static void the_service_asks_them_through_its_seam(void **state)
{
	struct bench *b = *state;

	keep_journal(b);
	b->rig->uid = alice.uid;
	const struct lookback_settings settings = { .limits = &b->rig->limits,
						    .counters = &b->rig->counters,
						    .history = 0x5678,
						    .incarnation = 0x1234,
						    .folder = b->folder.descriptor,
						    .disk = &b->folder.disk };
	struct lookback *lookback = lookback_new(&settings);
	assert_non_null(lookback);
	service_set_storage(b->rig->service, lookback_storage(lookback));
	uint64_t session = session_of(b, C1);
	put(b, session, 1, value_integer(5));
	end_session(b, session);
	lookback_recorded(lookback, b->round);

	const struct value question[] = { value_integer((int64_t)session), value_integer(1) };
	const struct value part[] = { value_integer(3), value_integer(0) };
	const struct caller root = { .known = true };
	int64_t until_ns = clock_monotonic_ns() + limit_ms() * NS_PER_MS, next_ns;
	do {
		assert_true(clock_monotonic_ns() < until_ns);
		lookback_tend(lookback, clock_monotonic_ns(), &next_ns);
		rig_by(b->rig, &root, C1);
		rig_simple(b->rig, ITEM_OUTCOME);
		rig_list(b->rig, question, 2);
		rig_simple(b->rig, ITEM_BACKUP);
		rig_list(b->rig, part, 2);
		rig_round(b->rig);
	} while (rig_answer(b->rig, 0)->header.code == CODE_BUSY || rig_answer(b->rig, 1)->header.code == CODE_BUSY);
	assert_int_equal(rig_integer(b->rig, 0, 0, 0), FATE_RAN);
	assert_true(rig_value(b->rig, 1, 0, 2).size > 100);
	assert_int_equal(b->rig->counters.backups, 1);
	lookback_connection_ended(lookback, C1);
	lookback_destroy(&lookback);
	service_set_storage(b->rig->service, NULL);
}

static const struct CMUnitTest tests[] = {
	ON_A_BENCH(a_child_writes_syncs_and_names_a_snapshot),
	ON_A_BENCH(what_failed_in_the_child_is_told_by_its_errno),
	ON_A_BENCH(the_child_has_its_file_and_nothing_else_and_its_moment),
	ON_A_BENCH(the_child_dies_with_its_owner),
	ON_A_BENCH(parts_make_a_whole_in_the_folder_and_out_of_it),
	ON_A_BENCH(a_backup_is_of_its_connection_and_they_are_so_many),
	ON_A_BENCH(an_idle_backup_ends),
	ON_A_BENCH(a_backup_that_cannot_be_written_says_why),
	ON_A_BENCH(ending_kills_what_still_writes),
	ON_A_BENCH(a_journal_tells_what_became_of_commands_of_ended_sessions),
	ON_A_BENCH(what_waited_is_told_by_how_that_ended),
	ON_A_BENCH(a_session_that_has_not_ended_is_looked_at_twice),
	ON_A_BENCH(a_shortened_journal_knows_what_it_can),
	ON_A_BENCH(a_damaged_journal_fails_the_question_and_the_next_one_is_tried_anew),
	ON_A_BENCH(questions_are_so_many_and_answers_are_remembered_for_a_while),
	ON_A_BENCH(it_ends_in_the_middle_of_a_pass),
	ON_A_BENCH(the_service_asks_them_through_its_seam),
};

UNIT_MAIN(tests)
