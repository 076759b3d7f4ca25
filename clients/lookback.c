/* SPDX-License-Identifier: MIT
 *
 * lookback.c - what became of a command, and a whole state as a snapshot.
 */
#include "clients/library.h"

_Static_assert((int)SOLE_FATE_RAN == (int)FATE_RAN && (int)SOLE_FATE_REFUSED == (int)FATE_REFUSED &&
	       (int)SOLE_FATE_WAITING == (int)FATE_WAITING && (int)SOLE_FATE_NOT_COME == (int)FATE_NOT_COME &&
	       (int)SOLE_FATE_NEVER_CAME == (int)FATE_NEVER_CAME && (int)SOLE_FATE_UNKNOWN == (int)FATE_UNKNOWN,
	       "sole.h and protocol.h differ");

/* ---- what became of a command ---- */

int sole_fate_of(const struct sole_reply *reply, struct sole_fate *fate)
{
	*fate = (struct sole_fate){ .fate = SOLE_FATE_UNKNOWN, .code = reply->code, .text = reply->text };
	if (reply->code != SOLE_OK)
		return reply->code;
	const struct sole_value *v = reply->result_count > 0 ? reply->results[0].values : NULL;
	if (v == NULL || reply->results[0].count < 3 || v[0].type != SOLE_INTEGER || v[1].type != SOLE_INTEGER ||
	    v[2].type != SOLE_INTEGER || v[0].integer < SOLE_FATE_RAN || v[0].integer > SOLE_FATE_UNKNOWN ||
	    v[1].integer < 0 || v[1].integer > UINT16_MAX) {
		fate->code = SOLE_PROTOCOL;
		fate->text = sole_text_of(SOLE_PROTOCOL);
		return SOLE_PROTOCOL;
	}
	fate->fate = (enum sole_fate_kind)v[0].integer;
	fate->code = (int)v[1].integer;
	fate->text = sole_text_of(fate->code);
	fate->revision = (uint64_t)v[2].integer;
	fate->history = reply->history;
	fate->result_count = reply->result_count - 1;
	fate->results = reply->result_count > 1 ? reply->results + 1 : NULL;
	return SOLE_OK;
}

int sole_outcome(struct sole *handle, uint64_t session, uint64_t sequence, int64_t timeout_ns, struct sole_fate *fate)
{
	const struct value list[] = { value_integer((int64_t)session), value_integer((int64_t)sequence) };
	struct sole_reply reply = library_reply(SOLE_USAGE);

	if (session != 0 && sequence != 0)
		library_ask(handle, ITEM_OUTCOME, list, 2, timeout_ns, &reply);
	return sole_fate_of(&reply, fate);
}

int sole_submit_outcome(struct sole *handle, uint64_t session, uint64_t sequence, int64_t timeout_ns,
			sole_callback *callback, void *context, uint64_t *request)
{
	const struct value list[] = { value_integer((int64_t)session), value_integer((int64_t)sequence) };

	if (session == 0 || sequence == 0)
		return SOLE_USAGE;
	return library_submit(handle, ITEM_OUTCOME, list, 2, timeout_ns, callback, context, request);
}

/* ---- backups ---- */

/* Hands a part on. SOLE_OK, and *end tells whether it was the last; SOLE_PROTOCOL; SOLE_CANCELLED. */
static int take_part(const struct sole_reply *reply, uint64_t *offset, sole_write *write, void *context, bool *end)
{
	const struct sole_value *v = reply->result_count > 0 ? reply->results[0].values : NULL;

	if (v == NULL || reply->results[0].count < 3 || v[1].type != SOLE_INTEGER || v[2].type != SOLE_BYTES)
		return SOLE_PROTOCOL;
	uint64_t after = *offset + v[2].size;
	*end = v[1].integer >= 0 && after == (uint64_t)v[1].integer;
	if ((v[2].size == 0 && !*end) || (v[1].integer >= 0 && after > (uint64_t)v[1].integer))
		return SOLE_PROTOCOL;
	if (v[2].size > 0 && write(context, v[2].bytes, v[2].size) != 0)
		return SOLE_CANCELLED;
	*offset = after;
	return SOLE_OK;
}

/* Asking for what is behind the end tells the owner that it need not keep the backup. Whatever it answers. */
static void let_go(struct sole *handle, uint64_t id, uint64_t offset, int64_t timeout_ns)
{
	const struct value list[] = { value_integer((int64_t)id), value_integer((int64_t)offset) };

	library_ask(handle, ITEM_BACKUP, list, 2, timeout_ns, NULL);
}

int sole_backup(struct sole *handle, sole_write *write, void *context, int64_t timeout_ns, struct sole_reply *reply)
{
	struct sole_reply answer = library_reply(SOLE_USAGE);
	uint64_t id = 0, offset = 0;
	bool end = write == NULL;

	/* Of this connection: another client's may bear the same number. */
	while (id == 0)
		library_random(&id, sizeof id);
	while (!end) {
		const struct value list[] = { value_integer((int64_t)id), value_integer((int64_t)offset) };
		if (library_ask(handle, ITEM_BACKUP, list, 2, timeout_ns, &answer) != SOLE_OK)
			break;
		int code = take_part(&answer, &offset, write, context, &end);
		if (code != SOLE_OK) {
			answer = library_reply(code);
			break;
		}
	}
	if (end && write != NULL)
		let_go(handle, id, offset, timeout_ns);
	answer.result_count = 0;
	answer.results = NULL;
	if (reply != NULL)
		*reply = answer;
	return answer.code;
}
