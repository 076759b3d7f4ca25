/* SPDX-License-Identifier: MIT
 *
 * envelope.c - frames in, frames out, and who the kernel says has sent them.
 *
 * Who calls is read from each body frame: a connection's number may stand for
 * another one a moment later, the words that libzmq puts on the frame cannot.
 */
#include "owner/transport/envelope.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

/* ---- receiving ---- */

static bool receive_frame(zmq_msg_t *frame, void *router)
{
	int rc;

	/* The frames of one message are all there once the first is; EINTR can still come. */
	do
		rc = zmq_msg_recv(frame, router, ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	return rc >= 0;
}

static void drop_rest(void *router, bool more)
{
	while (more) {
		zmq_msg_t frame;
		zmq_msg_init(&frame);
		more = receive_frame(&frame, router) && zmq_msg_more(&frame);
		zmq_msg_close(&frame);
	}
}

/* Anything else than a return path, an empty delimiter and one body frame is garbage. With frames
 * behind the body it is no sound message either, but its sender may be a REQ that waits for an
 * answer: the first of them is kept for the header that may be in it. */
enum envelope_taken envelope_receive(struct envelope *envelope, void *router)
{
	struct return_path *path = &envelope->path;
	zmq_msg_t frame;

	path->router = router;
	path->count = 0;
	envelope->overlong = false;
	zmq_msg_init(&envelope->body);
	zmq_msg_init(&frame);
	if (!receive_frame(&frame, router)) {
		zmq_msg_close(&frame);
		return ENVELOPE_NOTHING;
	}
	bool more = zmq_msg_more(&frame);
	while (more && (path->count == 0 || zmq_msg_size(&frame) > 0) &&
	       path->count < PROTOCOL_RETURN_PATH_MAX) {
		zmq_msg_init(&path->frames[path->count]);
		zmq_msg_move(&path->frames[path->count++], &frame);
		if (!receive_frame(&frame, router))
			break;
		more = zmq_msg_more(&frame);
	}
	bool delimited = more && zmq_msg_size(&frame) == 0;
	zmq_msg_close(&frame);
	if (delimited && receive_frame(&envelope->body, router)) {
		envelope->overlong = zmq_msg_more(&envelope->body);
		drop_rest(router, envelope->overlong);
		return ENVELOPE_WHOLE;
	}
	drop_rest(router, more);
	envelope_clear(envelope);
	return ENVELOPE_GARBAGE;
}

void envelope_clear(struct envelope *envelope)
{
	return_path_clear(&envelope->path);
	zmq_msg_close(&envelope->body);
}

/* ---- who sent it ---- */

const char *envelope_key(struct envelope *envelope)
{
	const char *text = zmq_msg_gets(&envelope->body, "User-Id");

	return text != NULL ? text : "";
}

uint64_t envelope_peer(struct envelope *envelope)
{
	uint64_t number = (uintptr_t)envelope->path.router;

	for (int i = 0; i < envelope->path.count; i++) {
		zmq_msg_t *frame = &envelope->path.frames[i];
		number = XXH3_64bits_withSeed(zmq_msg_data(frame), zmq_msg_size(frame), number);
	}
	return number;
}

/* Only the body frame is told the descriptor by libzmq. */
int envelope_descriptor(struct envelope *envelope)
{
	return zmq_msg_get(&envelope->body, ZMQ_SRCFD);
}

/* ---- return paths ---- */

bool return_path_init(struct return_path *path, void *router, const void *id, size_t id_size)
{
	path->router = router;
	path->count = 0;
	if (zmq_msg_init_size(&path->frames[0], id_size) != 0)
		return false;
	memcpy(zmq_msg_data(&path->frames[0]), id, id_size);
	path->count = 1;
	return true;
}

void return_path_copy(struct return_path *copy, struct return_path *path)
{
	for (int i = 0; i < path->count; i++) {
		zmq_msg_init(&copy->frames[i]);
		zmq_msg_copy(&copy->frames[i], &path->frames[i]);
	}
	copy->router = path->router;
	copy->count = path->count;
}

void return_path_clear(struct return_path *path)
{
	for (int i = 0; i < path->count; i++)
		zmq_msg_close(&path->frames[i]);
	path->count = 0;
}

/* The first frame decides: once ROUTER has taken it, the rest goes too. */
enum sent return_path_send(struct return_path *path, zmq_msg_t *body)
{
	void *router = path->router;

	for (int i = 0; i < path->count; i++) {
		zmq_msg_t copy;
		zmq_msg_init(&copy);
		if (zmq_msg_copy(&copy, &path->frames[i]) != 0 ||
		    zmq_msg_send(&copy, router, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) {
			int saved = errno;
			zmq_msg_close(&copy);
			return saved == EAGAIN || saved == EINTR ? SENT_FULL : SENT_GONE;
		}
	}
	if (zmq_send(router, "", 0, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
	    zmq_msg_send(body, router, ZMQ_DONTWAIT) < 0)
		return SENT_GONE;
	return SENT;
}
