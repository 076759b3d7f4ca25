/* SPDX-License-Identifier: MIT
 *
 * service_parts.h - what the files of the service share: service.c (rounds and messages),
 * items.c (what each item does), about.c (what an owner tells of itself), storage_items.c (what
 * has become of commands, and backups), rights.c (who may do that), sessions.c (what administrators ask), watch.c (events
 * and late answers on their way out), numbers.c (what is measured of requests), numbers_items.c (telling it), tracing.c
 * (traces), metrics.c. Nobody else includes it.
 */
#ifndef SOLE_OWNER_SERVICE_PARTS_H
#define SOLE_OWNER_SERVICE_PARTS_H

#include "owner/service/clients.h"
#include "owner/service/latency.h"
#include "owner/service/service.h"
#include "owner/service/sketch.h"
#include "owner/service/slow.h"
#include "owner/service/trace.h"

enum {
	CANCELS_MAX = 1024,       /* noted ahead in one round; further ones are answered in turn */
	EXPECTED_MOST = 4096,     /* keys of a round that are read ahead; later ones are not */
	AHEAD_KEYS = 192,         /* at once, or those of one message */
	REFUSAL_MAX_BYTES = 256,  /* of a refusal without detail */
	CANCEL_REPLY_BYTES = 64,  /* of what stands before the reply that a cancel repeats */
};

struct noted_cancel {
	uint64_t session, sequence;
	const struct service_message *message;
	bool query, withdrew;
};

/* Somebody who wants events. */
struct watch {
	uint64_t connection, id;
	uint64_t next;        /* the place of the next event to look at */
	uint64_t told;        /* up to which its client knows that it has missed nothing */
	uint8_t *prefix;
	size_t prefix_size;
	struct caller caller; /* who asked for it */
	bool revoked;         /* may not have it any more: hears so, and it ends */
};

/* The heaviest of the requests since the clock was last read. */
struct heaviest {
	struct request_header header;
	struct wire_reader payload;
	uint64_t weight, revision;
	enum code code;
};

/* What is measured. */
struct numbers {
	struct latencies *latencies;
	struct sketch sketch;
	struct slow slow;
	struct clients clients;
	size_t arrived;        /* messages of the last round */
	int64_t wall_us;
	int64_t span_ns;       /* when the clock was last read */
	uint32_t together;     /* requests since */
	struct heaviest heaviest;
	struct trace *traces;
	size_t trace_count, trace_room;
};

struct service {
	struct service_settings settings;
	struct core *core;
	struct service_reply *replies;
	size_t reply_count, reply_room;
	struct noted_cancel cancels[CANCELS_MAX];
	size_t cancel_count;
	bool expects;         /* the round has more than one request */
	size_t expected_count;
	uint64_t expected[EXPECTED_MOST]; /* as store_expect returned them */
	uint64_t reply_bytes; /* of the items of this round */
	const struct storage *storage; /* or NULL */
	uint64_t synced;      /* DURABILITY_INTERVAL: the revision that is on disk */
	int64_t now_ns;
	const struct access *access;
	struct access no_rules;
	struct denials denials;
	bool read_only;
	struct caller read_only_by; /* pid 0 and not known: nobody has said so since the start */
	bool read_only_told;
	int64_t sessions_ns;  /* when silent sessions are looked for next */
	bool leaving;

	int64_t waits_ns;         /* when requests that wait are looked at next, and not before */
	int64_t waits_from_ns;
	pid_t *processes;         /* that have opened sessions, for the shell to watch */
	size_t process_count, process_room;
	struct watch *watches;
	size_t watch_count, watch_room;
	size_t watch_turn;        /* the one served first is before this */
	uint64_t watches_at;      /* the place that every watch has reached, unless one is behind */
	bool watches_behind;
	struct buffer notice;     /* being written */
	struct numbers numbers;
};

/* One message while it is being answered. */
struct exchange {
	struct service *service;
	struct service_message *message;
	size_t index;
	struct message_header header;
	const struct access_rule *rule; /* that decides about its sender */
	uint64_t opened;      /* the session of the last OPEN in this message, or 0 and why there is none */
	enum code open_code;
	unsigned items_left;  /* behind the one being answered */
	unsigned runs;        /* requests of operations in it, so far */
	struct buffer *out;   /* the reply message being written */
	unsigned items;       /* in it */
	struct client *client; /* who sent it, or NULL; valid while it is being answered */
};

static inline struct counters *counters_of(const struct service *service)
{
	return service->settings.core.counters;
}

/* service.c: the head of a message of ours. */
void write_head(const struct service *service, enum message_kind kind, uint64_t tag, struct buffer *out);

/* items.c: answers one item of a request; appends to x->out, counts in x->items. */
void item_answer(struct exchange *x, const struct request_header *header, struct wire_reader payload);

/* The shell is to tell when this process ends. Without memory its sessions end by silence. */
void note_process(struct service *service, const struct caller *caller);

/* rights.c: may whoever sent this message do what takes that right? */
static inline bool service_may(const struct exchange *x, enum right right)
{
	return access_gives(x->rule, right);
}

/* rights.c: may the sender ask for items of this kind at all? If not, that is answered, counted and noted. Not for RUN,
 * which is judged by its operations. */
bool item_allowed(struct exchange *x, const struct request_header *header);

/* rights.c: CODE_OK, or CODE_DENIED or CODE_READ_ONLY, by the operations of a RUN that run_is_free leaves to be judged. */
enum code run_verdict(struct exchange *x, const struct request_header *header, struct wire_reader payload);

/* May the sender run whatever there is of that kind? The core holds a query to be one. Here, for speed. */
static inline bool run_is_free(const struct exchange *x, const struct request_header *header)
{
	bool query = (header->flags & REQUEST_FLAG_QUERY) != 0;

	return x->rule->operations == NULL && service_may(x, query ? RIGHT_QUERY : RIGHT_COMMAND) &&
	       (query || !x->service->read_only);
}

