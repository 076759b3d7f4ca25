/* SPDX-License-Identifier: MIT
 *
 * owner.c - the life of an owner: configure, lock and listen, serve rounds, drain, leave.
 *
 * The shell around the pure core: signals, clocks, sockets and memory are here and in
 * the modules it calls. One place waits (serve); nothing else blocks.
 */
#include "owner/config.h"
#include "owner/crash.h"
#include "owner/denial_log.h"
#include "owner/disk_space.h"
#include "owner/crash_notes.h"
#include "owner/transport/endpoint.h"
#include "owner/loader.h"
#include "owner/state/lookback.h"
#include "owner/memory.h"
#include "owner/metrics.h"
#include "owner/processes.h"
#include "owner/reload.h"
#include "owner/remote.h"
#include "owner/service/service.h"
#include "owner/state/state.h"
#include "owner/transport/transport.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	LOOK_EVERY_MS = 5,      /* for signals and what is due, while rounds follow on each other */
	TELL_EVERY_MS = 250,    /* the rate of operations, to the supervisor */
	MEMORY_EVERY_MS = 250,  /* looking at resident memory */
	MEMORY_CLOSELY_MS = 25, /* while it is above the mark */
	CUT_EVERY_MS = 1000,    /* above the memory mark */
	CUT_CLOSELY_MS = 200,   /* above twice the mark */
	SILENT_MS = 1000,       /* above the mark: who delivered nothing whole for so long is cut */
	FILLING_MS = 100,       /* above twice the mark: and who sends, but nothing whole, for so long */
	HELD_UP_MS = 750,       /* tending comes twice a second while there are sessions: it was held up (stopped, or by the disk) ... */
	HEAR_MS = 1000,         /* ... and first hears what came meanwhile, before it calls a client silent */
	QUIET_MS = 50,          /* leaving: no message for so long means that clients have heard */
	LINGER_MS = 1000,       /* for the last replies to leave */
	ROUND_MS = 5,           /* of work in one round, as far as can be foreseen */
};

struct owner {
	struct config config;
	struct endpoint endpoint;
	struct remote remote;
	struct transport *transport;
	struct service *service;
	struct lookback *lookback;
	struct metrics *metrics; /* NULL: nobody is to read them over HTTP */
	struct processes *processes;
	struct state *state; /* NULL: memory only */
	bool failed;         /* what was done cannot be made durable: nothing is told any more */
	const struct sole_behaviour *behaviour;
	struct counters counters;
	struct gauges gauges;
	struct access access;
	struct denial_log denial_log;
	struct disk_space disk_space;
	bool read_only; /* as far as it has been told */
	bool hung_up;   /* SIGHUP: settings are to be read again */
	char folder[PATH_MAX]; /* of a durable state, from the root on; "": none */
	int signals; /* signalfd */
	bool processes_stir; /* some may have ended */
	int wake;    /* epoll of what is neither a message nor the clock: signals, ends of processes */
	bool more;   /* there are notices that could leave at once */
	int64_t message_ns; /* what the messages of the last rounds took, each, on average */
	int64_t commit_ns;  /* of this round: what was waited for the disk */
	unsigned stop_signals;
	int64_t started_ns, watchdog_ns, beat_ns;
	int64_t tell_ns, memory_ns, cut_ns; /* when each is due */
	int64_t tended_ns; /* when all that was looked at */
	bool held_up;      /* and it was late */
	int64_t last_message_ns;
	uint64_t told_operations, told_connections;
	int told_warnings; /* whether read-only, whether the disk is nearly full */
	bool told_busy;    /* the rate that was told last was not zero */
};

/* ---- starting ---- */

