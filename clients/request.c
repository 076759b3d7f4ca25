/* SPDX-License-Identifier: MIT
 *
 * request.c - the pool of requests, their queues, and their times.
 *
 * The heap holds a place for every request of the pool from the start, so that
 * setting a time never fails. With equal time limits the newest request is the
 * latest and the line is all there is: it is put behind the others and taken out without
 * a look at them, where the heap would walk through the memory of eight for one of 256.
 */
#include "clients/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void request_pool_clear(struct request_pool *pool)
{
	for (size_t i = 0; i < pool->slab_count; i++) {
		for (size_t k = 0; k < REQUEST_SLAB; k++)
			free(pool->slabs[i][k].large);
		free(pool->slabs[i]);
	}
	free(pool->slabs);
	free(pool->heap);
	*pool = (struct request_pool){ 0 };
}

static bool add_slab(struct request_pool *pool)
{
	if (pool->slab_count == pool->slab_room) {
		size_t room = pool->slab_room > 0 ? pool->slab_room * 2 : 4;
		struct request **slabs = realloc(pool->slabs, room * sizeof(struct request *));
		if (slabs == NULL)
			return false;
		pool->slabs = slabs;
		struct request **heap = realloc(pool->heap, room * REQUEST_SLAB * sizeof(struct request *));
		if (heap == NULL)
			return false;
		pool->heap = heap;
		pool->slab_room = room;
	}
	struct request *slab = calloc(REQUEST_SLAB, sizeof *slab);
	if (slab == NULL)
		return false;
	for (size_t k = REQUEST_SLAB; k-- > 0;) {
		slab[k].id = pool->slab_count * REQUEST_SLAB + k + 1;
		slab[k].next = pool->free;
		pool->free = &slab[k];
	}
	pool->slabs[pool->slab_count++] = slab;
	return true;
}

struct request *request_take(struct request_pool *pool, size_t payload_bytes)
{
	if (pool->free == NULL && !add_slab(pool))
		return NULL;
	struct request *request = pool->free;
	uint8_t *large = NULL;
	if (payload_bytes > REQUEST_INLINE_BYTES) {
		large = malloc(payload_bytes);
		if (large == NULL)
			return NULL;
	}
	pool->free = request->next;
	pool->used++;
	pool->bytes += payload_bytes;

	/* Only what is not set in any case: so few bytes that compilers clear them without a loop. */
	const size_t zero = offsetof(struct request, callback);
	memset((uint8_t *)request + zero, 0, offsetof(struct request, small) - zero);
	request->id += (uint64_t)1 << 32;
	request->previous = request->next = NULL;
	request->heap_index = REQUEST_NO_TIMER;
	request->timer_ns = INT64_MAX;
	request->payload_bytes = (uint32_t)payload_bytes;
	request->large = large;
	return request;
}

void request_drop_payload(struct request_pool *pool, struct request *request)
{
	free(request->large);
	request->large = NULL;
	pool->bytes -= request->payload_bytes;
	request->payload_bytes = 0;
}

void request_give_back(struct request_pool *pool, struct request *request)
{
	assert(request->state != REQUEST_FREE);
	request_set_timer(pool, request, INT64_MAX);
	request_drop_payload(pool, request);
	request->state = REQUEST_FREE;
	request->next = pool->free;
	pool->free = request;
	pool->used--;
}

struct request *request_at(const struct request_pool *pool, size_t place)
{
	if (place >= pool->slab_count * REQUEST_SLAB)
		return NULL;
	return &pool->slabs[place / REQUEST_SLAB][place % REQUEST_SLAB];
}

struct request *request_find(const struct request_pool *pool, uint64_t id)
{
	size_t place = (size_t)(id & UINT32_MAX);
	struct request *request = place > 0 ? request_at(pool, place - 1) : NULL;

	if (request == NULL || request->state == REQUEST_FREE || request->id != id)
		return NULL;
	return request;
}

static void settle(struct request_pool *pool, size_t at, struct request *request)
{
	pool->heap[at] = request;
	request->heap_index = (uint32_t)at;
}

static void rise(struct request_pool *pool, size_t at, struct request *request)
{
	while (at > 0) {
		size_t parent = (at - 1) / 2;
		if (pool->heap[parent]->timer_ns <= request->timer_ns)
			break;
		settle(pool, at, pool->heap[parent]);
		at = parent;
	}
	settle(pool, at, request);
}

static void sink(struct request_pool *pool, size_t at, struct request *request)
{
	for (;;) {
		size_t child = 2 * at + 1, other = child + 1;
		if (child >= pool->heap_count)
			break;
		if (other < pool->heap_count && pool->heap[other]->timer_ns < pool->heap[child]->timer_ns)
			child = other;
		if (request->timer_ns <= pool->heap[child]->timer_ns)
			break;
		settle(pool, at, pool->heap[child]);
		at = child;
	}
	settle(pool, at, request);
}

static void take_out(struct request_pool *pool, struct request *request)
{
	size_t at = request->heap_index;
	struct request *last = pool->heap[--pool->heap_count];

	if (last == request)
		return;
	if (at > 0 && last->timer_ns < pool->heap[(at - 1) / 2]->timer_ns)
		rise(pool, at, last);
	else
		sink(pool, at, last);
}

static void leave_line(struct request_pool *pool, struct request *request)
{
	if (request->sooner != NULL)
		request->sooner->later = request->later;
	else
		pool->line_head = request->later;
	if (request->later != NULL)
		request->later->sooner = request->sooner;
	else
		pool->line_tail = request->sooner;
}

static void join_line(struct request_pool *pool, struct request *request)
{
	request->sooner = pool->line_tail;
	request->later = NULL;
	if (pool->line_tail != NULL)
		pool->line_tail->later = request;
	else
		pool->line_head = request;
	pool->line_tail = request;
	request->heap_index = REQUEST_IN_LINE;
}

void request_set_timer(struct request_pool *pool, struct request *request, int64_t timer_ns)
{
	if (request->heap_index == REQUEST_IN_LINE)
		leave_line(pool, request);
	else if (request->heap_index != REQUEST_NO_TIMER)
		take_out(pool, request);
	request->heap_index = REQUEST_NO_TIMER;
	request->timer_ns = timer_ns;
	if (timer_ns == INT64_MAX)
		return;
	if (pool->line_tail == NULL || timer_ns >= pool->line_tail->timer_ns)
		join_line(pool, request);
	else
		rise(pool, pool->heap_count++, request);
}

void request_push_front(struct request_queue *queue, struct request *request)
{
	request->previous = NULL;
	request->next = queue->head;
	if (queue->head != NULL)
		queue->head->previous = request;
	else
		queue->tail = request;
	queue->head = request;
	queue->count++;
}
