/* SPDX-License-Identifier: MIT
 *
 * door.c - a ROUTER socket set up for the kind of peers that come by it.
 *
 * ROUTER drops silently by default: it is made mandatory, so that a full peer is
 * EAGAIN and a gone one EHOSTUNREACH.
 */
#include "owner/transport/door.h"
#include "owner/transport/accept_gate.h"
#include "owner/transport/zap.h"
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	HIGH_WATER_MESSAGES = 16, /* per peer and direction; replies beyond it wait in its outbox */
	BACKLOG = 128,
	HANDSHAKE_MS = 5000,
	MONITOR_BATCH = 4096,     /* events taken in at once */
	CURVE_FRAME_BYTES = 33,   /* what encrypting adds to a frame: command, nonce, tag, flags */
	KEEPALIVE_IDLE_S = 30,    /* a host that is gone without a word is found out within a minute */
	KEEPALIVE_EVERY_S = 10,
	KEEPALIVE_COUNT = 3,
	UNACKNOWLEDGED_MS = 60000,
};

_Static_assert((int)ACCEPT_GATE_PEER_MAX <= (int)CONNECTION_TEXT_MAX &&
	       (int)CERTIFICATE_TEXT_BYTES <= (int)CONNECTION_TEXT_MAX, "an origin and a key are kept whole");

/* ---- opening and closing ---- */

static int set(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Every option of the socket, with its reason. */
static int configure(void *router, const struct door_settings *settings)
{
	const int64_t message_max = PROTOCOL_MESSAGE_MAX_BYTES +
				    (settings->kind == DOOR_CURVE ? CURVE_FRAME_BYTES : 0);

	return set(router, ZMQ_ROUTER_MANDATORY, 1) ||           /* be told instead of dropping */
	       set(router, ZMQ_SNDHWM, HIGH_WATER_MESSAGES) ||   /* what is not read is ours to bound */
	       set(router, ZMQ_RCVHWM, HIGH_WATER_MESSAGES) ||   /* a fast peer waits in its own socket */
	       set(router, ZMQ_LINGER, 0) ||                     /* set anew at close */
	       set(router, ZMQ_BACKLOG, BACKLOG) ||
	       set(router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) ||   /* a silent connection is no client */
	       zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max);
}

/* Where the host is written as an IPv4 address nothing else is meant: then addresses are told as such, too. */
static bool is_ipv4(const char *endpoint)
{
	const char *host = endpoint + sizeof "tcp://" - 1;

	return strspn(host, "0123456789.") == strcspn(host, ":");
}

/* No heartbeats of ZMTP: older peers do not know them. The kernel's do as well. */
static int configure_tcp(void *router, const struct door_settings *settings)
{
	return set(router, ZMQ_IPV6, !is_ipv4(settings->endpoint)) ||
	       set(router, ZMQ_TCP_KEEPALIVE, 1) ||
	       set(router, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S) ||
	       set(router, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S) ||
	       set(router, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT) ||
	       set(router, ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS);
}

/* Who is to be asked for keys is there before this socket and after it: where nobody is, libzmq 4.3 lets every key in. */
static int configure_curve(void *router, const struct door_settings *settings)
{
	const char *secret = settings->certificate->secret_key;

	return set(router, ZMQ_CURVE_SERVER, 1) ||
	       zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, secret, CERTIFICATE_TEXT_BYTES) ||
	       zmq_setsockopt(router, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, sizeof ZAP_DOMAIN - 1);
}

/* No high-water mark: the I/O thread must never wait for us with an event. */
static int open_monitor(struct door *door, void *context)
{
	static const char name[] = "inproc://monitor-tcp";
	const int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
			   ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;

	if (zmq_socket_monitor(door->router, name, events) != 0)
		return -1;
	door->monitor = zmq_socket(context, ZMQ_PAIR);
	if (door->monitor == NULL || set(door->monitor, ZMQ_RCVHWM, 0) != 0 || set(door->monitor, ZMQ_LINGER, 0) != 0)
		return -1;
	return zmq_connect(door->monitor, name);
}