static void signals_open(struct owner *owner)
{
	sigset_t set;

	/* Blocked before libzmq starts its thread, which inherits the mask. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	owner->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (owner->signals < 0)
		fatal(EX_OSERR, "cannot take signals: %s", log_cause(errno));
}

static void take_signals(struct owner *owner)
{
	struct signalfd_siginfo info;

	while (read(owner->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGHUP) {
			owner->hung_up = true;
			continue;
		}
		owner->stop_signals++;
		log_info("told to stop by process %u (SIG%s): %s", info.ssi_pid, sigabbrev_np((int)info.ssi_signo),
			 owner->stop_signals == 1 ? "answering what has arrived, then leaving" : "leaving now");
	}
}

static void wake_open(struct owner *owner)
{
	owner->processes = processes_new((size_t)owner->config.limits.connections);
	owner->wake = epoll_create1(EPOLL_CLOEXEC);
	if (owner->processes == NULL || owner->wake < 0)
		fatal(EX_OSERR, "cannot watch processes: %s", log_cause(errno));
	const int fds[] = { owner->signals, processes_descriptor(owner->processes) };
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fds[i] };
		if (epoll_ctl(owner->wake, EPOLL_CTL_ADD, fds[i], &event) != 0)
			fatal(EX_OSERR, "cannot watch processes: %s", log_cause(errno));
	}
}

static void lookback_open(struct owner *owner, const struct identity *identity)
{
	const struct lookback_settings settings = {
		.limits = &owner->config.limits,
		.counters = &owner->counters,
		.history = identity->history,
		.incarnation = identity->incarnation,
		.folder = owner->state != NULL ? state_folder(owner->state)->descriptor : -1,
		.disk = owner->state != NULL ? &state_folder(owner->state)->disk : NULL,
	};
	struct epoll_event event = { .events = EPOLLIN };

	owner->lookback = lookback_new(&settings);
	if (owner->lookback == NULL)
		fatal(EX_OSERR, "cannot make what looks back at the state: %s", log_cause(errno));
	if (epoll_ctl(owner->wake, EPOLL_CTL_ADD, lookback_descriptor(owner->lookback), &event) != 0)
		fatal(EX_OSERR, "cannot watch backups: %s", log_cause(errno));
	service_set_storage(owner->service, lookback_storage(owner->lookback));
}

static void behaviour_open(struct owner *owner, const struct sole_behaviour *linked)
{
	const char *why;

	owner->behaviour = linked != NULL ? linked : &table_behaviour;
	why = behaviour_problem(owner->behaviour);
	if (why == NULL && owner->config.behaviour != NULL)
		owner->behaviour = loader_open(owner->config.behaviour, &why);
	if (owner->behaviour == NULL || why != NULL)
		fatal(EX_CONFIG, "%s", why);
}

/* Whom the socket lets in and no rule does. */
static void access_open(struct owner *owner)
{
	enum { OTHERS = 0066 };

	if (!access_of_config(&owner->config, geteuid(), owner->behaviour, &owner->access))
		exit(EX_CONFIG);
	if (owner->access.count == 0 && (owner->config.socket_mode & OTHERS) != 0 && !owner->config.check)
		log_warn("socket-mode lets others in, and without rules of access only root and uid %u are served: see --access in sole-owner(8)",
			 (unsigned)owner->access.owner);
}

static void find_path(const struct config *config, char path[RUNDIR_PATH_MAX])
{
	static const char scheme[] = "ipc://";
	char error[RUNDIR_ERROR_MAX];

	if (config->endpoint == NULL) {
		int status = rundir_claim(config->name, ".sock", path, error);
		if (status != 0)
			fatal(status, "%s", error);
		return;
	}
	const char *given = config->endpoint;
	if (strncmp(given, scheme, sizeof scheme - 1) != 0 || given[sizeof scheme - 1] != '/')
		fatal(EX_USAGE, "'%.120s' is not an endpoint: give ipc:// and an absolute path", given);
	given += sizeof scheme - 1;
	if (strlen(given) >= RUNDIR_PATH_MAX)
		fatal(EX_CONFIG, "the path of the socket has %zu bytes and the limit is %d: give a shorter one",
		      strlen(given), RUNDIR_PATH_MAX - 1);
	snprintf(path, RUNDIR_PATH_MAX, "%s", given);
}

static void listen_open(struct owner *owner)
{
	char path[RUNDIR_PATH_MAX], error[RUNDIR_ERROR_MAX];
	int handed_over = notify_listen_fds();

	if (handed_over > 1)
		fatal(EX_CONFIG, "%d sockets were handed over; an owner serves one", handed_over);
	find_path(&owner->config, path);
	int status = endpoint_open(&owner->endpoint, path, (mode_t)owner->config.socket_mode,
				   handed_over == 1 ? 3 : -1, error);
	if (status != 0)
		fatal(status, "%s", error);
}

static bool told_to_stop(void *context)
{
	struct owner *owner = context;

	take_signals(owner);
	if (owner->stop_signals > 0)
		endpoint_close(&owner->endpoint);
	return owner->stop_signals > 0;
}

/* The state of an earlier owner, or a new one; sessions go on. */
static void state_take_up(struct owner *owner, struct identity *identity)
{
	struct recovery recovery;

	owner->state = state_open(&owner->config, service_core(owner->service), &owner->counters, owner->wake, told_to_stop,
				  owner, &recovery);
	identity->incarnation = recovery.incarnation;
	identity->history = recovery.history;
	service_resume(owner->service, identity, clock_monotonic_ns());
	crash_notes_take(state_folder(owner->state)->descriptor, service_core(owner->service));
}

/* As a client in another folder can find it; it may not have been made yet. */
static void name_folder(struct owner *owner)
{
	const char *given = owner->config.state;
	char here[PATH_MAX] = "";

	if (given == NULL || realpath(given, owner->folder) != NULL)
		return;
	if (*given != '/' && getcwd(here, sizeof here) == NULL)
		return;
	if (snprintf(owner->folder, sizeof owner->folder, "%s%s%s", here, *given != '/' ? "/" : "", given) >= (int)sizeof owner->folder)
		owner->folder[0] = '\0';
}

static void core_open(struct owner *owner)
{
	struct {
		uint64_t hash_seed, session_seed, history;
	} random;
	const char *why;

	name_folder(owner);
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		fatal(EX_OSERR, "the system gives no random numbers: %s", log_cause(errno));
	/* Starts of a memory-only owner are ordered by the wall clock. */
	struct identity identity = { .name = owner->config.name, .incarnation = (uint64_t)clock_wall_us(),
				     .history = random.history | 1, .pid = getpid(), .uid = geteuid() };
	const struct service_settings settings = {
		.core = { .behaviour = owner->behaviour, .limits = &owner->config.limits,
			  .counters = &owner->counters, .hash_seed = random.hash_seed,
			  .session_seed = random.session_seed,
			  .token_base = owner->config.state == NULL ? clock_wall_us() : 0 },
		.identity = identity,
		.gauges = &owner->gauges,
		.started_ns = owner->started_ns,
		.process_born = process_born,
		.clock_ns = clock_monotonic_ns,
		.slow_after_ns = (uint64_t)owner->config.slow_after_ns,
		.durability = owner->config.durability,
		.access = &owner->access,
		.read_only = owner->config.read_only,
		.folder = owner->folder[0] != '\0' ? owner->folder : NULL,
	};
	owner->service = service_new(&settings, &why);
	if (owner->service == NULL)
		fatal(EX_OSERR, "cannot make the state: %s", why);
	crash_watch(service_core(owner->service));
	if (owner->config.state != NULL)
		state_take_up(owner, &identity);
	crash_serving(owner->state != NULL ? state_folder(owner->state)->descriptor : -1);
	if (owner->state != NULL)
		disk_space_init(&owner->disk_space, state_folder(owner->state)->descriptor, owner->config.state);
	lookback_open(owner, &identity);
}

static void transport_start(struct owner *owner)
{
	char error[RUNDIR_ERROR_MAX];
	struct transport_settings settings = {
		.listener = owner->endpoint.listener,
		.limits = &owner->config.limits,
		.counters = &owner->counters,
	};

	remote_settings(&owner->remote, &owner->config, &settings);
	if (transport_open(&owner->transport, &settings, error, sizeof error) != 0) {
		endpoint_close(&owner->endpoint);
		fatal(EX_OSERR, "%s", error);
	}
	remote_forget(&owner->remote);
}

static void write_metrics(void *context, struct buffer *out)
{
	struct owner *owner = context;

	service_metrics(owner->service, clock_monotonic_ns(), out);
}

static void metrics_start(struct owner *owner)
{
	char error[RUNDIR_ERROR_MAX];
	const struct metrics_settings settings = { .port = owner->config.metrics_port, .write = write_metrics, .context = owner };
	struct epoll_event event = { .events = EPOLLIN };

	if (settings.port < 0)
		return;
	owner->metrics = metrics_open(&settings, error, sizeof error);
	if (owner->metrics == NULL || epoll_ctl(owner->wake, EPOLL_CTL_ADD, metrics_descriptor(owner->metrics), &event) != 0) {
		endpoint_close(&owner->endpoint);
		fatal(EX_UNAVAILABLE, "%s", owner->metrics == NULL ? error : "cannot watch the metrics' socket");
	}
	log_info("metrics at http://127.0.0.1:%d/metrics", metrics_port(owner->metrics));
}

/* ---- serving ---- */

static bool outlet_ready(const void *context, uint64_t connection)
{
	return transport_ready(context, connection);
}

static bool outlet_send(void *context, uint64_t connection, const struct buffer *body)
{
	return transport_send(context, connection, body);
}

static void note_durable(struct owner *owner)
{
	const struct durability_figures figures = state_figures(owner->state);

	owner->gauges.journal_bytes = figures.journal_bytes;
	owner->gauges.snapshot_round = figures.snapshot_round;
	owner->gauges.synced_revision = figures.synced_revision;
	service_set_synced(owner->service, figures.synced_revision);
	lookback_recorded(owner->lookback, figures.round);
}

static void note_clock(struct owner *owner)
{
	int64_t wall_us = clock_wall_us();

	core_set_clock(service_core(owner->service), wall_us);
	int64_t ahead_us = core_scalars(service_core(owner->service)).now_us - wall_us;
	owner->gauges.clock_ahead_ms = ahead_us > 0 ? (uint64_t)ahead_us / 1000 : 0;
}

/* The watchdog hears of us, if it has not for so long. */
static void beat(struct owner *owner, int64_t now_ns, int64_t every_ns)
{
	if (owner->watchdog_ns == 0 || now_ns < owner->beat_ns + every_ns)
		return;
	notify("WATCHDOG=1");
	owner->beat_ns = now_ns;
}

/* Nothing of what was done leaves before this has returned true. A disk that is slow is no owner that hangs: each sync, of
 * which there may be more than one until the clock is looked at, has nearly all of the watchdog's time. */
static bool make_durable(struct owner *owner)
{
	if (owner->state == NULL || owner->failed)
		return !owner->failed;
	int64_t start_ns = clock_monotonic_ns();
	beat(owner, start_ns, owner->watchdog_ns / 8);
	owner->failed = !state_commit(owner->state, start_ns);
	owner->commit_ns += clock_monotonic_ns() - start_ns;
	note_durable(owner);
	return !owner->failed;
}

/* What rounds and the clock have brought about for others than who asked. */
static void deliver(struct owner *owner)
{
	const struct outlet outlet = { .context = owner->transport, .ready = outlet_ready, .send = outlet_send };

	if (!make_durable(owner))
		return;
	owner->more = service_deliver(owner->service, &outlet);
}

/* Ends of connections and of processes, and beginnings of processes that are to be watched. An end of a process is news
 * for `wake`, at which one looks every so often: to ask after each round costs as much as half of a small round. */
static void follow_clients(struct owner *owner)
{
	uint64_t connection;
	pid_t pid;

	while (transport_ended(owner->transport, &connection)) {
		service_connection_ended(owner->service, connection);
		lookback_connection_ended(owner->lookback, connection);
	}
	while (service_next_process(owner->service, &pid))
		if (!processes_watch(owner->processes, pid))
			service_process_ended(owner->service, pid);
	while (owner->processes_stir && (owner->processes_stir = processes_next_ended(owner->processes, &pid)))
		service_process_ended(owner->service, pid);
}

/* How many messages fit into a round, to judge by the last ones. The deadlines of a round are judged
 * at its start and its replies leave at its end: it must be short where requests are long. */
static size_t round_most(const struct owner *owner)
{
	int64_t most = owner->message_ns > 0 ? ROUND_MS * NS_PER_MS / owner->message_ns : INT64_MAX;

	return most > 1 ? (size_t)most : 1;
}

static void note_round(struct owner *owner, int64_t took_ns, size_t count)
{
	owner->counters.rounds++;
	if ((uint64_t)took_ns > owner->counters.round_longest)
		owner->counters.round_longest = (uint64_t)took_ns;
	/* The disk takes as long for few messages as for many: a slow one is no reason for short rounds. */
	owner->message_ns = (3 * owner->message_ns + (took_ns - owner->commit_ns) / (int64_t)count) / 4;
}

/* One round: receive, run, record, reply. Returns whether there was anything. */
static bool serve_round(struct owner *owner)
{
	static struct service_message *round;
	static size_t room;
	const struct transport_message *arrived;
	const struct service_reply *replies;
	size_t count, reply_count;

	int64_t start_ns = clock_monotonic_ns();
	owner->commit_ns = 0;
	count = transport_receive(owner->transport, start_ns, round_most(owner), &arrived);
	if (count == 0)
		return false;
	if (count > room) {
		struct service_message *grown = realloc(round, count * sizeof *grown);
		if (grown == NULL)
			return true; /* dropped: their senders ask again */
		round = grown;
		room = count;
	}
	for (size_t i = 0; i < count; i++)
		round[i] = (struct service_message){ .caller = arrived[i].caller, .peer = arrived[i].peer,
						     .connection = arrived[i].connection,
						     .body = arrived[i].body, .size = arrived[i].size,
						     .overlong = arrived[i].overlong,
						     .notices = arrived[i].subscribed };
	service_round(owner->service, round, count, start_ns, clock_wall_us());
	if (!make_durable(owner))
		return true;
	replies = service_replies(owner->service, &reply_count);
	for (size_t i = 0; i < count; i++)
		if (round[i].notices != arrived[i].subscribed)
			transport_subscribe(owner->transport, i, round[i].notices);
	for (size_t i = 0; i < reply_count; i++)
		transport_reply(owner->transport, replies[i].message, &replies[i].body);
	transport_release(owner->transport);
	service_round_over(owner->service, clock_monotonic_ns(), owner->commit_ns);
	follow_clients(owner);
	deliver(owner);

	owner->last_message_ns = clock_monotonic_ns();
	note_round(owner, owner->last_message_ns - start_ns, count);
	return true;
}

static int warnings_of(const struct owner *owner)
{
	return (owner->read_only ? 2 : 0) + (owner->gauges.disk_low != 0);
}

/* What the supervisor does not know yet: an owner that came to rest says so once. */
static bool has_news(const struct owner *owner)
{
	return owner->counters.reads + owner->counters.writes != owner->told_operations || owner->told_busy ||
	       owner->gauges.connections != owner->told_connections ||
	       owner->told_warnings != warnings_of(owner);
}

static void tell_supervisor(struct owner *owner, int64_t now_ns)
{
	uint64_t operations = owner->counters.reads + owner->counters.writes;
	uint64_t connections = owner->gauges.connections;
	double seconds = (double)(now_ns - owner->tell_ns + TELL_EVERY_MS * NS_PER_MS) / (double)NS_PER_S;
	double rate = seconds > 0 ? (double)(operations - owner->told_operations) / seconds : 0;

	if (has_news(owner))
		notify("X_SOLE_OPS=%" PRIu64 "\nSTATUS=revision %" PRIu64 ", %" PRIu64 " client%s, %.0f operations/s%s%s%s", operations,
		       core_revision(service_core(owner->service)), connections, connections == 1 ? "" : "s", rate,
		       owner->state == NULL ? ", in memory only" : "", owner->read_only ? ", read-only" : "",
		       owner->gauges.disk_low ? ", the disk is nearly full" : "");
	owner->told_warnings = warnings_of(owner);
	owner->told_busy = operations != owner->told_operations;
	owner->told_operations = operations;
	owner->told_connections = connections;
	owner->tell_ns = now_ns + TELL_EVERY_MS * NS_PER_MS;
}

static void tell_read_only(struct owner *owner)
{
	const struct caller *by;
	bool now = service_is_read_only(owner->service, &by);
	char who[96] = "its settings";

	if (now == owner->read_only)
		return;
	owner->read_only = now;
	if (by != NULL)
		caller_words(by, who, sizeof who);
	log_info("%s, told so by %s", now ? "read-only: commands are refused" : "commands are taken again", who);
}

/* Settings again, as far as they can change. What the new rules end is recorded, and told, with the next round. */
static void take_settings(struct owner *owner)
{
	struct access access;

	owner->hung_up = false;
	if (!reload(&owner->config, owner->access.owner, owner->behaviour, &access))
		return;
	struct access before = owner->access;
	owner->access = access;
	struct revoked revoked = service_set_access(owner->service, &owner->access);
	access_clear(&before);
	core_take_limits(service_core(owner->service));
	owner->counters.reloads++;
	log_info("SIGHUP: took %zu rules of access, and limits; %zu sessions and %zu watches end for want of a right",
		 owner->access.count, revoked.sessions, revoked.watches);
}

/* A peer that sends a message without end, or many that each send a part, fill memory before
 * anything counts as received. */
static void guard_memory(struct owner *owner, int64_t now_ns)
{
	unsigned cut = 0;

	owner->memory_ns = now_ns + MEMORY_EVERY_MS * NS_PER_MS;
	owner->gauges.resident_bytes = memory_resident();
	struct core *core = service_core(owner->service);
	uint64_t allowed = (uint64_t)owner->config.limits.memory_mark_bytes + 2 * store_bytes(core_store(core)) +
			   (uint64_t)owner->config.limits.events_bytes;
	if (owner->gauges.resident_bytes <= allowed)
		return;
	owner->memory_ns = now_ns + MEMORY_CLOSELY_MS * NS_PER_MS;
	/* Far above it there is no time to lose, and those who are seen to send go first. A client that
	 * is cut for being silent connects again by itself. */
	bool far_above = owner->gauges.resident_bytes > 2 * allowed;
	if (far_above)
		cut += transport_cut_silent(owner->transport, now_ns - FILLING_MS * NS_PER_MS, true);
	if (cut == 0 && now_ns >= owner->cut_ns + (far_above ? CUT_CLOSELY_MS : CUT_EVERY_MS) * NS_PER_MS) {
		memory_trim();
		owner->cut_ns = now_ns;
		owner->gauges.resident_bytes = memory_resident();
		if (owner->gauges.resident_bytes > allowed)
			cut += transport_cut_silent(owner->transport,
						    now_ns - (far_above ? FILLING_MS : SILENT_MS) * NS_PER_MS, false);
	}
	if (cut > 0)
		log_warn("%" PRIu64 " MiB of memory, over the mark: cut %u connections that delivered no whole message",
			 owner->gauges.resident_bytes >> 20, cut);
}

/* Who called while nobody listened was not silent. Of an owner that is held up again and again every other time counts:
 * it has served a round in between. */
static void note_held_up(struct owner *owner, int64_t now_ns)
{
	owner->held_up = !owner->held_up && now_ns - owner->tended_ns > HELD_UP_MS * NS_PER_MS;
	owner->tended_ns = now_ns;
	if (owner->held_up)
		service_spare_silent(owner->service, now_ns + HEAR_MS * NS_PER_MS);
}

/* Everything that is due by the clock. Returns when to come back at the latest. */
static int64_t tend(struct owner *owner)
{
	int64_t now_ns = clock_monotonic_ns(), next_ns, service_ns, lookback_ns, metrics_ns;

	note_held_up(owner, now_ns);
	remote_tend(&owner->remote, owner->transport, owner->service, owner->hung_up);
	if (owner->hung_up)
		take_settings(owner);
	transport_tend(owner->transport, now_ns, &next_ns);
	owner->gauges.connections = transport_connections(owner->transport);
	owner->gauges.max_connections = (uint64_t)owner->config.limits.connections;
	owner->gauges.outbox_bytes = transport_outbox_bytes(owner->transport);
	/* Ends of sessions happen now, and not when the last message came. */
	note_clock(owner);
	follow_clients(owner);
	lookback_tend(owner->lookback, now_ns, &lookback_ns);
	service_tend(owner->service, now_ns, clock_wall_us(), &service_ns);
	deliver(owner);
	if (lookback_ns < service_ns)
		service_ns = lookback_ns;
	if (owner->more || service_ns < next_ns)
		next_ns = owner->more ? now_ns : service_ns;
	if (owner->state != NULL && !owner->failed) {
		int64_t state_ns;
		owner->failed = !state_tend(owner->state, now_ns, &state_ns);
		note_durable(owner);
		if (state_ns < next_ns)
			next_ns = state_ns;
	}
	if (owner->failed)
		return now_ns;
	tell_read_only(owner);
	int64_t disk_ns = owner->state == NULL ? INT64_MAX :
			  disk_space_look(&owner->disk_space, (uint64_t)owner->config.disk_warning_bytes, &owner->gauges,
					  &owner->counters, now_ns);
	if (owner->metrics != NULL) {
		metrics_tend(owner->metrics, now_ns, &metrics_ns);
		if (metrics_ns < next_ns)
			next_ns = metrics_ns;
	}
	if (now_ns >= owner->tell_ns)
		tell_supervisor(owner, now_ns);
	if (now_ns >= owner->memory_ns)
		guard_memory(owner, now_ns);
	int64_t denial_ns = denial_log_tell(&owner->denial_log, service_denials(owner->service), now_ns);
	beat(owner, now_ns, owner->watchdog_ns / 2);
	/* An owner that nobody asks sleeps. */
	const int64_t due[] = {
		owner->gauges.connections > 0 ? owner->memory_ns : INT64_MAX,
		has_news(owner) ? owner->tell_ns : INT64_MAX,
		owner->watchdog_ns > 0 ? owner->beat_ns + owner->watchdog_ns / 2 : INT64_MAX,
		denial_ns,
		disk_ns,
	};
	for (size_t i = 0; i < sizeof due / sizeof *due; i++)
		if (due[i] < next_ns)
			next_ns = due[i];
	return next_ns;
}

/* Until a message, or what `wake` stands for, is there. */
static void wait_for_news(struct owner *owner, int timeout_ms)
{
	if ((transport_wait(owner->transport, owner->wake, timeout_ms) & TRANSPORT_DESCRIPTOR) == 0)
		return;
	take_signals(owner);
	owner->processes_stir = true;
}

static void serve(struct owner *owner)
{
	int64_t look_ns = 0;

	owner->tended_ns = clock_monotonic_ns();
	while (owner->stop_signals == 0 && !owner->failed) {
		bool busy = serve_round(owner);
		/* Under load the clock's duties and signals are looked at every so often only. */
		if (busy && owner->last_message_ns < look_ns)
			continue;
		int64_t next_ns = tend(owner), now_ns = clock_monotonic_ns();
		look_ns = now_ns + LOOK_EVERY_MS * NS_PER_MS;
		int timeout_ms = busy ? 0 : clock_poll_ms(now_ns, next_ns);
		wait_for_news(owner, timeout_ms);
	}
}

/* ---- leaving ---- */

/* What was done and not made durable must not be told to anybody, not even in the totals: as if the owner
 * had been killed before it. */
static int leave_failed(struct owner *owner)
{
	notify("STOPPING=1\nSTATUS=the state cannot be written");
	endpoint_close(&owner->endpoint);
	return EX_IOERR;
}

/* Answers what has arrived, tells connected clients, and answers what they had sent before
 * they heard: refused, unrun. A second signal ends the waiting. */
static void drain(struct owner *owner)
{
	struct buffer notice = { 0 };
	int64_t by_ns = clock_monotonic_ns() + owner->config.drain_ns, now_ns;

	notify("STOPPING=1\nSTATUS=answering what has arrived");
	while (serve_round(owner) && !owner->failed && owner->stop_signals < 2 && clock_monotonic_ns() < by_ns)
		take_signals(owner);
	/* A notice tells the revision, and this one's is not on disk. */
	if (owner->failed)
		return;
	service_leave(owner->service, &notice);
	transport_broadcast(owner->transport, &notice);
	buffer_clear(&notice);
	owner->last_message_ns = clock_monotonic_ns();
	for (;;) {
		int64_t next_ns = tend(owner);
		now_ns = clock_monotonic_ns();
		int64_t quiet_ns = owner->last_message_ns + QUIET_MS * NS_PER_MS;
		bool idle = transport_outbox_bytes(owner->transport) == 0 &&
			    (now_ns >= quiet_ns || transport_connections(owner->transport) == 0);
		if (idle || now_ns >= by_ns || owner->stop_signals >= 2 || owner->failed)
			break;
		int64_t wake_ns = quiet_ns < by_ns ? quiet_ns : by_ns;
		if (now_ns >= quiet_ns)
			wake_ns = by_ns;
		wake_ns = next_ns < wake_ns ? next_ns : wake_ns;
		wait_for_news(owner, clock_poll_ms(now_ns, wake_ns));
		serve_round(owner);
	}
}

/* The last snapshot takes as long as the state is large: whoever waits for our end is told how long, at the worst. */
static void tell_leaving(struct owner *owner)
{
	enum { LEAVE_S = 30, SLOW_DISK_BYTES_PER_S = 10 << 20 };
	struct core *core = service_core(owner->service);

	if (owner->state != NULL)
		notify("EXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=writing the state of revision %" PRIu64,
		       (LEAVE_S + store_bytes(core_store(core)) / SLOW_DISK_BYTES_PER_S) * 1000000, core_revision(core));
}

static int leave(struct owner *owner)
{
	int status = EX_OK;

	transport_close(&owner->transport, owner->stop_signals >= 2 ? 0 : LINGER_MS);
	metrics_close(&owner->metrics);
	lookback_destroy(&owner->lookback);
	tell_leaving(owner);
	if (owner->state != NULL)
		crash_notes_leave(state_folder(owner->state)->descriptor, service_core(owner->service));
	if (owner->state != NULL && !state_close(&owner->state, owner->stop_signals >= 2))
		status = EX_IOERR;
	remote_close(&owner->remote);
	endpoint_close(&owner->endpoint);
	denial_log_end(service_denials(owner->service));
	access_clear(&owner->access);
	if (!owner->config.quiet) {
		printf("reads: %" PRIu64 ", writes: %" PRIu64 "\n", owner->counters.reads, owner->counters.writes);
		if (fflush(stdout) != 0) {
			log_error("cannot print the totals: %s", strerror(errno));
			status = EX_IOERR;
		}
	}
	service_destroy(&owner->service);
	processes_destroy(&owner->processes);
	close(owner->wake);
	close(owner->signals);
	return status;
}

__attribute__((visibility("default"))) int sole_owner_main(int argc, char **argv,
							   const struct sole_behaviour *behaviour)
{
	static struct owner owner;

	log_init("sole-owner");
	owner.started_ns = clock_monotonic_ns();
	config_read(&owner.config, argc, argv);
	behaviour_open(&owner, behaviour);
	if (!inspect_asked(&owner.config.inspection))
		access_open(&owner);
	if (inspect_asked(&owner.config.inspection)) {
		owner.config.inspection.behaviour = owner.behaviour;
		owner.config.inspection.limits = &owner.config.limits;
		owner.config.inspection.segment_bytes = (uint64_t)owner.config.segment_bytes;
		return inspect_run(&owner.config.inspection);
	}
	if (owner.config.check) {
		remote_open(&owner.remote, &owner.config, -1);
		config_print(&owner.config);
		if (fflush(stdout) != 0)
			fatal(EX_IOERR, "cannot print the settings: %s", log_cause(errno));
		return EX_OK;
	}
	signals_open(&owner);
	wake_open(&owner);
	remote_open(&owner.remote, &owner.config, owner.wake);
	listen_open(&owner);
	core_open(&owner);
	transport_start(&owner);
	metrics_start(&owner);
	owner.watchdog_ns = notify_watchdog_ns();
	denial_log_init(&owner.denial_log, clock_monotonic_ns());
	notify("READY=1\nSTATUS=serving %s", owner.endpoint.path);
	log_info("%s: serving at %s%s", owner.config.name, owner.endpoint.path,
		 owner.endpoint.inherited ? ", which was handed over" : "");
	remote_begin(&owner.remote, owner.transport, owner.service, owner.access.count > 0);
	serve(&owner);
	if (!owner.failed)
		drain(&owner);
	return owner.failed ? leave_failed(&owner) : leave(&owner);
}
