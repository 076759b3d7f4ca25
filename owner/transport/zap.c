/* SPDX-License-Identifier: MIT
 *
 * zap.c - a REP socket that libzmq's I/O thread asks, once for each handshake.
 *
 * Who is let in bears its key as the User-Id of all its messages: what a peer says of
 * itself under that name libzmq does not put in its place.
 */
#include "owner/transport/zap.h"
#include "owner/transport/refusals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
	FRAMES = 7,         /* version, id, domain, address, routing id, mechanism, key */
	FRAME_BYTES = 256,  /* libzmq's own frames are shorter */
	AT_ONCE = 256,      /* answers, before anything else gets its turn */
};

enum { VERSION, ID, DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, KEY };

struct zap {
	void *socket;
	int descriptor;
	const struct keyring *keyring;
	struct counters *counters;
	struct refusals refusals;
};

struct question {
	struct {
		uint8_t bytes[FRAME_BYTES];
		size_t size;
	} frames[FRAMES];
	bool sound;
};

static int set(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof value);
}

struct zap *zap_open(void *context, const struct keyring *keyring, struct counters *counters)
{
	struct zap *zap = calloc(1, sizeof *zap);
	size_t size = sizeof zap->descriptor;

	if (zap == NULL)
		return NULL;
	zap->keyring = keyring;
	zap->counters = counters;
	zap->socket = zmq_socket(context, ZMQ_REP);
	if (zap->socket == NULL || set(zap->socket, ZMQ_LINGER, 0) != 0 || set(zap->socket, ZMQ_RCVHWM, 0) != 0 ||
	    set(zap->socket, ZMQ_SNDHWM, 0) != 0 || zmq_bind(zap->socket, "inproc://zeromq.zap.01") != 0 ||
	    zmq_getsockopt(zap->socket, ZMQ_FD, &zap->descriptor, &size) != 0) {
		int problem = errno;
		zap_close(&zap);
		errno = problem;
	}
	return zap;
}

void zap_close(struct zap **zap)
{
	if (*zap == NULL)
		return;
	if ((*zap)->socket != NULL)
		zmq_close((*zap)->socket);
	free(*zap);
	*zap = NULL;
}

int zap_descriptor(const struct zap *zap)
{
	return zap->descriptor;
}

/* ---- one question ---- */

/* False: there is none. */
static bool receive(void *socket, struct question *question)
{
	bool more = true;
	int count = 0;

	question->sound = true;
	for (; more; count++) {
		uint8_t rest[FRAME_BYTES];
		bool wanted = count < FRAMES;
		int size = zmq_recv(socket, wanted ? question->frames[count].bytes : rest, FRAME_BYTES, ZMQ_DONTWAIT);
		if (size < 0 && count == 0)
			return false;
		if (size < 0)
			break;
		if (wanted)
			question->frames[count].size = (size_t)size;
		int follows = 0;
		size_t follows_size = sizeof follows;
		more = zmq_getsockopt(socket, ZMQ_RCVMORE, &follows, &follows_size) == 0 && follows != 0;
		question->sound = question->sound && wanted && size <= FRAME_BYTES;
	}
	question->sound = question->sound && count == FRAMES;
	return true;
}

static bool is(const struct question *question, int frame, const char *text)
{
	return question->frames[frame].size == strlen(text) &&
	       memcmp(question->frames[frame].bytes, text, strlen(text)) == 0;
}

static void answer(struct zap *zap, const struct question *question, const char *code, const char *text, const char *user)
{
	const struct {
		const void *bytes;
		size_t size;
	} frames[] = {
		{ "1.0", 3 }, { question->frames[ID].bytes, question->sound ? question->frames[ID].size : 0 },
		{ code, 3 }, { text, strlen(text) }, { user, strlen(user) }, { "", 0 },
	};
	enum { COUNT = sizeof frames / sizeof *frames };

	/* No high-water mark, so nothing is in the way; of a peer that is gone the answer is dropped. */
	for (int i = 0; i < COUNT; i++)
		if (zmq_send(zap->socket, frames[i].bytes, frames[i].size, ZMQ_DONTWAIT | (i < COUNT - 1 ? ZMQ_SNDMORE : 0)) < 0)
			return;
}

static void decide(struct zap *zap, const struct question *question, int64_t now_ns)
{
	char key[CERTIFICATE_TEXT_BYTES];

	if (!question->sound || !is(question, VERSION, "1.0") || !is(question, DOMAIN, ZAP_DOMAIN) ||
	    !is(question, MECHANISM, "CURVE") || question->frames[KEY].size != CERTIFICATE_KEY_BYTES) {
		answer(zap, question, "500", "this is no question of CURVE", "");
		return;
	}
	zmq_z85_encode(key, question->frames[KEY].bytes, CERTIFICATE_KEY_BYTES);
	if (keyring_find(zap->keyring, key) != NULL) {
		answer(zap, question, "200", "OK", key);
		return;
	}
	zap->counters->keys_refused++;
	refusals_tell(&zap->refusals, now_ns,
		      "refused a connection from %.*s: its key, %s, is not among the client keys; put its public certificate there "
		      "to let it in", (int)question->frames[ADDRESS].size, (const char *)question->frames[ADDRESS].bytes, key);
	answer(zap, question, "400", "this key is not known", "");
}

bool zap_serve(struct zap *zap, int64_t now_ns)
{
	struct question question;

	for (int i = 0; i < AT_ONCE; i++) {
		if (!receive(zap->socket, &question))
			return false;
		decide(zap, &question, now_ns);
	}
	return true;
}

int64_t zap_tend(struct zap *zap, int64_t now_ns)
{
	return refusals_tend(&zap->refusals, now_ns);
}
