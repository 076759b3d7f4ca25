/* SPDX-License-Identifier: MIT
 *
 * outboxes.c - a queue for each peer whose pipe is full, and the clock of retries.
 *
 * No event tells that one peer's pipe has room again, so all that wait are tried
 * anew: soon while anything moves, since a client that reads takes a pipeful at
 * each, and ever later while nothing does.
 */
#include "owner/transport/outboxes.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define uthash_malloc(size) malloc(size)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* gcc 12 loses sight of what hangs in such a hash, and takes it for leaked. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

enum {
	RETRY_LEAST_NS = 100000,
	RETRY_MOST_NS = 50000000,
	WAITING_OVERHEAD_BYTES = 512, /* what a waiting reply takes beside its body */
};

/* A reply that could not leave. */
struct waiting {
	struct return_path path;
	zmq_msg_t body;
	struct waiting *next;
};

/* Two sockets may know two peers by one routing id. */
struct peer_key {
	void *router;
	uint8_t id[ROUTING_ID_MAX];
};

/* What waits for one peer; gone when nothing does. */
struct outbox {
	struct peer_key peer;
	struct waiting *first, **last;
	uint64_t bytes;
	UT_hash_handle hh;
};

struct outboxes {
	const struct limits *limits;
	struct counters *counters;
	struct outbox *by_id;
	uint64_t bytes;
	int64_t retry_ns, retry_delay_ns; /* retry_ns: 0 when nothing waits */
};

struct outboxes *outboxes_new(const struct limits *limits, struct counters *counters)
{
	struct outboxes *outboxes = calloc(1, sizeof *outboxes);

	if (outboxes == NULL)
		return NULL;
	outboxes->limits = limits;
	outboxes->counters = counters;
	return outboxes;
}

static void waiting_free(struct waiting *waiting)
{
	return_path_clear(&waiting->path);
	zmq_msg_close(&waiting->body);
	free(waiting);
}

static void outbox_free(struct outboxes *outboxes, struct outbox *outbox)
{
	while (outbox->first != NULL) {
		struct waiting *next = outbox->first->next;
		waiting_free(outbox->first);
		outbox->first = next;
	}
	outboxes->bytes -= outbox->bytes;
	HASH_DEL(outboxes->by_id, outbox);
	free(outbox);
}

void outboxes_destroy(struct outboxes **outboxes)
{
	if (*outboxes == NULL)
		return;
	while ((*outboxes)->by_id != NULL)
		outbox_free(*outboxes, (*outboxes)->by_id);
	free(*outboxes);
	*outboxes = NULL;
}

/* ---- keeping ---- */

/* Returns the size of the key. */
static size_t make_key(struct peer_key *key, void *router, const void *id, size_t id_size)
{
	id_size = id_size < ROUTING_ID_MAX ? id_size : ROUTING_ID_MAX;
	key->router = router;
	memcpy(key->id, id, id_size);
	return offsetof(struct peer_key, id) + id_size;
}

static struct outbox *outbox_of(const struct outboxes *outboxes, void *router, const void *id, size_t id_size)
{
	struct outbox *outbox = NULL;
	struct peer_key key;

	if (outboxes->by_id == NULL)
		return NULL;
	size_t size = make_key(&key, router, id, id_size);
	HASH_FIND(hh, outboxes->by_id, &key, size, outbox);
	return outbox;
}

static struct outbox *outbox_make(struct outboxes *outboxes, void *router, const void *id, size_t id_size)
{
	struct outbox *outbox = outbox_of(outboxes, router, id, id_size);

	if (outbox != NULL)
		return outbox;
	outbox = calloc(1, sizeof *outbox);
	if (outbox == NULL)
		return NULL;
	size_t size = make_key(&outbox->peer, router, id, id_size);
	outbox->last = &outbox->first;
	HASH_ADD(hh, outboxes->by_id, peer, size, outbox);
	if (outbox->hh.tbl == NULL) { /* no memory for the hash */
		free(outbox);
		return NULL;
	}
	return outbox;
}

