/* SPDX-License-Identifier: MIT
 *
 * request.h - one request as this side keeps it, and where it is kept: a pool
 * that reuses memory, first-in-first-out queues, and a line and a heap by time.
 *
 * Nothing here decides anything; engine.c does. Taking, queueing and giving back
 * a request costs no allocation once the pool has grown, unless its payload is
 * larger than REQUEST_INLINE_BYTES.
 */
#ifndef SOLE_CLIENTS_REQUEST_H
#define SOLE_CLIENTS_REQUEST_H

#include "clients/sole.h"
#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REQUEST_INLINE_BYTES = 64, /* a get or a put of short keys and values fits */
	REQUEST_SLAB = 256,        /* requests allocated at once */
	REQUEST_NO_TIMER = UINT32_MAX >> 1, /* heap_index of one that has no time limit */
	REQUEST_IN_LINE = REQUEST_NO_TIMER - 1, /* heap_index of one that stands in the line */
};

enum request_state {
	REQUEST_FREE,
	REQUEST_WAITING,   /* in a queue of what has not been sent */
	REQUEST_UNDER_WAY, /* sent, or about to be sent again */
	REQUEST_PARKED,    /* admitted; the owner answers when its turn comes */
	REQUEST_DECIDED,   /* in no queue: its answer is known and waits to be told */
};

struct request {
	/* This module's. */
	struct request *previous, *next; /* in the queue of its state */
	struct request *sooner, *later; /* beside it in the line of times */
	uint64_t id;           /* what the caller has: generation << 32 | place in the pool + 1 */
	int64_t timer_ns;      /* when it is called up; never later than the deadline at first */
	uint32_t heap_index;
	uint32_t payload_bytes;
	uint8_t *large;        /* the payload when it does not fit below */

	/* The engine's: zero at first. */
	sole_callback *callback;
	void *context;
	uint64_t sequence;     /* of a command that was sent; 0 before, and for queries */
	uint64_t tag;          /* of the message that carried it last; 0: none that is under way */
	int64_t deadline_ns;   /* INT64_MAX: none */
	int64_t submitted_ns;

	uint8_t state;         /* enum request_state */
	uint8_t kind;          /* enum item_kind: RUN, or what is asked about the owner */
	bool query;            /* takes no sequence and may be sent as often as one likes */
	bool table;            /* its operations are the table's, and no other behaviour's */
	bool otherwise;        /* has a second half, which runs when the first one does not hold */
	bool again;            /* to be written once more: the request, or its withdrawal */
	bool cancelling;       /* from now on its withdrawal is sent in its place */
	bool expired;          /* its deadline is over and the withdrawal is being waited for */
	bool ghost;            /* its caller has been answered; its sequence still stands in the way */
	uint16_t decided;      /* enum sole_code to answer with; 0: none yet */
	uint16_t refusal;      /* the latest refusal that was not final: BUSY, LEAVING ... */
	uint16_t operation_count;  /* of the first half, if there are two */
	uint16_t otherwise_count;  /* of the second */
	uint32_t copies;       /* times it was sent and may have run, for all that is known */

	uint8_t small[REQUEST_INLINE_BYTES];
};

/* ---- the pool ---- */

struct request_pool {
	struct request **slabs;
	size_t slab_count, slab_room;
	struct request *free; /* linked by next */
	size_t used;          /* requests handed out */
	size_t bytes;         /* of their payloads */

	/* Times. Requests with one time limit are due in the order in which they come, and stand in a line: what is due no
	 * sooner than its last goes behind it. All others stand in the heap. */
	struct request *line_head, *line_tail; /* earliest timer_ns first */
	struct request **heap; /* earliest timer_ns first; has room for every request */
	size_t heap_count;
};

/* {0} is an empty pool. Frees everything, whatever is still in use. */
void request_pool_clear(struct request_pool *pool);

/* A request with room for a payload, which is to be written, everything else zero, no time
 * limit and a new id; NULL when memory runs out. */
struct request *request_take(struct request_pool *pool, size_t payload_bytes);

/* Gives it back: it must be in no queue. Its id names nothing from now on. */
void request_give_back(struct request_pool *pool, struct request *request);

/* The request that the id names, or NULL. */
struct request *request_find(const struct request_pool *pool, uint64_t id);

/* The request in a place of the pool, in use or not; NULL beyond the last. */
struct request *request_at(const struct request_pool *pool, size_t place);

/* Frees the payload of a request that will not be sent again. */
void request_drop_payload(struct request_pool *pool, struct request *request);

static inline const uint8_t *request_payload(const struct request *request)
{
	return request->large != NULL ? request->large : request->small;
}

/* Where to write the payload: exactly as much as there is room for. */
static inline struct buffer request_room(struct request *request)
{
	return (struct buffer){ .data = request->large != NULL ? request->large : request->small,
				.capacity = request->payload_bytes };
}

/* ---- time ---- */

/* Sets when the request is due; INT64_MAX: never. */
void request_set_timer(struct request_pool *pool, struct request *request, int64_t timer_ns);

/* The one that is due first, or NULL. */
static inline struct request *request_earliest(const struct request_pool *pool)
{
	struct request *line = pool->line_head;

	if (pool->heap_count == 0 || (line != NULL && line->timer_ns < pool->heap[0]->timer_ns))
		return line;
	return pool->heap[0];
}

/* ---- queues ---- */

struct request_queue {
	struct request *head, *tail;
	size_t count;
};

static inline void request_push(struct request_queue *queue, struct request *request)
{
	request->previous = queue->tail;
	request->next = NULL;
	if (queue->tail != NULL)
		queue->tail->next = request;
	else
		queue->head = request;
	queue->tail = request;
	queue->count++;
}

static inline void request_remove(struct request_queue *queue, struct request *request)
{
	if (request->previous != NULL)
		request->previous->next = request->next;
	else
		queue->head = request->next;
	if (request->next != NULL)
		request->next->previous = request->previous;
	else
		queue->tail = request->previous;
	request->previous = request->next = NULL;
	queue->count--;
}

void request_push_front(struct request_queue *queue, struct request *request);

#endif
