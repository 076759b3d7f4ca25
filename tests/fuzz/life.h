/* SPDX-License-Identifier: MIT
 *
 * life.h - a short life of a table's owner, with one record of each kind that it has and something of everything in its
 * state: what the fuzz targets of disk formats begin from. The same each time.
 */
#ifndef SOLE_TESTS_FUZZ_LIFE_H
#define SOLE_TESTS_FUZZ_LIFE_H

#include "tests/fuzz/fuzz.h"
#include "tests/lib/rig.h"

#include "owner/state/snapshot.h"

enum { LIFE_ROUNDS = 16, LIFE_SEED = 0x5eed5eed };

struct life {
	struct rig *rig;
	struct buffer records; /* of all rounds, one behind the other */
	size_t count;
	struct life_round {
		size_t start, size;
		uint32_t records;
		int64_t time_us;
		uint64_t revision;
	} rounds[LIFE_ROUNDS];
};

static inline void life_end_round(struct life *life)
{
	struct core *core = service_core(life->rig->service);
	size_t late, start = life->count == 0 ? 0 :
				     life->rounds[life->count - 1].start + life->rounds[life->count - 1].size;

	require(life->count < LIFE_ROUNDS && !life->records.failed);
	core_take_late(core, &late);
	life->rounds[life->count++] = (struct life_round){ .start = start,
							   .size = life->records.size - start,
							   .records = core_take_record_count(core),
							   .time_us = core_scalars(core).now_us,
							   .revision = core_revision(core) };
}

static inline void life_round(struct life *life)
{
	rig_round(life->rig);
	life_end_round(life);
}

static inline void life_lock(struct rig *rig, uint16_t operation, const char *name)
{
	const struct value value = value_text(name);

	rig_operation(rig, operation, &value, 1);
}

static inline uint64_t life_open(struct life *life, const struct caller *caller, uint8_t nonce)
{
	rig_message(life->rig, caller, true);
	rig_open(life->rig, nonce, 5000);
	life_round(life);
	return rig_answer(life->rig, 0)->header.session;
}

static inline struct life *life_new(void)
{
	enum { PUT_FOR = 12, BIND = 15, LOCK = 20, UNLOCK = 22 };
	struct life *life = calloc(1, sizeof *life);
	int64_t next_ns;

	require(life != NULL);
	struct rig *rig = life->rig = rig_new();
	rig->limits.events_bytes = 4096;
	require(rig_start(rig, &table_behaviour, LIFE_SEED));
	struct core *core = service_core(rig->service);
	core_record_to(core, &life->records);
	core_start(core, 0x1234, 100);
	uint64_t one = life_open(life, &alice, 1), two = life_open(life, &bob, 2);

	rig_message(rig, &alice, true);
	rig_command(rig, one, 1);
	rig_put(rig, "apples", value_integer(12));
	rig_put(rig, "pears", value_text("thirteen"));
	rig_command(rig, one, 2);
	life_lock(rig, LOCK, "gate");
	rig_command(rig, one, 3);
	const struct value bound[] = { value_text("here"), value_integer(1) };
	rig_operation(rig, BIND, bound, 2);
	rig_command(rig, one, 4);
	const struct value passing[] = { value_text("soon"), value_integer(1), value_integer(20) };
	rig_operation(rig, PUT_FOR, passing, 3);
	rig_command(rig, one, 5); /* refused */
	rig_cas(rig, "apples", value_integer(1), value_integer(2));
	life_round(life);

	rig_message(rig, &bob, true);
	rig_command(rig, two, 1); /* waits, is answered */
	life_lock(rig, LOCK, "gate");
	rig_command(rig, two, 2); /* waits, and is withdrawn */
	life_lock(rig, LOCK, "gate");
	rig_cancel(rig, two, 2, false);
	rig_command(rig, 0, 1);
	rig_put(rig, "of nobody", *rig_big(2000));
	life_round(life);

	rig_message(rig, &alice, true);
	rig_command(rig, one, 6);
	life_lock(rig, UNLOCK, "gate");
	rig_command(rig, one, 7);
	life_lock(rig, LOCK, "gate");
	life_round(life);

	rig_message(rig, &bob, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_RECEIVED, .session = two, .sequence = 1 });
	rig_command(rig, two, 3);
	rig_delete(rig, "pears");
	life_round(life);

	uint64_t three = life_open(life, &alice_again, 3);
	rig_message(rig, &alice_again, true);
	rig_command(rig, three, 1); /* waits, until the end */
	life_lock(rig, LOCK, "gate");
	life_round(life);
	uint64_t four = life_open(life, &alice_again, 4);
	rig_message(rig, &alice_again, true);
	rig_item(rig, &(struct request_header){ .kind = ITEM_GOODBYE, .session = four });
	life_round(life);

	rig->now_ns += 1000 * NS_PER_MS;
	rig->wall_us += 1000000;
	service_tend(rig->service, rig->now_ns, rig->wall_us, &next_ns);
	life_end_round(life);
	return life;
}

