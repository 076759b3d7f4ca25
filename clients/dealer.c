/* SPDX-License-Identifier: MIT
 *
 * dealer.c - libzmq's DEALER and its monitor.
 */
#include "clients/dealer.h"

#include "clients/context.h"
#include "clients/curve.h"
#include "common/clock.h"
#include "common/protocol.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
	HIGH_WATER = 64,           /* messages; the engine keeps less than ten under way, except to an
	                              owner that does not read */
	RECONNECT_MS = 10,         /* an owner that is restarted is back within some of these */
	RECONNECT_MAX_MS = 200,    /* while nobody listens */
	HANDSHAKE_MS = 10000,      /* an owner that was stopped accepts and says nothing */
	HEARTBEAT_MS = 5000,       /* a host that died says nothing either */
	HEARTBEAT_TIMEOUT_MS = 15000,
	AGAIN_MS = 200,            /* after an owner refused: it may get our key, or another owner may come */
	FAILURES_SOON = 3,         /* handshakes that broke, as they do while an owner is restarted: libzmq connects soon */
};

static int set(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Every option of the socket, and why. The routing id stays anonymous: one that is fixed mutes
 * a client that reconnects. */
static int set_options(void *dealer)
{
	int64_t largest = PROTOCOL_MESSAGE_MAX_BYTES;

	/* Goodbye has its own 100 ms; nothing else is worth waiting for at the end. */
	if (set(dealer, ZMQ_LINGER, 0) != 0)
		return -1;
	/* No message goes into the pipe of a connection that is not there: what was sent before an
	 * owner's death does not turn up at its successor. (A connection may still be replaced
	 * between two looks at the monitor; the engine is safe against that, see engine.h.) */
	if (set(dealer, ZMQ_IMMEDIATE, 1) != 0)
		return -1;
	if (set(dealer, ZMQ_SNDHWM, HIGH_WATER) != 0 || set(dealer, ZMQ_RCVHWM, HIGH_WATER) != 0)
		return -1;
	if (zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &largest, sizeof largest) != 0)
		return -1;
	if (set(dealer, ZMQ_RECONNECT_IVL, RECONNECT_MS) != 0 ||
	    set(dealer, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS) != 0)
		return -1;
	if (set(dealer, ZMQ_RCVTIMEO, DEALER_WAIT_MS) != 0)
		return -1;
	if (set(dealer, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) != 0)
		return -1;
	if (set(dealer, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) != 0 ||
	    set(dealer, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) != 0)
		return -1;
	return set(dealer, ZMQ_IPV6, 1);
}

/* The monitor is a pair of sockets. libzmq's I/O thread blocks when it is full, so its end here
 * takes without limit: a few events a reconnection. */
static int open_monitor(struct dealer *dealer)
{
	static _Atomic unsigned long number;
	const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | curve_failures;
	char name[64];

	snprintf(name, sizeof name, "inproc://sole-monitor-%lu", atomic_fetch_add(&number, 1));
	if (zmq_socket_monitor(dealer->socket, name, events) != 0)
		return -1;
	dealer->monitor = context_extra_socket(ZMQ_PAIR);
	if (dealer->monitor == NULL)
		return -1;
	if (set(dealer->monitor, ZMQ_LINGER, 0) != 0 || set(dealer->monitor, ZMQ_RCVHWM, 0) != 0)
		return -1;
	return zmq_connect(dealer->monitor, name);
}

static int get_descriptor(void *socket, int *descriptor)
{
	size_t size = sizeof *descriptor;

	return zmq_getsockopt(socket, ZMQ_FD, descriptor, &size);
}

static int refuse(const char *endpoint, char *why, size_t why_size)
{
	snprintf(why, why_size, "cannot use the endpoint '%.200s': %s", endpoint, zmq_strerror(errno));
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EMTHREAD ? SOLE_SYSTEM : SOLE_USAGE;
}

int dealer_open(struct dealer *dealer, const char *endpoint, const struct sole_options *options, char *why, size_t why_size)
{
	*dealer = (struct dealer){ .socket = context_socket(ZMQ_DEALER), .again_ns = INT64_MAX };
	if (dealer->socket == NULL)
		return refuse(endpoint, why, why_size);
	zmq_msg_init(&dealer->body);
	int code = set_options(dealer->socket) == 0 ? curve_apply(dealer->socket, options, why, why_size)
						    : refuse(endpoint, why, why_size);
	if (code != SOLE_OK) {
		dealer_close(dealer);
		return code;
	}
	if (open_monitor(dealer) == 0 &&
	    get_descriptor(dealer->socket, &dealer->descriptor) == 0 &&
	    get_descriptor(dealer->monitor, &dealer->monitor_descriptor) == 0 &&
	    zmq_connect(dealer->socket, endpoint) == 0) {
		dealer->recheck = dealer->recheck_monitor = true;
		return SOLE_OK;
	}
	code = refuse(endpoint, why, why_size);
	dealer_close(dealer);
	return code;
}

void dealer_close(struct dealer *dealer)
{
	zmq_socket_monitor(dealer->socket, NULL, 0);
	if (dealer->monitor != NULL)
		zmq_close(dealer->monitor);
	zmq_close(dealer->socket);
	zmq_msg_close(&dealer->body);
	dealer->socket = dealer->monitor = NULL;
	context_release();
}

