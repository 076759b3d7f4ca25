/* SPDX-License-Identifier: MIT
 *
 * 64 processes transfer money between a few accounts of owner/examples/ledger.c for ten seconds, while
 * they are killed at random and replaced. Each reads all accounts in between: nobody is ever overdrawn,
 * and all together is always what it was. In the end the owner has run every command that a client was told
 * is done, and no more than those that the killed may have had under way.
 *
 * The clients are this program again ("client" and a slot), started by exec: ZeroMQ does not survive a fork.
 */
#include "tests/lib/owner_kit.h"
#include "tests/lib/unit.h"

#include <sys/mman.h>

enum { CLIENTS = 64, ACCOUNTS = 16, EACH = 100, SECONDS = 10, READ_EVERY = 4, KILL_EVERY_MS = 20 };
enum { OPEN = 1, DEPOSIT = 3, TRANSFER = 5, BALANCE = 6, TOTAL = 7 };
enum { STATUS_OVERDRAWN = 10, STATUS_NOT_CONSERVED, STATUS_UNEXPECTED };

/* Of all clients of a slot; a file, since they share nothing else. */
struct slot {
	_Atomic uint64_t transfers, refused, reads;
};
struct shared {
	_Atomic int stop;
	struct slot slots[CLIENTS];
};

static struct shared *share(void)
{
	char path[128];

	snprintf(path, sizeof path, "%s/shared", getenv("SOLE_RUNTIME_DIR"));
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(struct shared)) != 0)
		return NULL;
	void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

/* ---- a client ---- */

static struct sole_value account(size_t index)
{
	static const char names[ACCOUNTS][4] = { "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7",
						 "a8", "a9", "b0", "b1", "b2", "b3", "b4", "b5" };
	return sole_text(names[index]);
}

static int unexpected(const char *what, const struct sole_reply *reply)
{
	printf("# %s: %s\n", what, reply->text);
	return STATUS_UNEXPECTED;
}

static int set_up(struct sole *handle)
{
	for (size_t i = 0; i < ACCOUNTS; i++) {
		const struct sole_value arguments[] = { account(i), sole_integer(EACH) };
		const struct sole_operation operations[] = { { OPEN, 1, arguments },
							     { DEPOSIT, 2, arguments } };
		struct sole_reply reply;
		if (sole_call(handle, operations, 2, 0, kit_ns(10000), &reply) != SOLE_OK)
			return unexpected("cannot open an account", &reply);
	}
	return 0;
}

static int transfer(struct sole *handle, struct slot *slot, struct unit_random *random)
{
	const struct sole_value arguments[] = { account(unit_below(random, ACCOUNTS)),
						account(unit_below(random, ACCOUNTS)),
						sole_integer(1 + (int64_t)unit_below(random, EACH)) };
	const struct sole_operation operation = { TRANSFER, 3, arguments };
	struct sole_reply reply;

	int code = sole_call(handle, &operation, 1, 0, kit_ns(20000), &reply);
	if (code == SOLE_OK)
		slot->transfers++;
	else if (code == SOLE_CONFLICT)
		slot->refused++;
	else
		return unexpected("a transfer", &reply);
	return 0;
}

/* All accounts and what they hold together, in one request: at one revision. */
static int read_all(struct sole *handle, struct slot *slot)
{
	struct sole_value names[ACCOUNTS];
	struct sole_operation operations[ACCOUNTS + 1];
	struct sole_reply reply;
	int64_t sum = 0;

	for (size_t i = 0; i < ACCOUNTS; i++) {
		names[i] = account(i);
		operations[i] = (struct sole_operation){ BALANCE, 1, &names[i] };
	}
	operations[ACCOUNTS] = (struct sole_operation){ TOTAL, 0, NULL };
	if (sole_call(handle, operations, ACCOUNTS + 1, SOLE_QUERY, kit_ns(20000), &reply) != SOLE_OK ||
	    reply.result_count != ACCOUNTS + 1)
		return unexpected("a read", &reply);
	for (size_t i = 0; i < ACCOUNTS; i++) {
		int64_t balance = reply.results[i].values[0].integer;
		if (balance < 0)
			return STATUS_OVERDRAWN;
		sum += balance;
	}
	slot->reads++;
	return sum == ACCOUNTS * EACH && reply.results[ACCOUNTS].values[0].integer == sum ?
		       0 :
		       STATUS_NOT_CONSERVED;
}

static int client(int number, uint64_t seed)
{
	const struct sole_options options = { .owner = "bank", .timeout_ns = kit_ns(20000) };
	struct unit_random random = { seed };
	struct shared *shared = share();
	struct sole *handle;
	int status = 0;

	if (shared == NULL || sole_open(&handle, &options) != SOLE_OK)
		return STATUS_UNEXPECTED;
	if (number < 0)
		status = set_up(handle);
	for (uint64_t turn = 0; number >= 0 && !shared->stop && status == 0; turn++)
		status = turn % READ_EVERY == 0 ? read_all(handle, &shared->slots[number]) :
						  transfer(handle, &shared->slots[number], &random);
	sole_close(&handle);
	fflush(stdout);
	return status;
}

/* ---- the test ---- */

