/* SPDX-License-Identifier: MIT
 *
 * recording.c - writes down what the core has done.
 */
#include "owner/core/core_parts.h"

void core_record_to(struct core *core, struct buffer *out)
{
	core->records = out;
	core->record_count = 0;
	core->late_recorded = core->machine.late_count;
	if (out != NULL)
		store_keep_digest(core->machine.store);
}

uint32_t core_take_record_count(struct core *core)
{
	uint32_t count = core->record_count;

	core->record_count = 0;
	return count;
}

bool records_reserve(struct core *core, size_t bytes)
{
	if (core->records == NULL || buffer_reserve(core->records, RECORD_ROOM + bytes))
		return true;
	core->records->failed = false; /* what it holds is whole */
	return false;
}

static void note(struct core *core, struct record *record)
{
	if (core->records == NULL)
		return;
	record->revision = core->machine.revision;
	record->digest = store_digest(core->machine.store);
	record_write(core->records, record);
	core->record_count++;
}

/* Who waited and was answered by what was just done. Only told: replay comes to the
 * same by itself, so without memory it is left out. */
static void note_answered(struct core *core)
{
	const struct machine *machine = &core->machine;

	/* In replay it is not told, and by then its session may have ended. */
	if (core->records == NULL)
		core->late_recorded = machine->late_count;
	for (; core->late_recorded < machine->late_count; core->late_recorded++) {
		const struct late *late = &machine->late[core->late_recorded];
		/* It is there: what waits is withdrawn before a session ends, so nobody is answered by its end. */
		const struct session *session = sessions_find(machine->sessions, late->session);
		const struct stored_reply *stored = session_stored(session, late->sequence);
		/* What was withdrawn has a record of its own. */
		if (stored == NULL || stored->code != CODE_OK)
			continue;
		bool cut = stored->size > RECORD_REPLY_MAX;
		struct record record = { .kind = RECORD_ANSWERED,
					 .flags = cut ? RECORD_FLAG_CUT : 0,
					 .code = stored->code,
					 .session = late->session,
					 .sequence = late->sequence,
					 .reply = stored_payload(stored),
					 .reply_size = cut ? 0 : stored->size };
		if (records_reserve(core, record.reply_size))
			note(core, &record);
	}
}

void begin_incarnation(struct core *core, int64_t token)
{
	enum { IDS_SKIPPED = 1 << 16 };
	struct sessions *sessions = core->machine.sessions;

	if (token > core->machine.effects.token)
		core->machine.effects.token = token;
	sessions_set_next_id(sessions, sessions_next_id(sessions) + IDS_SKIPPED);
}

void core_start(struct core *core, uint64_t incarnation, int64_t token)
{
	const struct sole_behaviour *behaviour = core->settings.behaviour;
	size_t size = value_text(behaviour->name).size;
	struct record record = { .kind = RECORD_START,
				 .incarnation = incarnation,
				 .token = token,
				 .version = behaviour->version,
				 .behaviour = (const uint8_t *)behaviour->name,
				 .behaviour_size = size };

	begin_incarnation(core, token);
	if (core->records != NULL)
		buffer_reserve(core->records, RECORD_ROOM + size);
	note(core, &record);
}

void record_open(struct core *core, const struct session *session)
{
	struct record record = { .kind = RECORD_OPEN,
				 .session = session->id,
				 .caller = session->opener,
				 .nonce = session->nonce,
				 .silence_ms = session->silence_ms };

	note(core, &record);
}

void record_end(struct core *core, uint64_t session, bool hooked)
{
	struct record record = { .kind = RECORD_END,
				 .flags = hooked ? 0 : RECORD_FLAG_UNHOOKED,
				 .session = session };

	note(core, &record);
	note_answered(core);
}

void record_withdrawn(struct core *core, uint64_t session, uint64_t sequence, enum code code, bool hooked)
{
	struct record record = { .kind = RECORD_WITHDRAWN,
				 .flags = hooked ? 0 : RECORD_FLAG_UNHOOKED,
				 .code = (uint16_t)code,
				 .session = session,
				 .sequence = sequence };

	note(core, &record);
	note_answered(core);
}

void record_received(struct core *core, uint64_t session, uint64_t sequence)
{
	struct record record = { .kind = RECORD_RECEIVED, .session = session, .sequence = sequence };

	note(core, &record);
}

void record_tick(struct core *core)
{
	struct record record = { .kind = RECORD_TICK };

	note(core, &record);
	note_answered(core);
}

void record_migrated(struct core *core, unsigned from_version)
{
	struct record record = { .kind = RECORD_MIGRATED, .version = from_version };

	note(core, &record);
	note_answered(core);
}

void record_refused(struct core *core, const struct session *session, enum code code, const uint8_t *reply,
		    size_t size)
{
	struct record record = { .kind = RECORD_REFUSED,
				 .code = (uint16_t)code,
				 .session = session->id,
				 .sequence = session->last + 1,
				 .acknowledged = session->oldest,
				 .reply = reply,
				 .reply_size = size };

	note(core, &record);
}

void record_run(struct core *core, const struct ran *ran)
{
	if (core->records == NULL) {
		note_answered(core);
		return;
	}
	bool cut = ran->reply_size > RECORD_REPLY_MAX;
	struct record record = { .kind = RECORD_RUN,
				 .flags = (uint8_t)((ran->has_otherwise ? RECORD_FLAG_OTHERWISE : 0) |
						    (cut ? RECORD_FLAG_CUT : 0)),
				 .code = (uint16_t)ran->code,
				 .session = ran->session,
				 .sequence = ran->sequence,
				 .caller = *ran->caller,
				 .acknowledged = ran->acknowledged,
				 .reply_max = (uint32_t)ran->reply_max,
				 .request = ran->request.at,
				 .request_size = ran->request.left,
				 .reply = ran->reply,
				 .reply_size = cut ? 0 : ran->reply_size };

	note(core, &record);
	note_answered(core);
}
