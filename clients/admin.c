/* SPDX-License-Identifier: MIT
 *
 * admin.c - what administrators ask of an owner: its sessions, the end of one, that nothing is changed.
 */
#include "clients/library.h"

static bool is_integer_at(const struct sole_list *list, size_t index)
{
	return list->values[index].type == SOLE_INTEGER;
}

/* [id, uid, gid, pid, key, commands, waiting, silent-ms, silence-ms, replies-bytes, ...]. False: it is not that. */
static bool read_session(const struct sole_list *list, struct sole_session *session)
{
	enum { ID, UID, GID, PID, KEY, COMMANDS, WAITING, SILENT, SILENCE, REPLIES, FIELDS };
	const struct sole_value *v = list->values;

	if (list->count < FIELDS || !is_integer_at(list, ID))
		return false;
	for (size_t i = COMMANDS; i < FIELDS; i++)
		if (!is_integer_at(list, i))
			return false;
	bool local = is_integer_at(list, UID) && is_integer_at(list, GID) && is_integer_at(list, PID);
	*session = (struct sole_session){
		.session = (uint64_t)v[ID].integer,
		.uid = local ? v[UID].integer : -1,
		.gid = local ? v[GID].integer : -1,
		.pid = local ? v[PID].integer : -1,
		.key = v[KEY],
		.commands = (uint64_t)v[COMMANDS].integer,
		.waiting = (uint64_t)v[WAITING].integer,
		.silent_ms = v[SILENT].integer,
		.silence_ms = v[SILENCE].integer,
		.replies_bytes = (uint64_t)v[REPLIES].integer,
	};
	return true;
}

/* Hands on what a page holds. *cursor: where the next begins; -1: there is none. */
static int take_page(const struct sole_reply *reply, sole_session_visit *visit, void *context, int64_t *cursor)
{
	const struct sole_list *head = reply->results;

	if (reply->result_count == 0 || head->count < 1)
		return SOLE_PROTOCOL;
	int64_t next = is_integer_at(head, 0) ? head->values[0].integer : -1;
	if (next >= 0 && next <= *cursor)
		return SOLE_PROTOCOL;
	for (size_t i = 1; i < reply->result_count; i++) {
		struct sole_session session;
		if (!read_session(&reply->results[i], &session))
			return SOLE_PROTOCOL;
		if (visit(context, &session) != 0)
			return SOLE_CANCELLED;
	}
	*cursor = next;
	return SOLE_OK;
}

static int hand_back(const struct sole_reply *answer, struct sole_reply *reply)
{
	if (reply != NULL) {
		*reply = *answer;
		reply->result_count = 0;
		reply->results = NULL;
	}
	return answer->code;
}

int sole_sessions(struct sole *handle, sole_session_visit *visit, void *context, int64_t timeout_ns, struct sole_reply *reply)
{
	struct sole_reply answer = library_reply(SOLE_USAGE);
	int64_t cursor = 0;

	while (visit != NULL && cursor >= 0) {
		const struct value list[] = { value_integer(cursor) };
		if (library_ask(handle, ITEM_SESSIONS, list, 1, timeout_ns, &answer) != SOLE_OK)
			break;
		int code = take_page(&answer, visit, context, &cursor);
		if (code != SOLE_OK) {
			answer = library_reply(code);
			break;
		}
	}
	return hand_back(&answer, reply);
}

int sole_end_session(struct sole *handle, uint64_t session, int64_t timeout_ns, struct sole_reply *reply)
{
	const struct value list[] = { value_integer((int64_t)session) };
	struct sole_reply answer = library_reply(SOLE_USAGE);

	if (session != 0)
		library_ask(handle, ITEM_END_SESSION, list, 1, timeout_ns, &answer);
	return hand_back(&answer, reply);
}

int sole_read_only(struct sole *handle, int wanted, int *now, int64_t timeout_ns, struct sole_reply *reply)
{
	const struct value list[] = { value_integer(wanted != 0) };
	struct sole_reply answer;

	library_ask(handle, ITEM_READ_ONLY, list, wanted >= 0 ? 1 : 0, timeout_ns, &answer);
	if (answer.code == SOLE_OK) {
		const struct sole_list *told = answer.results;
		if (answer.result_count == 0 || told->count < 1 || !is_integer_at(told, 0))
			answer = library_reply(SOLE_PROTOCOL);
		else if (now != NULL)
			*now = told->values[0].integer != 0;
	}
	return hand_back(&answer, reply);
}