static int open_router(struct door *door, void *context, const struct door_settings *settings)
{
	door->router = zmq_socket(context, ZMQ_ROUTER);
	if (door->router == NULL || configure(door->router, settings) != 0)
		return -1;
	if (settings->kind == DOOR_CURVE && configure_curve(door->router, settings) != 0)
		return -1;
	return configure_tcp(door->router, settings);
}

int door_open(struct door *door, void *context, const struct door_settings *settings, struct connections *connections,
	      const char **step)
{
	size_t size = sizeof door->router_descriptor;

	*door = (struct door){ .kind = settings->kind, .connections = connections, .keyring = settings->keyring,
			       .counters = settings->counters };
	*step = "cannot start ZeroMQ";
	if (connections == NULL || open_router(door, context, settings) != 0)
		return -1;
	*step = "cannot watch connections";
	if (open_monitor(door, context) != 0)
		return -1;
	if (zmq_getsockopt(door->router, ZMQ_FD, &door->router_descriptor, &size) != 0 ||
	    zmq_getsockopt(door->monitor, ZMQ_FD, &door->monitor_descriptor, &size) != 0)
		return -1;
	*step = "cannot serve the socket";
	return zmq_bind(door->router, settings->endpoint);
}

void door_close(struct door *door, int linger_ms)
{
	if (door->router != NULL) {
		zmq_socket_monitor(door->router, NULL, 0);
		set(door->router, ZMQ_LINGER, linger_ms);
		zmq_close(door->router);
	}
	if (door->monitor != NULL)
		zmq_close(door->monitor);
	door->router = door->monitor = NULL;
}

void door_clear(struct door *door)
{
	connections_destroy(&door->connections);
}

