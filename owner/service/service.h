/* SPDX-License-Identifier: MIT
 *
 * service.h - the protocol of an owner: a round of message bodies in, reply bodies out.
 *
 * Knows messages, items, deadlines and cancels; knows nothing of sockets and
 * reads no clock: whoever calls it (the shell, a test, a simulator) brings the
 * bodies and the time. The core below runs the operations.
 *
 * A round: service_round takes what has arrived, applies its cancels, runs it in
 * order and keeps the replies. They are handed out (service_reply) when the caller
 * has made the round durable; the service itself sends nothing.
 */
#ifndef SOLE_OWNER_SERVICE_H
#define SOLE_OWNER_SERVICE_H

#include "owner/service/access.h"
#include "owner/service/denials.h"
#include "owner/service/storage.h"

struct service;

/* Who this owner is; told in every reply, hello and status. */
struct identity {
	const char *name;
	uint64_t incarnation, history;
	pid_t pid;
	uid_t uid; /* of the owner: with root the one whom no rule of access need name */
};

struct service_settings {
	struct core_settings core;
	struct identity identity;
	const struct gauges *gauges; /* those that only the shell knows; read when somebody asks */
	int64_t started_ns;
	const char *folder;         /* of a durable owner, told in status: absolute; else NULL */
	enum durability durability; /* told to clients, and in each reply */
	const struct access *access; /* who may do what; NULL: the rules that there are without any */
	bool read_only;
	/* As process_born, of the process that opens a session; NULL: not told. */
	uint64_t (*process_born)(pid_t pid);
	/* CLOCK_MONOTONIC, to measure how long requests run: read once a message, or more often where that
	 * tells more. NULL: not measured, and none is slow. */
	int64_t (*clock_ns)(void);
	uint64_t slow_after_ns; /* a request that runs for longer is kept for SLOW */
};

/* One message of a round. */
struct service_message {
	/* in */
	struct caller caller;
	uint64_t connection; /* where notices for its sender go; 0: not told */
	uint64_t peer;  /* the same for all messages that came by one return path */
	const uint8_t *body;
	size_t size;
	bool overlong;  /* it had more than the body: broken, whatever the body says */
	bool notices;   /* its sender takes messages that it did not ask for; in and out (HELLO) */
	/* out */
	enum service_verdict {
		MESSAGE_SOUND,
		MESSAGE_BROKEN,     /* answered with CODE_MALFORMED; nothing of it ran */
		MESSAGE_VERSION,    /* answered with CODE_VERSION */
		MESSAGE_UNREADABLE, /* no header of ours: dropped */
	} verdict;
	size_t expected; /* keys of it that the service reads ahead */
};

struct service_reply {
	size_t message; /* index in the round */
	struct buffer body;
};

/* NULL with a sentence in *why. */
struct service *service_new(const struct service_settings *settings, const char **why);
void service_destroy(struct service **service);

/* Takes up `count` messages. `now_ns` is CLOCK_MONOTONIC, for deadlines; `wall_us` the wall clock.
 * The bodies must live until it returns; never blocks. */
void service_round(struct service *service, struct service_message *messages, size_t count, int64_t now_ns,
		   int64_t wall_us);

/* The replies of the last round have left, or it has nothing to reply: what is measured by rounds is. `commit_ns`: of
 * it the disk took so long; 0: it was not asked. */
void service_round_over(struct service *service, int64_t now_ns, int64_t commit_ns);

/* Replaces `out` by all numbers as Prometheus reads them. */
void service_metrics(struct service *service, int64_t now_ns, struct buffer *out);

/* The replies of the last round, in order; valid until the next. A message may have several
 * (its replies do not fit into one): all but the last have the kind MESSAGE_REPLY_PART. */
const struct service_reply *service_replies(const struct service *service, size_t *count);

/* Does what is due by the clocks: silent sessions, waiting requests past their deadline, the
 * behaviour's ticks. When to call again at the latest: *next_ns. */
void service_tend(struct service *service, int64_t now_ns, int64_t wall_us, int64_t *next_ns);

/* No session ends for its silence before `until_ns`: it may have spoken, and not been heard yet. */
void service_spare_silent(struct service *service, int64_t until_ns);

/* A way to connections, for what was not asked for: the transport's, or a simulator's. */
struct outlet {
	void *context;
	/* Would a notice leave now? False also when the connection takes none. */
	bool (*ready)(const void *context, uint64_t connection);
	/* False: dropped, and to be sent again when the connection has read. */
	bool (*send)(void *context, uint64_t connection, const struct buffer *body);
};

/* Hands out late answers and events, to be called when the round is durable. A watch whose connection
 * is not ready keeps its place. True: there is more that could leave at once. */
bool service_deliver(struct service *service, const struct outlet *outlet);

/* The state, with its sessions, is an earlier owner's: those of processes that are gone end at the next
 * service_tend; the others have until their silence is over to be heard again. `identity` is what this owner is called. */
void service_resume(struct service *service, const struct identity *identity, int64_t now_ns);

/* Processes that have opened sessions since: the shell is to watch them, and to say when one has ended.
 * Then their sessions end at once. */
bool service_next_process(struct service *service, pid_t *pid);
void service_process_ended(struct service *service, pid_t pid);

/* Its watches end; its sessions have until their silence is over to be heard again. */
void service_connection_ended(struct service *service, uint64_t connection);

/* From now on requests are refused with CODE_LEAVING, unrun; stores the notice that tells clients. */
void service_leave(struct service *service, struct buffer *notice);

/* Where OUTCOME and BACKUP look from now on; NULL, as at first: nowhere but at living sessions. It must outlive its use. */
void service_set_storage(struct service *service, const struct storage *storage);

/* The rules of access are others now; they must live until the next. Sessions and watches of those who have lost their
 * right to them end: at the next service_tend and service_deliver. Returns how many of each. */
struct revoked {
	size_t sessions, watches;
};
struct revoked service_set_access(struct service *service, const struct access *access);

/* Sessions of keys of which `known` is false, as their numbers are told, end at the next service_tend. Returns how many there
 * are. */
size_t service_end_keys(struct service *service, bool (*known)(const void *context, uint64_t number), const void *context);

/* Who was refused what since it was last asked, for the shell to tell, and then to forget. */
struct denials *service_denials(struct service *service);

/* Are commands refused? And by whose word: NULL where it has been so from the start. */
bool service_is_read_only(const struct service *service, const struct caller **by);

/* DURABILITY_INTERVAL: everything up to this revision is on disk. */
void service_set_synced(struct service *service, uint64_t revision);

struct core *service_core(struct service *service);

#endif