static inline void life_free(struct life *life)
{
	rig_free(life->rig);
	buffer_clear(&life->records);
	free(life);
}

/* A core to bring a state into: as the one of the life, but for its hash seed. */
static inline struct core *life_core(const struct life *life)
{
	static struct counters counters;
	const struct core_settings settings = { .behaviour = &table_behaviour,
						.limits = &life->rig->limits,
						.counters = &counters,
						.hash_seed = 77,
						.session_seed = 0x5eed5eed5eed5eed };
	const char *why;
	struct core *core = core_new(&settings, &why);

	require(core != NULL);
	return core;
}

/* What a state of whatever origin must stand, if its invariant holds. One that was reached by requests, and not
 * made up, goes on holding it. */
static inline void life_use(struct core *core, bool reached)
{
	static const uint8_t nonce[PROTOCOL_NONCE_BYTES] = { 99 };
	struct sessions *sessions = core_sessions(core);
	struct session *session;
	struct buffer out = { 0 }, request = { 0 };
	const struct value key = value_text("gate"), scan[] = { value_none(), value_none(), value_integer(0) };
	size_t cursor = 0, late;

	require(core_invariant(core) == NULL);
	core_tick(core);
	core_open_session(core, &alice, nonce, 1000, &session);
	while ((session = sessions_next(sessions, &cursor)) != NULL) {
		const struct caller caller = session->opener;
		static const uint16_t operations[] = { 1, 2, 3, 4, 6, 10, 13, 15, 18, 20, 22, 23 };
		for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
			const struct request_header header = { .kind = ITEM_RUN,
							       .session = session->id,
							       .sequence = session->last + 1,
							       .window = i & 1 ? UINT16_MAX : 0 };
			buffer_reset(&request);
			buffer_u16(&request, operations[i]);
			if (operations[i] == 10)
				wire_write_list(&request, scan, 3);
			else {
				const struct value list[] = { key, value_integer(1) };
				bool pair = operations[i] == 2 || operations[i] == 4 || operations[i] == 13 || operations[i] == 15;
				wire_write_list(&request, list, pair ? 2 : operations[i] == 6 ? 0 : 1);
			}
			buffer_reset(&out);
			require(buffer_reserve(&out, CORE_REPLY_RESERVE + 4096));
			core_run(core, &caller, &header, wire_reader(request.data, request.size), CODE_OK, 4096, &out);
		}
	}
	core_take_late(core, &late);
	require(core_invariant(core) == NULL || !reached);
	cursor = 0;
	while ((session = sessions_next(sessions, &cursor)) != NULL)
		core_end_session(core, &session);
	core_take_late(core, &late);
	require(core_invariant(core) == NULL || !reached);
	buffer_clear(&out);
	buffer_clear(&request);
}

#endif
