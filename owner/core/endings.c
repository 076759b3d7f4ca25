/* SPDX-License-Identifier: MIT
 *
 * endings.c - what nobody asks for: sessions that end, requests that wait no longer, what is due.
 */
#include "owner/core/core_parts.h"

enum { TICKS_AT_ONCE = 64, TICK_AGAIN_US = 1000000 };

void count_refusal(struct counters *counters, enum code code)
{
	counters->requests_refused++;
	if (code == CODE_EXPIRED)
		counters->requests_expired++;
	if (code == CODE_CANCELLED)
		counters->requests_cancelled++;
	if (code == CODE_CRASHED)
		counters->requests_crashed++;
	if (code == CODE_FULL)
		counters->limit_state++;
	if (code == CODE_NO_MEMORY)
		counters->limit_memory++;
}

/* Should the behaviour fail at it other than for want of memory, it would fail again: the request goes all
 * the same, and whoever comes to its place in the line finds that it does not wait. */
enum code withdraw(struct core *core, struct session *session, uint64_t sequence, enum code code, bool hooked)
{
	struct machine *machine = &core->machine;

	if (!records_reserve(core, 0))
		return CODE_NO_MEMORY;
	enum code hook = hooked ? execution_hook(machine, machine->behaviour->withdrawn, session->id, sequence) :
				  CODE_INVALID;
	if (hook == CODE_NO_MEMORY)
		return CODE_NO_MEMORY;
	/* The behaviour may have answered it in the same breath. */
	if (session_waits(session, sequence)) {
		/* Without a payload, which would need memory: write_stored knows what to say. */
		session_answer(machine->sessions, session, sequence, (uint16_t)code, machine->revision, NULL, 0);
		execution_note_late(machine, session->id, sequence);
		machine->counters->waits_withdrawn++;
		count_refusal(machine->counters, code);
	}
	record_withdrawn(core, session->id, sequence, code, hook == CODE_OK);
	return CODE_OK;
}

enum code finish_session(struct core *core, struct session **session, bool hooked)
{
	struct machine *machine = &core->machine;
	uint64_t revision = machine->revision, id = (*session)->id;

	if (!records_reserve(core, 0))
		return CODE_NO_MEMORY;
	enum code hook = hooked ? execution_hook(machine, machine->behaviour->session_ended, id, 0) : CODE_INVALID;
	/* Else what it holds would be held for ever. */
	if (hook == CODE_NO_MEMORY)
		return CODE_NO_MEMORY;
	sessions_end(machine->sessions, session);
	machine->revision = revision + 1;
	record_end(core, id, hook == CODE_OK);
	return CODE_OK;
}

enum code core_end_session(struct core *core, struct session **session)
{
	uint64_t waiting;

	while ((waiting = session_first_waiting(*session)) != 0)
		if (withdraw(core, *session, waiting, CODE_CANCELLED, true) != CODE_OK)
			return CODE_NO_MEMORY;
	return finish_session(core, session, true);
}

int64_t core_tick(struct core *core)
{
	struct machine *machine = &core->machine;
	int64_t due_us = INT64_MAX;

	if (machine->behaviour->due == NULL || machine->behaviour->tick == NULL)
		return INT64_MAX;
	for (int i = 0; i < TICKS_AT_ONCE; i++) {
		uint64_t revision = machine->revision;
		due_us = machine->behaviour->due(machine->context);
		if (due_us == 0)
			return INT64_MAX;
		if (due_us < core->ticks_from_us)
			due_us = core->ticks_from_us;
		if (due_us > machine->now_us)
			return due_us;
		machine->counters->ticks++;
		/* What fails once, or does nothing, would do so for ever: it is tried again in a second. */
		bool done = records_reserve(core, 0) &&
			    execution_hook(machine, machine->behaviour->tick, 0, 0) == CODE_OK &&
			    machine->revision != revision;
		if (done)
			record_tick(core);
		else
			core->ticks_from_us = machine->now_us + TICK_AGAIN_US;
	}
	return due_us;
}

bool core_expire(struct core *core, uint64_t id, uint64_t sequence)
{
	struct session *session = sessions_find(core->machine.sessions, id);

	return session == NULL || !session_waits(session, sequence) ||
	       withdraw(core, session, sequence, CODE_EXPIRED, true) == CODE_OK;
}
