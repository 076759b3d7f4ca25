/* SPDX-License-Identifier: MIT
 *
 * sessions.c - what administrators ask: which sessions there are, that one ends, that nothing is changed.
 */
#include "owner/service/service_parts.h"
#include "common/clock.h"

#include <string.h>

enum { PAGE_SESSIONS = 1000 };

/* [id, uid, gid, pid, key, commands, waiting, silent-ms, silence-ms, replies-bytes]; what is not known is none. */
static void write_session(const struct service *service, const struct session *session, struct buffer *out)
{
	const struct caller *opener = &session->opener;
	bool keyed = caller_is_keyed(opener), local = opener->known && !keyed;
	int64_t silent_ns = service->now_ns - session->heard_ns;
	const struct value list[] = {
		value_integer((int64_t)session->id),
		local ? value_integer(opener->uid) : value_none(),
		local ? value_integer(opener->gid) : value_none(),
		local ? value_integer(opener->pid) : value_none(),
		keyed ? value_bytes(opener->key_name, strnlen(opener->key_name, KEY_NAME_MAX)) : value_none(),
		value_integer((int64_t)session->last),
		value_integer(session->waiting_count),
		value_integer(silent_ns > 0 ? silent_ns / NS_PER_MS : 0),
		value_integer(session->silence_ms),
		value_integer((int64_t)session->replies_bytes),
	};

	wire_write_list(out, list, sizeof list / sizeof *list);
}

/* A page behind `cursor`, in the order of slots: one that opens meanwhile may be missed, one that lives is not. */
void item_sessions(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	enum { SESSION_BYTES = 10 * 9 + KEY_NAME_MAX + 8, LEAST_BYTES = 4 * SESSION_BYTES };
	struct sessions *sessions = core_sessions(x->service->core);
	const struct session *session;
	struct value list[1];
	size_t count, most = room_left(x) / SESSION_BYTES;

	if (!wire_read_list(&payload, list, 1, &count) || count != 1 || list[0].type != VALUE_INTEGER || list[0].integer < 0) {
		refuse(x, header, CODE_INVALID, "sessions takes a cursor: 0, or what the page before said");
		return;
	}
	if (room_left(x) < LEAST_BYTES) {
		refuse_spent(x, header);
		return;
	}
	size_t cursor = (size_t)list[0].integer, written = 0;
	struct buffer page = { 0 };
	most = most < PAGE_SESSIONS ? most : PAGE_SESSIONS;
	while (written + 1 < most && (session = sessions_next(sessions, &cursor)) != NULL) {
		write_session(x->service, session, &page);
		written++;
	}
	size_t after = cursor;
	const struct value next = sessions_next(sessions, &after) != NULL ? value_integer((int64_t)cursor) : value_none();
	size_t start = core_begin_reply(x->service->core, header, CODE_OK, x->out);
	wire_write_list(x->out, &next, 1);
	if (page.size > 0)
		buffer_append(x->out, page.data, page.size);
	x->out->failed |= page.failed; /* answered as no-memory */
	wire_finish_item(x->out, start);
	x->items++;
	buffer_clear(&page);
}

void item_end_session(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct value list[1];
	size_t count;

	if (!wire_read_list(&payload, list, 1, &count) || count != 1 || list[0].type != VALUE_INTEGER || list[0].integer == 0) {
		refuse(x, header, CODE_INVALID, "end-session takes the id of a session");
		return;
	}
	struct session *session = sessions_find(core_sessions(x->service->core), (uint64_t)list[0].integer);
	if (session == NULL) {
		refuse(x, header, CODE_CONFLICT, "there is no session of this id (any more)");
		return;
	}
	enum code code = core_end_session(x->service->core, &session);
	if (code != CODE_OK) {
		refuse(x, header, code, "the session goes on: the owner has no memory to end it");
		return;
	}
	counters_of(x->service)->sessions_ended++;
	answer_list(x, header, NULL, 0);
}

/* Asked with nothing, it only tells. */
void item_read_only(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	struct service *service = x->service;
	struct value list[1];
	size_t count = 0;

	if ((payload.left > 0 && !wire_read_list(&payload, list, 1, &count)) || count > 1 ||
	    (count == 1 && (list[0].type != VALUE_INTEGER || list[0].integer < 0 || list[0].integer > 1))) {
		refuse(x, header, CODE_INVALID, "read-only takes 1, 0, or nothing to be told which it is");
		return;
	}
	if (count == 1 && service->read_only != (list[0].integer == 1)) {
		service->read_only = list[0].integer == 1;
		service->read_only_by = x->message->caller;
		service->read_only_told = true;
	}
	const struct value now = value_integer(service->read_only);
	answer_list(x, header, &now, 1);
}