static pid_t start_client(int number, uint64_t seed)
{
	char slot[16], text[32];
	pid_t parent = getpid(), pid;

	snprintf(slot, sizeof slot, "%d", number);
	snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			execl("/proc/self/exe", "56-ledger.t", "client", slot, text, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void start_bank(void)
{
	const char *bin = getenv("SOLE_BIN") != NULL ? getenv("SOLE_BIN") : "bin";
	char program[4096], behaviour[4096];
	pid_t parent = getpid();

	snprintf(program, sizeof program, "%s/sole-owner", bin);
	snprintf(behaviour, sizeof behaviour, "%s/ledger.so", bin);
	kit_owner = fork();
	assert_true(kit_owner >= 0);
	if (kit_owner == 0) {
		char log[128];
		snprintf(log, sizeof log, "%s/bank.log", kit_folder);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent && freopen(log, "w", stderr) != NULL)
			execl(program, program, "--behaviour", behaviour, "--quiet", "--drain", "100ms",
			      "bank", (char *)NULL);
		_exit(127);
	}
}

/* The slot of a client that has ended; -1: none has. */
static int reap(pid_t pids[CLIENTS], int *status)
{
	pid_t pid = waitpid(-1, status, WNOHANG);

	for (int i = 0; pid > 0 && i < CLIENTS; i++)
		if (pids[i] == pid)
			return i;
	return -1;
}

static uint64_t counter(const struct sole_reply *stats, const char *name)
{
	for (size_t i = 0; i < stats->result_count; i++) {
		const struct sole_value *value = stats->results[i].values;
		if (value[0].size == strlen(name) && memcmp(value[0].bytes, name, value[0].size) == 0)
			return (uint64_t)value[1].integer;
	}
	fail_msg("there is no counter %s", name);
	return 0;
}

static void pause_ms(int64_t ms)
{
	const struct timespec time = { .tv_nsec = (long)ms * NS_PER_MS };
	nanosleep(&time, NULL);
}

/* Kills and replaces clients for so long. None may end by itself. Returns how many were killed. */
static uint64_t rage(pid_t pids[CLIENTS], struct unit_random *random)
{
	int64_t now_ns = clock_monotonic_ns(), end_ns = now_ns + SECONDS * NS_PER_S, kill_ns = now_ns;
	uint64_t kills = 0;
	int status, number;

	while ((now_ns = clock_monotonic_ns()) < end_ns) {
		if (now_ns >= kill_ns) {
			kill_ns = now_ns + (1 + (int64_t)unit_below(random, 2 * KILL_EVERY_MS)) * NS_PER_MS;
			number = (int)unit_below(random, CLIENTS);
			assert_int_equal(kill(pids[number], SIGKILL), 0);
			assert_int_equal(waitpid(pids[number], &status, 0), pids[number]);
			if (!WIFSIGNALED(status))
				fail_msg("a client ended by itself with status %d", WEXITSTATUS(status));
			pids[number] = start_client(number, unit_draw(random));
			kills++;
		}
		number = reap(pids, &status);
		if (number >= 0)
			fail_msg("client %d ended by itself: status %d", number,
				 WIFEXITED(status) ? WEXITSTATUS(status) : -1);
		pause_ms(2);
	}
	return kills;
}

static void check_end(const struct shared *shared, uint64_t kills)
{
	uint64_t transfers = 0, refused = 0, reads = 0;
	struct sole *handle = kit_open("bank");
	struct slot last = { 0 };
	struct sole_reply stats;

	for (size_t i = 0; i < CLIENTS; i++) {
		transfers += shared->slots[i].transfers;
		refused += shared->slots[i].refused;
		reads += shared->slots[i].reads;
		assert_true(shared->slots[i].reads > 0);
	}
	assert_int_equal(read_all(handle, &last), 0);
	assert_int_equal(sole_stats(handle, kit_ns(10000), &stats), SOLE_OK);
	uint64_t ran = counter(&stats, "writes") - 2 * ACCOUNTS;
	printf("# %d clients, %d s: %llu transfers and %llu refused, %llu reads of everything, %llu clients killed\n",
	       CLIENTS, SECONDS, (unsigned long long)transfers, (unsigned long long)refused,
	       (unsigned long long)reads, (unsigned long long)kills);
	printf("# the owner ran %llu transfers, %llu more than clients were told of\n",
	       (unsigned long long)ran, (unsigned long long)(ran - transfers));
	assert_in_range(ran - transfers, 0, kills); /* a client has one request under way */
	assert_true(transfers > 0 && refused > 0);
	sole_close(&handle);
}

static void nobody_is_overdrawn_and_nothing_is_lost_while_clients_die(void **state)
{
	struct unit_random random = { unit_seed() };
	struct shared *shared = share();
	pid_t pids[CLIENTS];
	int status;

	(void)state;
	assert_non_null(shared);
	start_bank();
	pid_t first = start_client(-1, 0);
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_int_equal(status, 0);
	for (int i = 0; i < CLIENTS; i++)
		pids[i] = start_client(i, unit_draw(&random));
	uint64_t kills = rage(pids, &random);
	/* Each has a turn, however slow the machine. */
	for (int i = 0; i < CLIENTS; i++)
		while (shared->slots[i].reads == 0 && waitpid(pids[i], &status, WNOHANG) == 0)
			pause_ms(2);
	shared->stop = 1;
	for (int i = 0; i < CLIENTS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	check_end(shared, kills);
	kit_kill(SIGTERM);
	assert_int_equal(kit_wait_owner(), 0);
	munmap(shared, sizeof *shared);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(nobody_is_overdrawn_and_nothing_is_lost_while_clients_die,
					  kit_clean),
	};

	if (argc == 4 && strcmp(argv[1], "client") == 0)
		return client(atoi(argv[2]), strtoull(argv[3], NULL, 10));
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, kit_folder_make, kit_folder_remove);
}