void door_endpoint(const struct door *door, char *endpoint, size_t size)
{
	if (zmq_getsockopt(door->router, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
		endpoint[0] = '\0';
}

/* ---- events ---- */

static enum door_reason reason_of(uint16_t event, uint32_t value, bool late)
{
	if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
		return late ? DOOR_SILENT : DOOR_LEFT;
	switch (value) {
	case ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
		return DOOR_OTHER_MECHANISM;
	case ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
	case ZMQ_PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE:
		return DOOR_OTHER_KEY;
	default:
		return DOOR_NO_ZEROMQ;
	}
}

static const char *words_of(enum door_reason reason, enum door_kind kind)
{
	static const char *const words[DOOR_REASONS] = {
		[DOOR_OTHER_MECHANISM] = "it speaks in the clear, and here is spoken CURVE: it needs --server-key and --client-key",
		[DOOR_OTHER_KEY] = "it takes this owner for one with another key: give it this owner's public certificate",
		[DOOR_NO_ZEROMQ] = "it does not keep to the protocol of ZeroMQ",
		[DOOR_LEFT] = "it left before it had said who it is",
		[DOOR_SILENT] = "it did not say who it is within 5 seconds",
	};

	if (reason == DOOR_OTHER_MECHANISM && kind == DOOR_CLEAR)
		return "it has keys, and here is spoken in the clear";
	return words[reason];
}

/* Failures bear no descriptor, but libzmq's I/O thread, of which there is one, tells of the end of the same connection next. */
static void take_end(struct door *door, int descriptor, int64_t now_ns)
{
	if (door->failure != 0) {
		const char *origin = connections_origin(door->connections, descriptor);
		bool late = now_ns - connections_heard_ns(door->connections, descriptor) >= (HANDSHAKE_MS - 500) * NS_PER_MS;
		enum door_reason reason = reason_of(door->failure, door->failure_value, late);
		door->counters->handshakes_failed++;
		refusals_tell(&door->refusals[reason], now_ns, "refused a connection from %s: %s",
			      origin[0] != '\0' ? origin : "somewhere", words_of(reason, door->kind));
	}
	door->failure = 0;
	connections_disconnected(door->connections, descriptor);
}

static void take_beginning(struct door *door, int descriptor, int64_t now_ns)
{
	char origin[ACCEPT_GATE_PEER_MAX];

	connections_accepted(door->connections, descriptor, now_ns);
	if (accept_gate_peer(descriptor, origin))
		connections_set_origin(door->connections, descriptor, origin);
}

/* Each event is a frame of u16 number and u32 value in the machine's order, and a frame with
 * the address; the value of beginnings and ends is the descriptor. */
static bool take_event(struct door *door, int64_t now_ns)
{
	uint8_t frame[6], address[256];
	uint16_t event;
	uint32_t value;

	int size = zmq_recv(door->monitor, frame, sizeof frame, ZMQ_DONTWAIT);
	if (size < 0)
		return false;
	zmq_recv(door->monitor, address, sizeof address, ZMQ_DONTWAIT);
	if (size != (int)sizeof frame)
		return true;
	memcpy(&event, frame, sizeof event);
	memcpy(&value, frame + sizeof event, sizeof value);
	if (event == ZMQ_EVENT_ACCEPTED) {
		take_beginning(door, (int)value, now_ns);
	} else if (event == ZMQ_EVENT_DISCONNECTED) {
		take_end(door, (int)value, now_ns);
	} else {
		door->failure = event;
		door->failure_value = value;
	}
	return true;
}

void door_take_events(struct door *door, int64_t now_ns)
{
	for (int i = 0; i < MONITOR_BATCH && take_event(door, now_ns); i++)
		;
}

int64_t door_tend(struct door *door, int64_t now_ns)
{
	int64_t next_ns = INT64_MAX;

	for (int i = 0; i < DOOR_REASONS; i++) {
		int64_t due_ns = refusals_tend(&door->refusals[i], now_ns);
		next_ns = due_ns < next_ns ? due_ns : next_ns;
	}
	return next_ns;
}

static bool has_input(void *socket)
{
	int events = 0;
	size_t size = sizeof events;

	return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

bool door_has_input(const struct door *door)
{
	return has_input(door->router) || has_input(door->monitor);
}

/* ---- who calls ---- */

bool door_caller(const struct door *door, struct envelope *envelope, struct caller *caller)
{
	const struct known_key *key;
	bool relayed = envelope->path.count > 1;

	*caller = (struct caller){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (door->kind == DOOR_CLEAR) {
		caller->clear = !relayed;
		return true;
	}
	key = keyring_find(door->keyring, envelope_key(envelope));
	if (key == NULL || relayed)
		return key != NULL;
	caller->known = caller->keyed = true;
	caller->born = key->number;
	memcpy(caller->key_name, key->name, sizeof caller->key_name);
	return true;
}

uint64_t door_heard(struct door *door, struct envelope *envelope, int64_t now_ns)
{
	zmq_msg_t *id = &envelope->path.frames[0];
	uint64_t connection = connections_heard(door->connections, envelope_descriptor(envelope), zmq_msg_data(id),
						zmq_msg_size(id), now_ns);

	if (door->kind == DOOR_CURVE)
		connections_set_key(door->connections, connection, envelope_key(envelope));
	return connection;
}

void door_refuse(struct door *door, struct envelope *envelope, int64_t now_ns)
{
	door->counters->keys_revoked++;
	connections_cut(door->connections, door_heard(door, envelope, now_ns));
}

static bool may_stay(const void *context, const char *key)
{
	return key[0] != '\0' && keyring_find(context, key) != NULL;
}

unsigned door_cut_revoked(struct door *door)
{
	if (door->kind != DOOR_CURVE)
		return 0;
	unsigned cut = connections_cut_keys(door->connections, may_stay, door->keyring);
	door->counters->keys_revoked += cut;
	return cut;
}