/* rights.c: notes that the sender was refused that. */
void note_denial(struct exchange *x, const char *what);

/* items.c: may the sender of `a` withdraw a request of the sender of `b`? */
bool same_sender(const struct service_message *a, const struct service_message *b, uint64_t session);

/* items.c: appends a refusal, or an answer of one list, to what is being answered. */
void refuse(struct exchange *x, const struct request_header *header, enum code code, const char *text);
void refuse_spent(struct exchange *x, const struct request_header *header);
void answer_list(struct exchange *x, const struct request_header *header, const struct value *list, size_t count);

/* items.c: what the reply items being written may take. */
size_t room_left(const struct exchange *x);
bool round_is_spent(const struct service *service);

/* storage_items.c */
void item_outcome(struct exchange *x, const struct request_header *header, struct wire_reader payload);
void item_backup(struct exchange *x, const struct request_header *header, struct wire_reader payload);

/* storage_items.c: says in the replies to RUN from `start` on whether what they show is on disk. `fresh`: they may answer a
 * command of this very round, which has not been synced. */
void write_durable_marks(const struct service *service, bool fresh, size_t start, struct buffer *out);
static inline void mark_durable(const struct service *service, bool fresh, size_t start, struct buffer *out)
{
	if (service->settings.durability != DURABILITY_MEMORY)
		write_durable_marks(service, fresh, start, out);
}

/* sessions.c */
void item_sessions(struct exchange *x, const struct request_header *header, struct wire_reader payload);
void item_end_session(struct exchange *x, const struct request_header *header, struct wire_reader payload);
void item_read_only(struct exchange *x, const struct request_header *header, struct wire_reader payload);

/* about.c */
struct number {
	const char *name, *unit, *sentence;
	const char *kind;  /* "counter", "longest" (so far), "gauge" */
	const char *group; /* the title it stands below */
	uint64_t value;
};
/* Every counter, every code that has been answered, every gauge, in this order. */
void each_number(const struct service *service, int64_t now_ns, void (*each)(void *context, const struct number *number),
		 void *context);
void item_status(struct exchange *x, const struct request_header *header);
void item_stats(struct exchange *x, const struct request_header *header);
void item_describe(struct exchange *x, const struct request_header *header);

/* numbers.c */
bool numbers_init(struct service *service);
void numbers_clear(struct service *service);
void numbers_round(struct service *service, size_t arrived, int64_t wall_us);
void numbers_message(struct exchange *x);
void numbers_heavier(struct exchange *x, const struct request_header *header, struct wire_reader payload, enum code code,
		     uint64_t weight);
void numbers_look(struct exchange *x, struct wire_reader payload, bool keys, bool span, bool traced);
bool numbers_traced(struct exchange *x, struct wire_reader payload);
void numbers_message_over(struct exchange *x);

enum {
	NUMBERS_SPAN = 256,   /* checkpoints of one request that is measured by itself */
	NUMBERS_WEIGHT = 64,  /* as many bytes of request or reply weigh as much as a checkpoint */
};

/* A RUN is about to be answered. True: somebody may want to be told of it, and it is measured by itself. */
static inline bool numbers_begin(struct exchange *x, struct wire_reader payload)
{
	return x->service->numbers.trace_count > 0 && numbers_traced(x, payload);
}

/* It has been answered with `code`, in `bytes` of reply, and counted so many checkpoints. Here, for speed. */
static inline void numbers_request(struct exchange *x, const struct request_header *header, struct wire_reader payload,
				   enum code code, uint64_t checkpoints, size_t bytes, bool traced)
{
	struct numbers *n = &x->service->numbers;
	uint64_t weight = checkpoints * NUMBERS_WEIGHT + payload.left + bytes;
	bool keys = sketch_due(&n->sketch), span = checkpoints >= NUMBERS_SPAN || traced;

	x->runs++;
	if (n->together++ == 0 || weight > n->heaviest.weight)
		numbers_heavier(x, header, payload, code, weight);
	if (keys || span)
		numbers_look(x, payload, keys, span, traced);
}
/* What only looking at everything tells, and the shell's own. */
struct gauges gauges_of(const struct service *service, int64_t now_ns);

/* tracing.c */
bool traces_want(const struct exchange *x, struct wire_reader payload);
void traces_add(struct service *service, const struct seen *seen);
void traces_round_over(struct service *service, uint64_t took_ns);
void traces_end(struct service *service, uint64_t connection);
size_t traces_revoke(struct service *service);
/* True: some have more that could leave at once. */
bool traces_deliver(struct service *service, const struct outlet *outlet);
void item_trace(struct exchange *x, const struct request_header *header, struct wire_reader payload);
void item_untrace(struct exchange *x, const struct request_header *header);

/* numbers_items.c */
void item_latencies(struct exchange *x, const struct request_header *header, struct wire_reader payload);
void item_clients(struct exchange *x, const struct request_header *header, struct wire_reader payload);
void item_hot(struct exchange *x, const struct request_header *header);
void item_slow(struct exchange *x, const struct request_header *header, struct wire_reader payload);

/* watch.c: an item of a notice about what nobody asked for just now. */
size_t begin_notice(struct service *service, enum item_kind kind, uint64_t id, enum code code);
bool send_notice(struct service *service, const struct outlet *outlet, uint64_t connection, size_t item);

/* watch.c */
void item_watch(struct exchange *x, const struct request_header *header, struct wire_reader payload);
void item_unwatch(struct exchange *x, const struct request_header *header);
void watches_end(struct service *service, uint64_t connection);
size_t watches_revoke(struct service *service);

#endif
