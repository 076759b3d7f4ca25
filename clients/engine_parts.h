/* SPDX-License-Identifier: MIT
 *
 * engine_parts.h - what engine.c, compose.c and receive.c share; for nobody else.
 *
 *	engine.c    the life of a request and of a connection, and time
 *	watches.c   the life of a watch
 *	traces.c    the life of a trace
 *	compose.c   writes messages
 *	receive.c   reads them
 */
#ifndef SOLE_CLIENTS_ENGINE_PARTS_H
#define SOLE_CLIENTS_ENGINE_PARTS_H

#include "clients/engine.h"

static inline bool request_is_command(const struct request *request)
{
	return request->kind == ITEM_RUN && !request->query;
}

/* What the owner's disk is asked for, which may be "not yet". */
static inline bool request_is_search(const struct request *request)
{
	return request->kind == ITEM_OUTCOME || request->kind == ITEM_BACKUP;
}

/* The command under way, or parked, with this sequence; or NULL. */
struct request *engine_command(const struct engine *engine, uint64_t sequence);

/* The request is to be written once more. */
void engine_again(struct engine *engine, struct request *request);

/* Its answer is known without the owner: engine_expire tells it. Takes it out of its queue,
 * or leaves a ghost there if it holds a sequence of an open session. */
void engine_decide(struct engine *engine, struct request *request, enum sole_code code);

/* Tells the answer and forgets the request, which the owner has resolved. */
void engine_answer(struct engine *engine, struct request *request, struct sole_reply *reply);

/* Forgets a request without telling anybody: a ghost that was laid. */
void engine_release(struct engine *engine, struct request *request);

/* Ends the session on this side: commands that may have run are decided with `code`; the others
 * go back to wait for the next session, in order. */
void engine_end_session(struct engine *engine, enum sole_code code);

/* Ends a lost session once it is known of each of its commands whether it can have run. */
void engine_bury_session(struct engine *engine);

/* The record of a message under way, or NULL; and its end, when its answer is complete. */
struct engine_message *engine_message(struct engine *engine, uint64_t tag);
void engine_message_done(struct engine *engine, struct engine_message *message);

/* An answer to this tag has come: what of the overdue messages before it has none is lost, and what
 * they carried goes out again. */
void engine_prove(struct engine *engine, uint64_t answered_tag);

/* A fresh reply with what every reply with this code says. */
struct sole_reply engine_reply(const struct engine *engine, int code);

/* The owner has admitted the request and answers later: it leaves the window. */
void engine_park(struct engine *engine, struct request *request, int64_t now_ns);

/* The late answer to that sequence of the session is here: the owner need not keep it. */
void engine_received(struct engine *engine, uint64_t sequence, int64_t now_ns);

/* Tells what has become of the session, if that is news. */
void engine_tell_session(struct engine *engine);

/* ---- watches.c ---- */

/* Gives it the number that it is asked for with next. */
void watches_renumber(struct engine *engine, struct engine_watch *watch);

/* They are asked for anew: all, or those that the message with this tag asked for. */
void watches_disconnected(struct engine *engine);
void watches_give_up(struct engine *engine, uint64_t tag);

/* The owner's state has another history: those that have begun in the old one are over. */
void watches_history(struct engine *engine, uint64_t history);

/* Ends all of them. */
void watches_refuse(struct engine *engine, enum sole_code code);

/* What the owner answered to WATCH, and what it tells unasked. `payload` is the item's. False: it
 * cannot be read. */
bool watches_answered(struct engine *engine, const struct message_header *message,
		      const struct reply_header *header, struct wire_reader payload, int64_t now_ns);
bool watches_events(struct engine *engine, const struct message_header *message,
		    const struct reply_header *header, struct wire_reader payload);

void watches_free(struct engine *engine);

/* ---- traces.c ---- */

/* A new connection knows of no trace. */
void traces_connected(struct engine *engine, int64_t now_ns);

/* Asks for what is wanted, if nothing is being asked. */
void traces_ask(struct engine *engine, int64_t now_ns);

/* What the owner tells unasked. False: it cannot be read. */
bool traces_told(struct engine *engine, const struct reply_header *header, struct wire_reader payload);

/* What request_is_search waits for a while, longer each time; nothing else does. */
void engine_hold_search(struct engine *engine, int64_t now_ns);

/* The owner had no room: nothing goes out for a while, longer each time. */
void engine_hold(struct engine *engine, int64_t now_ns);

#endif
