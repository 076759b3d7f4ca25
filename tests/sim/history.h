/* SPDX-License-Identifier: MIT
 *
 * history.h - what happened in a run: what callers asked and heard, and what owners recorded.
 *
 * Callers' side: operations, with when they were begun and answered, and watches with every event that was
 * told. Owners' side: for each history of the state (an era) its records, round by round; rounds that a
 * crash took are taken out again. check.c compares the two.
 */
#ifndef SOLE_TESTS_SIM_HISTORY_H
#define SOLE_TESTS_SIM_HISTORY_H

#include "clients/sole.h"
#include "common/buffer.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DATUM_TEXT = 22, STEPS_MAX = 8, ARGUMENTS_MAX = 3 };

/* A value as the simulation makes them: none, an integer, or a short text and `pad` dots behind it. Two that are
 * equal have equal bytes. */
struct datum {
	uint8_t type; /* enum value_type */
	uint8_t size; /* of the text */
	uint16_t pad;
	char text[DATUM_TEXT + 6];
	int64_t integer;
};

struct datum datum_none(void);
struct datum datum_integer(int64_t integer);
__attribute__((format(printf, 1, 2))) struct datum datum_text(const char *format, ...);
bool datum_equal(const struct datum *a, const struct datum *b);
/* In the order of their bytes; both are texts. */
int datum_compare(const struct datum *a, const struct datum *b);
bool datum_begins(const struct datum *key, const struct datum *prefix);

/* The bytes of a text, in `space`, which must have DATUM_BYTES. */
enum { DATUM_BYTES = DATUM_TEXT + 2048 };
struct value datum_value(const struct datum *datum, uint8_t space[DATUM_BYTES]);
struct sole_value datum_sole(const struct datum *datum, uint8_t space[DATUM_BYTES]);
/* False: no value that the simulation makes. */
bool datum_read(const struct sole_value *value, struct datum *datum);

/* One operation of a request. */
struct step {
	uint16_t number; /* SOLE_TABLE_... or SOLE_OPERATION_OTHERWISE */
	uint8_t count;
	struct datum arguments[ARGUMENTS_MAX];
};

/* A request: what was asked, and what was heard of it. */
struct operation {
	uint32_t id;
	uint32_t process; /* of the client */
	bool query, otherwise, closed; /* closed: its client is gone, nobody hears of it */
	uint8_t step_count;
	struct step steps[STEPS_MAX];
	uint64_t request; /* the engine's name for it */
	int64_t begun_ns, deadline_ns;
	bool cancelled;   /* its withdrawal was asked for */
	/* The latest that was heard, in all histories, before it was begun: what it shows is not older. */
	uint64_t floor_era, floor_revision;

	bool answered;
	int64_t answered_ns;
	enum sole_outcome outcome;
	int code, failed;
	uint64_t session, sequence; /* as it was last sent; 0: never sent as a command */
	uint64_t revision, history;
	struct buffer results; /* lists as on the wire; of a refusal: the details */

	/* What the records say: filled by check.c. */
	uint32_t runs, refusals;
	bool waits;        /* as of the records read so far */
	uint64_t ran_revision, ran_history;
};

/* What a caller heard of a watch. */
struct heard_event {
	uint64_t revision;
	uint32_t index;
	struct datum kind, key, value;
};

struct watching {
	uint32_t process;
	struct datum prefix;
	uint64_t id;            /* the engine's */
	bool begun, ended;      /* ended: by whichever side */
	int end_code;           /* SOLE_OK: the caller's own end */
	uint64_t history, from; /* the first revision that it must hear of */
	uint64_t end_revision;
	struct heard_event *events;
	size_t count, room;
};

/* A round as its owner recorded it. */
struct seen_round {
	uint64_t number;
	int64_t time_us;
	uint64_t revision;   /* after it */
	struct buffer records;
};

/* A life of the state. */
struct era {
	uint64_t history;
	uint64_t heard; /* the highest revision that anybody was told of */
	struct seen_round *rounds;
	size_t count, room;
};

/* A session, as seen from outside. */
struct seen_session {
	uint64_t id;
	uint32_t process;
	uint32_t silence_ms;
	int64_t heard_ns;  /* when the owner last took in a message that named it */
	bool goodbye;      /* one was taken in */
	bool ended;        /* recorded, in a round that counts */
};

/* Under which name a command was sent. */
struct sent_as {
	uint64_t session, sequence;
	struct operation *operation;
};

struct history {
	struct operation **operations;
	size_t operation_count, operation_room;
	struct watching **watchings;
	size_t watching_count, watching_room;
	struct era *eras;
	size_t era_count, era_room;
	struct seen_session *sessions;
	size_t session_count, session_room;
	struct sent_as *sent; /* a hash table of `sent_room`, a power of two */
	size_t sent_count, sent_room;
};

void history_clear(struct history *history);

struct operation *history_operation(struct history *history);
struct watching *history_watching(struct history *history);
void history_event(struct watching *watching, const struct heard_event *event);

/* Of that history; a new one when there is none. Valid until the next call with another one. */
struct era *history_era(struct history *history, uint64_t id);
struct era *history_find_era(const struct history *history, uint64_t id);

/* Takes a copy of the records. */
void history_round(struct era *era, uint64_t number, int64_t time_us, uint64_t revision, const struct buffer *records);
/* A crash took the rounds from that number on. */
void history_forget_rounds(struct era *era, uint64_t number);

struct seen_session *history_session(struct history *history, uint64_t id);
struct seen_session *history_find_session(const struct history *history, uint64_t id);

void history_sent(struct history *history, uint64_t session, uint64_t sequence, struct operation *operation);
struct operation *history_sent_as(const struct history *history, uint64_t session, uint64_t sequence);

/* "add count/3 1; get k" into `text`. */
void operation_print(const struct operation *operation, char *text, size_t size);
const char *datum_print(const struct datum *datum, char text[64]);

/* An array that grows: room for one more. Memory is never short in a simulation: it ends the program. */
void *grow(void *array, size_t count, size_t *room, size_t element);

#endif