static int receive(void *socket, zmq_msg_t *frame)
{
	int size;

	do
		size = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
	while (size < 0 && errno == EINTR);
	return size;
}

/* Reads the rest of a message that nobody wants. */
static void skip(void *socket, zmq_msg_t *frame)
{
	while (zmq_msg_more(frame) && receive(socket, frame) >= 0)
		;
}

/* After an owner that refused libzmq does not connect again; after connections that broke it does, a hundred times a
 * second, and each costs the owner the mathematics of a handshake. */
static void take_failure(struct dealer *dealer, uint16_t event, uint32_t value)
{
	char endpoint[256];
	size_t size = sizeof endpoint;

	dealer->failure_told = true;
	bool over = curve_failed(dealer->socket, event, value, dealer->hindrance, sizeof dealer->hindrance);

	if ((!over && ++dealer->failures <= FAILURES_SOON) || dealer->again_ns != INT64_MAX)
		return;
	dealer->again_ns = clock_monotonic_ns() + AGAIN_MS * NS_PER_MS;
	if (zmq_getsockopt(dealer->socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0)
		zmq_disconnect(dealer->socket, endpoint);
}

void dealer_tend(struct dealer *dealer, const char *endpoint, int64_t now_ns)
{
	if (dealer->again_ns > now_ns)
		return;
	dealer->again_ns = INT64_MAX;
	zmq_connect(dealer->socket, endpoint);
	dealer->recheck_monitor = true;
}

/* Where something spoke that is no ZeroMQ at all, there is no other word than the end. */
static void take_end(struct dealer *dealer)
{
	if (!dealer->failure_told)
		take_failure(dealer, ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, ZMQ_PROTOCOL_ERROR_ZMTP_UNSPECIFIED);
	dealer->failure_told = false;
}

enum connection_event dealer_event(struct dealer *dealer)
{
	enum connection_event event = CONNECTION_NOTHING;
	zmq_msg_t frame;

	zmq_msg_init(&frame);
	while (event == CONNECTION_NOTHING && receive(dealer->monitor, &frame) >= 0) {
		uint16_t number = 0;
		uint32_t value = 0;
		if (zmq_msg_size(&frame) >= sizeof number + sizeof value) {
			memcpy(&number, zmq_msg_data(&frame), sizeof number);
			memcpy(&value, (const uint8_t *)zmq_msg_data(&frame) + sizeof number, sizeof value);
		}
		skip(dealer->monitor, &frame);
		/* One that was given up meanwhile, with those that failed before it, is none. */
		if (number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
			event = dealer->again_ns == INT64_MAX ? CONNECTION_UP : CONNECTION_NOTHING;
		else if (number == ZMQ_EVENT_DISCONNECTED && dealer->up)
			event = CONNECTION_DOWN;
		else if (number == ZMQ_EVENT_DISCONNECTED)
			take_end(dealer);
		else if ((number & curve_failures) != 0)
			take_failure(dealer, number, value);
	}
	zmq_msg_close(&frame);
	dealer->recheck_monitor = event != CONNECTION_NOTHING;
	if (event != CONNECTION_NOTHING)
		dealer->up = event == CONNECTION_UP;
	if (event == CONNECTION_UP) {
		dealer->hindrance[0] = '\0';
		dealer->failures = 0;
	}
	return event;
}

bool dealer_send(struct dealer *dealer, const struct buffer *body)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		if (zmq_send(dealer->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) == 0) {
			/* The rest follows its first part, or falls with its pipe: the engine asks again. */
			while (zmq_send(dealer->socket, body->data, body->size, ZMQ_DONTWAIT) < 0 &&
			       errno == EINTR)
				;
			/* Sending may have taken in what the descriptor would have told. */
			dealer->recheck = true;
			return true;
		}
		/* The news of a new connection waits in the socket; asking for its state takes it in. */
		int state = 0;
		size_t size = sizeof state;
		dealer->recheck = true;
		zmq_getsockopt(dealer->socket, ZMQ_EVENTS, &state, &size);
		if ((state & ZMQ_POLLOUT) == 0)
			return false;
	}
	return false;
}

/* The first frame is there: takes the body behind it. Whatever has another shape is skipped. */
static bool take_body(struct dealer *dealer, const uint8_t **body, size_t *size)
{
	zmq_msg_t *frame = &dealer->body;

	dealer->recheck = true;
	if (zmq_msg_size(frame) == 0 && zmq_msg_more(frame) && receive(dealer->socket, frame) >= 0 &&
	    !zmq_msg_more(frame)) {
		*body = zmq_msg_data(frame);
		*size = zmq_msg_size(frame);
		return true;
	}
	skip(dealer->socket, frame);
	return false;
}

bool dealer_receive(struct dealer *dealer, const uint8_t **body, size_t *size)
{
	while (receive(dealer->socket, &dealer->body) >= 0)
		if (take_body(dealer, body, size))
			return true;
	dealer->recheck = false;
	return false;
}

bool dealer_wait(struct dealer *dealer, const uint8_t **body, size_t *size)
{
	return zmq_msg_recv(&dealer->body, dealer->socket, 0) >= 0 && take_body(dealer, body, size);
}
