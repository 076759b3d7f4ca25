/* SPDX-License-Identifier: MIT
 *
 * watches.c - the life of a watch: asked for, begun, told, asked for again from
 * where it stood on the next connection, over.
 *
 * Until it is known that a watch has begun, its events are dropped: the answer that
 * stands before them was lost, and the watch will be asked for again. Without that
 * answer nobody knows where "from now on" was.
 */
#include "clients/engine_parts.h"

#include <stdlib.h>
#include <string.h>

static struct engine_watch *in_place(const struct engine *engine, uint64_t id)
{
	size_t place = (size_t)(id & UINT32_MAX);

	return place > 0 && place <= engine->watch_room ? engine->watches[place - 1] : NULL;
}

static struct engine_watch *find(const struct engine *engine, uint64_t id)
{
	struct engine_watch *watch = in_place(engine, id);

	return watch != NULL && watch->id == id ? watch : NULL;
}

/* The one that the owner means. */
static struct engine_watch *find_number(const struct engine *engine, uint64_t number)
{
	struct engine_watch *watch = in_place(engine, number);

	return watch != NULL && watch->state != WATCH_WANTED && watch->number == number ? watch : NULL;
}

void watches_renumber(struct engine *engine, struct engine_watch *watch)
{
	watch->number = ++engine->watch_generation << 32 | (watch->id & UINT32_MAX);
}

/* ---- beginning and ending ---- */

static bool grow(struct engine *engine)
{
	size_t room = engine->watch_room > 0 ? engine->watch_room * 2 : 8;
	struct engine_watch **grown = realloc(engine->watches, room * sizeof(struct engine_watch *));

	if (grown == NULL)
		return false;
	memset(grown + engine->watch_room, 0, (room - engine->watch_room) * sizeof(struct engine_watch *));
	engine->watches = grown;
	engine->watch_room = room;
	return true;
}

int engine_watch(struct engine *engine, struct sole_value prefix, uint64_t history, uint64_t revision,
		 uint32_t index, sole_watch_callback *callback, void *context, uint64_t *id)
{
	size_t place = 0;

	if (engine->closing)
		return SOLE_CLOSED;
	if (callback == NULL || prefix.type != SOLE_BYTES || (prefix.bytes == NULL && prefix.size > 0))
		return SOLE_USAGE;
	if (prefix.size > ENGINE_PREFIX_MAX)
		return SOLE_TOO_LARGE;
	if (engine->watch_count == ENGINE_WATCHES_MAX)
		return SOLE_BUSY;
	if (engine->watch_count == engine->watch_room && !grow(engine))
		return SOLE_LOCAL_MEMORY;
	struct engine_watch *watch = calloc(1, sizeof *watch + prefix.size);
	if (watch == NULL)
		return SOLE_LOCAL_MEMORY;
	while (engine->watches[place] != NULL)
		place++;
	watch->id = ++engine->watch_generation << 32 | (place + 1);
	watch->history = revision != 0 ? history : 0;
	watch->revision = revision;
	watch->index = revision != 0 ? index : 0;
	watch->callback = callback;
	watch->context = context;
	watch->prefix_bytes = prefix.size;
	if (prefix.size > 0)
		memcpy(watch->prefix, prefix.bytes, prefix.size);
	if (id != NULL)
		*id = watch->id;
	engine->watches[place] = watch;
	engine->watch_count++;
	engine->watches_wanted++;
	return SOLE_OK;
}

static void remove_watch(struct engine *engine, struct engine_watch *watch)
{
	if (engine->telling == watch)
		engine->telling = NULL;
	engine->watches_wanted -= watch->state == WATCH_WANTED;
	engine->watch_count--;
	engine->watches[(watch->id & UINT32_MAX) - 1] = NULL;
	free(watch);
}

static void want(struct engine *engine, struct engine_watch *watch)
{
	engine->watches_wanted += watch->state != WATCH_WANTED;
	watch->state = WATCH_WANTED;
}

/* The owner has a watch of a number that is no longer, or not known to be, of use. */
static void say_unwatch(struct engine *engine, uint64_t id)
{
	for (size_t i = 0; i < engine->unwatch_count; i++)
		if (engine->unwatch[i] == id)
			return;
	if (engine->unwatch_count < ENGINE_UNWATCH_MAX)
		engine->unwatch[engine->unwatch_count++] = id;
}

int engine_unwatch(struct engine *engine, uint64_t id)
{
	struct engine_watch *watch = find(engine, id);

	if (watch == NULL)
		return SOLE_USAGE;
	if (watch->state != WATCH_WANTED)
		say_unwatch(engine, watch->number);
	remove_watch(engine, watch);
	return SOLE_OK;
}

void watches_free(struct engine *engine)
{
	for (size_t i = 0; i < engine->watch_room; i++)
		free(engine->watches[i]);
	free(engine->watches);
}

/* ---- telling ---- */

/* False: the callback has ended the watch. */
static bool tell(struct engine *engine, struct engine_watch *watch, const struct sole_event *event)
{
	engine->telling = watch;
	watch->callback(engine->options.handle, event, watch->context);
	bool goes_on = engine->telling == watch;
	engine->telling = NULL;
	return goes_on;
}

/* The last that is heard of a watch: it is gone when the callback runs. */
static void end(struct engine *engine, struct engine_watch *watch, int code, uint64_t revision)
{
	const struct sole_event event = { .code = code, .history = engine->history, .revision = revision };
	sole_watch_callback *callback = watch->callback;
	void *context = watch->context;

	remove_watch(engine, watch);
	callback(engine->options.handle, &event, context);
}