/* Takes the body. False: dropped. */
static bool keep(struct outboxes *outboxes, struct return_path *path, zmq_msg_t *body, int64_t now_ns)
{
	zmq_msg_t *id = &path->frames[0];
	uint64_t bytes = zmq_msg_size(body) + WAITING_OVERHEAD_BYTES;
	struct outbox *outbox = outbox_make(outboxes, path->router, zmq_msg_data(id), zmq_msg_size(id));
	struct waiting *waiting = NULL;

	if (outbox != NULL && outbox->bytes + bytes <= (uint64_t)outboxes->limits->outbox_bytes &&
	    outboxes->bytes + bytes <= (uint64_t)outboxes->limits->outbox_total_bytes)
		waiting = calloc(1, sizeof *waiting);
	if (waiting == NULL) {
		outboxes->counters->outbox_drops++;
		zmq_msg_close(body);
		if (outbox != NULL && outbox->first == NULL)
			outbox_free(outboxes, outbox);
		return false;
	}
	return_path_copy(&waiting->path, path);
	zmq_msg_init(&waiting->body);
	zmq_msg_move(&waiting->body, body);
	zmq_msg_close(body);
	*outbox->last = waiting;
	outbox->last = &waiting->next;
	outbox->bytes += bytes;
	outboxes->bytes += bytes;
	outboxes->counters->outbox_waits++;
	if (outboxes->retry_ns == 0) {
		outboxes->retry_delay_ns = RETRY_LEAST_NS;
		outboxes->retry_ns = now_ns + outboxes->retry_delay_ns;
	}
	return true;
}

/* ---- sending ---- */

bool outboxes_send(struct outboxes *outboxes, struct return_path *path, const struct buffer *body,
		   int64_t now_ns)
{
	zmq_msg_t *id = &path->frames[0], message;

	if (body->failed || zmq_msg_init_size(&message, body->size) != 0) {
		outboxes->counters->outbox_drops++;
		return false;
	}
	memcpy(zmq_msg_data(&message), body->data, body->size);
	/* What waits goes first. */
	bool behind = outbox_of(outboxes, path->router, zmq_msg_data(id), zmq_msg_size(id)) != NULL;
	switch (behind ? SENT_FULL : return_path_send(path, &message)) {
	case SENT:
		outboxes->counters->messages_sent++;
		break;
	case SENT_FULL:
		return keep(outboxes, path, &message, now_ns);
	case SENT_GONE:
		outboxes->counters->unroutable++;
		zmq_msg_close(&message);
		break;
	}
	return true;
}

/* Sends what waits for one peer, as far as it goes; *moved when anything did. True when the
 * outbox is done with. */
static bool flush(struct outboxes *outboxes, struct outbox *outbox, bool *moved)
{
	while (outbox->first != NULL) {
		struct waiting *waiting = outbox->first;
		uint64_t bytes = zmq_msg_size(&waiting->body) + WAITING_OVERHEAD_BYTES;
		switch (return_path_send(&waiting->path, &waiting->body)) {
		case SENT:
			break;
		case SENT_FULL:
			return false;
		case SENT_GONE:
			outboxes->counters->unroutable++;
			return true;
		}
		outboxes->counters->messages_sent++;
		*moved = true;
		outbox->first = waiting->next;
		if (outbox->first == NULL)
			outbox->last = &outbox->first;
		outbox->bytes -= bytes;
		outboxes->bytes -= bytes;
		waiting_free(waiting);
	}
	return true;
}

int64_t outboxes_retry(struct outboxes *outboxes, int64_t now_ns)
{
	bool moved = false;

	if (outboxes->retry_ns != 0 && now_ns >= outboxes->retry_ns) {
		for (struct outbox *outbox = outboxes->by_id, *next; outbox != NULL; outbox = next) {
			next = outbox->hh.next;
			if (flush(outboxes, outbox, &moved))
				outbox_free(outboxes, outbox);
		}
		outboxes->retry_delay_ns = moved ? RETRY_LEAST_NS : outboxes->retry_delay_ns * 2;
		if (outboxes->retry_delay_ns > RETRY_MOST_NS)
			outboxes->retry_delay_ns = RETRY_MOST_NS;
		outboxes->retry_ns = outboxes->by_id != NULL ? now_ns + outboxes->retry_delay_ns : 0;
	}
	return outboxes->retry_ns != 0 ? outboxes->retry_ns : INT64_MAX;
}

bool outboxes_waiting(const struct outboxes *outboxes, void *router, const void *id, size_t id_size)
{
	return outbox_of(outboxes, router, id, id_size) != NULL;
}

uint64_t outboxes_bytes(const struct outboxes *outboxes)
{
	return outboxes->bytes;
}
