/* SPDX-License-Identifier: MIT
 *
 * rights.c - what each item of a request takes, and whether its sender has it.
 *
 * Everything that is asked of an owner passes here. A RUN is judged by its operations: what of them the rules do not
 * allow is refused like any other command that is refused, so that it takes its place in its session's sequence and a
 * retry of it hears the same.
 */
#include "owner/service/service_parts.h"

#include <stdio.h>

/* A kind of item that is not here takes a right that nobody thought of: the switch has no default, so that a new one
 * fails to build. */
static enum right right_for(const struct request_header *header)
{
	switch ((enum item_kind)header->kind) {
	case ITEM_PING: /* of a session: whoever lost it is to hear so */
		return header->session != 0 ? RIGHT_NONE : RIGHT_QUERY;
	case ITEM_HELLO:
	case ITEM_STATUS:
	case ITEM_STATS:
	case ITEM_DESCRIBE:
	case ITEM_LATENCIES:
	case ITEM_WATCH:
	case ITEM_UNWATCH:
	case ITEM_OUTCOME:  /* of one's own commands; of all: RIGHT_ADMIN */
	case ITEM_CANCEL:   /* these name a session, which is to be their sender's */
	case ITEM_GOODBYE:
	case ITEM_RECEIVED:
		return RIGHT_QUERY;
	case ITEM_OPEN:
		return RIGHT_COMMAND;
	case ITEM_BACKUP:
	case ITEM_SESSIONS:
	case ITEM_END_SESSION:
	case ITEM_READ_ONLY:
	case ITEM_CLIENTS:  /* these show keys and callers of others */
	case ITEM_HOT:
	case ITEM_SLOW:
	case ITEM_TRACE:
	case ITEM_UNTRACE:
		return RIGHT_ADMIN;
	case ITEM_RUN:      /* by its operations */
	case ITEM_LEAVING:  /* not in requests: malformed */
	case ITEM_EVENTS:
	case ITEM_TRACED:
		break;
	}
	return RIGHT_NONE;
}

static const char *name_of(enum item_kind kind)
{
	switch (kind) {
#define ITEM(number, NAME, name)                                                                   \
	case ITEM_##NAME:                                                                          \
		return name;
		PROTOCOL_ITEMS(ITEM)
#undef ITEM
	}
	return "an item of no known kind";
}

void note_denial(struct exchange *x, const char *what)
{
	denials_note(&x->service->denials, &x->message->caller, what);
}

static void deny(struct exchange *x, const struct request_header *header, const char *text)
{
	counters_of(x->service)->access_denied++;
	note_denial(x, name_of((enum item_kind)header->kind));
	refuse(x, header, CODE_DENIED, text);
}

bool item_allowed(struct exchange *x, const struct request_header *header)
{
	enum right right = right_for(header);
	char text[REFUSAL_TEXT_MAX];

	if (!service_may(x, right)) {
		if (header->kind == ITEM_OPEN)
			x->open_code = CODE_DENIED;
		snprintf(text, sizeof text, "it takes the right '%s', and the rules of access give this caller '%s'", right_name(right),
			 right_name(x->rule->right));
		deny(x, header, text);
		return false;
	}
	if (header->kind == ITEM_WATCH && !access_allows(x->rule, ACCESS_WATCH, true)) {
		deny(x, header, "the rules of access give this caller certain operations only, and 'watch' is none of them");
		return false;
	}
	return true;
}

/* The first of a request's operations that keeps it from being run. What cannot be read, or is not known, is for the
 * core to refuse, and so are the operations behind it: nothing of such a request takes effect. */
static enum code judge_operations(struct exchange *x, struct wire_reader payload)
{
	struct value ignored;
	uint16_t number;
	size_t count;
	bool commands = false;

	while (payload.left > 0) {
		if (!wire_read_u16(&payload, &number) || !wire_read_list(&payload, &ignored, 1, &count))
			return CODE_OK;
		const struct sole_operation_entry *entry = core_operation(x->service->core, number);
		if (entry == NULL)
			continue; /* OPERATION_OTHERWISE, or none */
		if (!access_allows(x->rule, number, entry->kind == SOLE_IS_QUERY)) {
			note_denial(x, entry->name);
			return CODE_DENIED;
		}
		commands = commands || entry->kind != SOLE_IS_QUERY;
	}
	return commands && x->service->read_only ? CODE_READ_ONLY : CODE_OK;
}

enum code run_verdict(struct exchange *x, const struct request_header *header, struct wire_reader payload)
{
	enum code code = CODE_OK;

	if (core_admitted(x->service->core, &x->message->caller, header))
		return CODE_OK; /* its reply is repeated, whatever is allowed now */
	/* To who may do nothing, nothing is told of operations either. */
	if (!service_may(x, RIGHT_QUERY)) {
		note_denial(x, "run");
		code = CODE_DENIED;
	} else {
		code = judge_operations(x, payload);
	}
	counters_of(x->service)->access_denied += code == CODE_DENIED;
	counters_of(x->service)->read_only_refused += code == CODE_READ_ONLY;
	return code;
}