/* ---- the connection ---- */

void watches_disconnected(struct engine *engine)
{
	for (size_t i = 0; i < engine->watch_room; i++)
		if (engine->watches[i] != NULL)
			want(engine, engine->watches[i]);
	engine->unwatch_count = 0;
	engine->watch_hold_ns = 0;
}

void watches_give_up(struct engine *engine, uint64_t tag)
{
	for (size_t i = 0; i < engine->watch_room; i++) {
		struct engine_watch *watch = engine->watches[i];
		if (watch == NULL || watch->state != WATCH_ASKED || watch->tag != tag)
			continue;
		say_unwatch(engine, watch->number); /* it may have arrived */
		want(engine, watch);
	}
}

/* Callbacks may begin and end watches: the array may move and its contents change meanwhile. */
void watches_history(struct engine *engine, uint64_t history)
{
	for (size_t i = 0; i < engine->watch_room; i++) {
		struct engine_watch *watch = engine->watches[i];
		if (watch != NULL && watch->begun && watch->history != history)
			end(engine, watch, SOLE_TOO_OLD, 1);
	}
}

void watches_refuse(struct engine *engine, enum sole_code code)
{
	uint64_t newest = engine->watch_generation;

	for (size_t i = 0; i < engine->watch_room; i++)
		if (engine->watches[i] != NULL && engine->watches[i]->id >> 32 <= newest)
			end(engine, engine->watches[i], (int)code, 0);
}

/* ---- the owner's word ---- */

/* The only integer of a refusal's details: where to start again. 0: none is told. */
static uint64_t start_again(struct wire_reader payload)
{
	struct value list[3];
	size_t count;

	if (!wire_read_list(&payload, list, 3, &count) || count != 3 || list[2].type != VALUE_INTEGER)
		return 0;
	return (uint64_t)list[2].integer;
}

static void refused(struct engine *engine, struct engine_watch *watch, const struct reply_header *header,
		    struct wire_reader payload, int64_t now_ns)
{
	if (header->code == CODE_LEAVING) {
		engine->leaving = true;
		want(engine, watch);
	} else if (header->code == CODE_BUSY) {
		engine->watch_hold_ns = now_ns + ENGINE_WATCH_NS;
		want(engine, watch);
	} else {
		end(engine, watch, header->code, start_again(payload));
	}
}

bool watches_answered(struct engine *engine, const struct message_header *message,
		      const struct reply_header *header, struct wire_reader payload, int64_t now_ns)
{
	struct engine_watch *watch = find_number(engine, header->sequence);
	struct value revision;
	size_t count;

	if (watch == NULL || watch->state != WATCH_ASKED) {
		engine->counters.strays++;
		return true;
	}
	if (header->outcome != OUTCOME_DONE) {
		refused(engine, watch, header, payload, now_ns);
		return true;
	}
	if (!wire_read_list(&payload, &revision, 1, &count) || count != 1 || revision.type != VALUE_INTEGER ||
	    revision.integer < 0)
		return false;
	watch->state = WATCH_SET;
	if (watch->begun)
		return true;
	watch->begun = true;
	watch->history = message->history;
	if (watch->revision == 0)
		watch->revision = (uint64_t)revision.integer + 1;
	const struct sole_event begun = { .history = message->history,
					  .revision = (uint64_t)revision.integer };
	tell(engine, watch, &begun);
	return true;
}

/* An event; or only the place up to which there was none, and then it has no kind. */
static bool read_event(struct wire_reader *payload, struct sole_event *event)
{
	struct value list[5];
	size_t count;

	if (!wire_read_list(payload, list, 5, &count) || (count != 5 && count != 2) ||
	    list[0].type != VALUE_INTEGER || list[1].type != VALUE_INTEGER || list[1].integer < 0 ||
	    list[1].integer > UINT32_MAX)
		return false;
	event->revision = (uint64_t)list[0].integer;
	event->index = (uint32_t)list[1].integer;
	event->kind = event->key = event->value = (struct sole_value){ .type = SOLE_NONE };
	if (count == 2)
		return true;
	if (list[2].type != VALUE_BYTES)
		return false;
	event->kind = value_to_sole(&list[2]);
	event->key = value_to_sole(&list[3]);
	event->value = value_to_sole(&list[4]);
	return true;
}

bool watches_events(struct engine *engine, const struct message_header *message,
		    const struct reply_header *header, struct wire_reader payload)
{
	struct engine_watch *watch = find_number(engine, header->sequence);
	struct sole_event event = { .history = message->history };

	if (watch == NULL) {
		engine->counters.strays++;
		say_unwatch(engine, header->sequence);
		return true;
	}
	if (!watch->begun)
		return true;
	if (header->outcome != OUTCOME_DONE) {
		end(engine, watch, header->code, start_again(payload));
		return true;
	}
	while (payload.left > 0) {
		if (!read_event(&payload, &event)) {
			say_unwatch(engine, watch->number);
			want(engine, watch); /* from here on once more */
			return false;
		}
		if (event.revision < watch->revision ||
		    (event.revision == watch->revision && event.index < watch->index))
			continue;
		watch->revision = event.revision;
		watch->index = event.index;
		if (event.kind.type == SOLE_NONE)
			continue;
		watch->index++;
		if (!tell(engine, watch, &event))
			return true;
	}
	return true;
}
