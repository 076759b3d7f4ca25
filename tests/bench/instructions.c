/* SPDX-License-Identifier: MIT
 *
 * instructions.c - a fixed load on the code of both ends, to count its instructions with: see instructions.pl.
 *
 *	instructions CASE
 *
 * The client's engine and the owner's service talk to each other in one thread, by function calls. No socket, no
 * clock, nothing random: two runs execute the same instructions, but for what the C library chooses by the
 * processor. What is to be counted runs in client_part and owner_part, which callgrind is told to look for; what
 * goes before it, until memory is taken, sessions are open and every key has been asked for, runs outside of them.
 */
#include "clients/engine.h"
#include "owner/state/durability.h"
#include "tests/lib/memory_disk.h"
#include "tests/lib/rig.h"

enum { TIMES = 300, KEYS = 1000, KEY_BYTES = 16, GATHERED = 64 };

static const struct one_case {
	const char *name;
	size_t requests, operations; /* in a message; of a request */
	bool query, put, durable;
} cases[] = {
	{ .name = "get", .requests = 1, .operations = 1, .query = true },
	{ .name = "put", .requests = 1, .operations = 1, .put = true },
	{ .name = "64-gets", .requests = GATHERED, .operations = 1, .query = true },
	{ .name = "64-puts", .requests = GATHERED, .operations = 1, .put = true },
	{ .name = "transaction", .requests = 1, .operations = GATHERED, .put = true },
	{ .name = "durable-put", .requests = 1, .operations = 1, .put = true, .durable = true },
};

struct bench {
	const struct one_case *what;
	struct engine engine;
	struct rig *rig;
	struct disk disk;
	struct durable *durable; /* NULL: in memory only */
	struct buffer out;
	int64_t now_ns;
	uint64_t asked, answered;
	size_t next_key;
	char keys[KEYS][KEY_BYTES];
};

static int64_t ticks_ns = 1000 * NS_PER_S;

static int64_t tick(void)
{
	return ticks_ns += 100;
}

static void not_random(void *bytes, size_t size)
{
	memset(bytes, 7, size);
}

static void give_up(const char *what)
{
	fprintf(stderr, "instructions: %s\n", what);
	exit(1);
}

static void told(struct sole *handle, const struct sole_reply *reply, void *context)
{
	struct bench *b = context;

	(void)handle;
	if (reply->code != SOLE_OK)
		give_up(reply->text);
	b->answered++;
}

static bool nobody_ready(const void *context, uint64_t connection)
{
	(void)context, (void)connection;
	return false;
}

static bool nobody_sends(void *context, uint64_t connection, const struct buffer *body)
{
	(void)context, (void)connection, (void)body;
	return false;
}

/* ---- the two parts: what a process of each end does for a message, but for the sockets ---- */

static void submit(struct bench *b)
{
	struct sole_value arguments[GATHERED][2];
	struct sole_operation operations[GATHERED];
	size_t count = b->what->operations;

	for (size_t i = 0; i < count; i++) {
		arguments[i][0] = sole_bytes(b->keys[b->next_key++ % KEYS], KEY_BYTES - 1);
		arguments[i][1] = sole_integer((int64_t)b->asked);
		operations[i] = (struct sole_operation){ b->what->put ? 2 : 1, b->what->put ? 2 : 1, arguments[i] };
	}
	if (engine_submit(&b->engine, operations, count, SOLE_TABLE | (b->what->query ? SOLE_QUERY : 0), b->now_ns,
			  b->now_ns + 5 * NS_PER_S + (int64_t)b->asked, told, b, NULL) != SOLE_OK)
		give_up("not submitted");
	b->asked++;
}

static bool ask(struct bench *b)
{
	for (size_t i = 0; i < b->what->requests; i++)
		submit(b);
	return engine_next_message(&b->engine, b->now_ns, &b->out);
}

static void hear(struct bench *b, const struct buffer *reply)
{
	engine_receive(&b->engine, reply->data, reply->size, b->now_ns);
	while (engine_deadline(&b->engine) <= b->now_ns)
		engine_expire(&b->engine, b->now_ns);
}

static const struct service_reply *serve(struct bench *b, size_t *count)
{
	const struct outlet nobody = { .ready = nobody_ready, .send = nobody_sends };
	struct service *service = b->rig->service;
	struct service_message message = { .caller = alice, .peer = 1, .connection = 1, .body = b->out.data,
					   .size = b->out.size, .notices = true };

	service_round(service, &message, 1, b->now_ns, b->now_ns / 1000);
	if (b->durable != NULL && durability_commit(b->durable, b->now_ns) != 0)
		give_up("not durable");
	service_round_over(service, b->now_ns + 1000, 0);
	service_deliver(service, &nobody);
	return service_replies(service, count);
}

bool client_part(struct bench *b, const struct buffer *reply);
const struct service_reply *owner_part(struct bench *b, size_t *count);

/* Asks, or hears a reply. */
__attribute__((noinline)) bool client_part(struct bench *b, const struct buffer *reply)
{
	if (reply == NULL)
		return ask(b);
	hear(b, reply);
	return true;
}

__attribute__((noinline)) const struct service_reply *owner_part(struct bench *b, size_t *count)
{
	return serve(b, count);
}

/* Called where the compiler cannot see whom: else it makes copies of them under other names, which are not counted. */
static bool (*volatile client_counted)(struct bench *b, const struct buffer *reply) = client_part;
static const struct service_reply *(*volatile owner_counted)(struct bench *b, size_t *count) = owner_part;

/* ---- */

/* What else is to be said: the hello, the session. */
static void settle(struct bench *b)
{
	size_t count;

	while (engine_next_message(&b->engine, b->now_ns, &b->out)) {
		const struct service_reply *replies = serve(b, &count);
		for (size_t i = 0; i < count; i++)
			hear(b, &replies[i].body);
	}
}

static void exchange(struct bench *b, bool counted)
{
	size_t count;

	b->now_ns += NS_PER_MS / 10;
	if (counted ? client_counted(b, NULL) : ask(b)) {
		const struct service_reply *replies = counted ? owner_counted(b, &count) : serve(b, &count);
		for (size_t i = 0; i < count; i++) {
			if (counted)
				client_counted(b, &replies[i].body);
			else
				hear(b, &replies[i].body);
		}
	}
	settle(b);
}

/* The disk is not what is counted: it takes everything and keeps nothing. */
static ssize_t keep_nothing(void *context, int file, const void *from, size_t size, uint64_t offset)
{
	(void)context, (void)file, (void)from, (void)offset;
	return (ssize_t)size;
}

static int sync_nothing(void *context, int file)
{
	(void)context, (void)file;
	return 0;
}

static void make_durable(struct bench *b, struct memory_disk *disk)
{
	static const struct recovery_options options = { .context = NULL };
	const struct durability_settings settings = { .disk = &b->disk,
						      .level = DURABILITY_SYNC,
						      .segment_bytes = 64 << 20,
						      .snapshot_after = 1 << 30,
						      .snapshots_kept = 2,
						      .history = 0x5678 };
	struct recovery recovery;

	b->disk = *memory_disk_seam(disk);
	b->durable = durability_new(&settings);
	if (b->durable == NULL || durability_start(b->durable, service_core(b->rig->service), 1, &options, &recovery) != RECOVERED)
		give_up("no state");
	b->disk.write = keep_nothing;
	b->disk.sync = sync_nothing;
}

int main(int argc, char **argv)
{
	static struct bench b;
	const struct engine_options options = { .program = "instructions", .window = PROTOCOL_WINDOW, .silence_ms = 30000,
						.random = not_random };
	struct memory_disk *disk = memory_disk_new(1);

	for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++)
		if (strcmp(argv[1], cases[i].name) == 0)
			b.what = &cases[i];
	if (b.what == NULL) {
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
			printf("%s\n", cases[i].name);
		return argc == 1 ? 0 : 64;
	}
	for (int i = 0; i < KEYS; i++)
		snprintf(b.keys[i], KEY_BYTES, "key-%011d", i);
	b.now_ns = ticks_ns;
	b.rig = rig_new();
	b.rig->clock_ns = tick;
	b.rig->slow_after_ns = NS_PER_S;
	b.rig->durability = b.what->durable ? DURABILITY_SYNC : DURABILITY_MEMORY;
	if (!rig_start(b.rig, &table_behaviour, 1) || !engine_init(&b.engine, &options))
		give_up("no memory");
	if (b.what->durable)
		make_durable(&b, disk);
	engine_connected(&b.engine, b.now_ns);
	while (b.next_key < KEYS)
		exchange(&b, false);
	uint64_t before = b.answered;
	for (int i = 0; i < TIMES; i++)
		exchange(&b, true);
	if (b.answered != b.asked)
		give_up("something was not answered");
	printf("%llu\n", (unsigned long long)((b.answered - before) * b.what->operations));
	engine_clear(&b.engine);
	buffer_clear(&b.out);
	durability_destroy(&b.durable);
	rig_free(b.rig);
	memory_disk_free(disk);
	return 0;
}
