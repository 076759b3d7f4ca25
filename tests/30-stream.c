/* SPDX-License-Identifier: MIT
 *
 * 30-stream.c - the client's own way over a Unix socket, against libzmq's ROUTER: to that it
 * is a DEALER like any other, whatever the sizes, the pace and the accidents.
 */
#include "clients/stream.h"
#include "common/clock.h"
#include "common/protocol.h"
#include "tests/lib/unit.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#define LIMIT_NS (20 * NS_PER_S)

static char folder[] = "/tmp/sole-stream-XXXXXX";
static char path[64];
static void *context;

static void *router_open(int heartbeat_ms)
{
	void *router = zmq_socket(context, ZMQ_ROUTER);
	char endpoint[80];
	int none = 0, limit = 5000, patience_ms = 1000;

	assert_non_null(router);
	zmq_setsockopt(router, ZMQ_LINGER, &none, sizeof none);
	zmq_setsockopt(router, ZMQ_RCVTIMEO, &limit, sizeof limit);
	if (heartbeat_ms > 0) {
		zmq_setsockopt(router, ZMQ_HEARTBEAT_IVL, &heartbeat_ms, sizeof heartbeat_ms);
		zmq_setsockopt(router, ZMQ_HEARTBEAT_TIMEOUT, &patience_ms, sizeof patience_ms);
	}
	snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
	assert_int_equal(zmq_bind(router, endpoint), 0);
	return router;
}

static void router_close(void *router)
{
	zmq_close(router);
	unlink(path);
}

/* Waits for the next event, doing what is due. Bodies that come meanwhile fail the test. */
static enum connection_event event_of(struct stream *stream)
{
	int64_t until_ns = clock_monotonic_ns() + LIMIT_NS;
	const uint8_t *body;
	size_t size;

	while (clock_monotonic_ns() < until_ns) {
		enum connection_event event = stream_event(stream);
		if (event != CONNECTION_NOTHING)
			return event;
		stream_tend(stream, clock_monotonic_ns());
		struct pollfd one = { .fd = stream->descriptor, .events = stream_poll_events(stream) };
		poll(&one, 1, 5);
		assert_false(stream_receive(stream, &body, &size));
	}
	return CONNECTION_NOTHING;
}

static void next_body(struct stream *stream, const uint8_t **body, size_t *size)
{
	int64_t until_ns = clock_monotonic_ns() + LIMIT_NS;

	while (!stream_receive(stream, body, size)) {
		assert_true(clock_monotonic_ns() < until_ns);
		assert_true(stream->up);
		struct pollfd one = { .fd = stream->descriptor, .events = stream_poll_events(stream) };
		poll(&one, 1, 5);
	}
}

/* Takes one message at the router and sends its body back. Returns how many bytes it had. */
static size_t echo(void *router)
{
	zmq_msg_t id, delimiter, body;

	zmq_msg_init(&id);
	zmq_msg_init(&delimiter);
	zmq_msg_init(&body);
	assert_true(zmq_msg_recv(&id, router, 0) > 0);
	assert_int_equal(zmq_msg_recv(&delimiter, router, 0), 0);
	assert_true(zmq_msg_more(&delimiter));
	assert_true(zmq_msg_recv(&body, router, 0) >= 0);
	assert_false(zmq_msg_more(&body));
	size_t size = zmq_msg_size(&body);
	assert_true(zmq_msg_send(&id, router, ZMQ_SNDMORE) >= 0);
	assert_true(zmq_msg_send(&delimiter, router, ZMQ_SNDMORE) >= 0);
	assert_true(zmq_msg_send(&body, router, 0) >= 0);
	return size;
}

/* Both ends are of one thread: what waits at this one must be able to leave until it is all there. */
static size_t pump_and_echo(struct stream *stream, void *router)
{
	zmq_pollitem_t item = { .socket = router, .events = ZMQ_POLLIN };
	int64_t until_ns = clock_monotonic_ns() + LIMIT_NS;

	while (zmq_poll(&item, 1, 2) == 0) {
		assert_true(clock_monotonic_ns() < until_ns);
		if (stream->out.size > 0)
			stream_flush(stream);
	}
	return echo(router);
}

static struct buffer body_of(size_t size)
{
	struct buffer body = { 0 };

	for (size_t i = 0; i < size; i++)
		buffer_u8(&body, (uint8_t)(i * 31 + size));
	assert_false(body.failed);
	return body;
}

static void open_up(struct stream *stream)
{
	stream_open(stream, path, clock_monotonic_ns());
	assert_int_equal(event_of(stream), CONNECTION_UP);
}

/* ---- */

static void bodies_of_every_size_go_there_and_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 32, 33, 34, 254, 255, 256, 257, 2036, 2037, 2038, 2044, 2045, 8192, 65535, 65536,
					200000, PROTOCOL_MESSAGE_MAX_BYTES - 1, PROTOCOL_MESSAGE_MAX_BYTES };
	void *router = router_open(0);
	struct stream stream;

	(void)state;
	open_up(&stream);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct buffer sent = body_of(sizes[i]);
		const uint8_t *body;
		size_t size;
		assert_true(stream_send(&stream, &sent));
		assert_int_equal(pump_and_echo(&stream, router), sizes[i]);
		next_body(&stream, &body, &size);
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(body, sent.data, size);
		buffer_clear(&sent);
	}
	stream_close(&stream);
	router_close(router);
}

static void the_blocking_way_waits_no_longer_than_it_says(void **state)
{
	void *router = router_open(0);
	struct buffer sent = body_of(10);
	struct stream stream;
	const uint8_t *body;
	size_t size;

	(void)state;
	open_up(&stream);
	int64_t start_ns = clock_monotonic_ns();
	assert_false(stream_wait(&stream, &body, &size));
	int64_t took_ns = clock_monotonic_ns() - start_ns;
	assert_true(took_ns >= (STREAM_WAIT_MS - 5) * NS_PER_MS);
	for (int i = 0; i < 100; i++) {
		assert_true(stream_send(&stream, &sent));
		echo(router);
		while (!stream_wait(&stream, &body, &size))
			assert_true(stream.up);
		assert_int_equal(size, 10);
	}
	buffer_clear(&sent);
	stream_close(&stream);
	router_close(router);
}

static void what_was_read_with_a_body_is_told_of_without_poll(void **state)
{
	void *router = router_open(0);
	struct buffer sent = body_of(10);
	struct stream stream;
	const uint8_t *body;
	size_t size;
	int unread = 0;

	(void)state;
	open_up(&stream);
	for (int i = 0; i < 3; i++) {
		assert_true(stream_send(&stream, &sent));
		echo(router);
	}
	for (int64_t until_ns = clock_monotonic_ns() + LIMIT_NS; unread < 3 * (2 + 2 + 10);) {
		assert_int_equal(ioctl(stream.descriptor, FIONREAD, &unread), 0);
		assert_true(clock_monotonic_ns() < until_ns);
	}
	assert_true(stream_wait(&stream, &body, &size));
	assert_true(stream_recheck(&stream));
	assert_true(stream_receive(&stream, &body, &size));
	assert_true(stream_recheck(&stream));
	assert_true(stream_receive(&stream, &body, &size));
	assert_false(stream_recheck(&stream));
	assert_false(stream_receive(&stream, &body, &size));
	buffer_clear(&sent);
	stream_close(&stream);
	router_close(router);
}

static void a_router_that_does_not_read_stops_the_sender_and_loses_nothing(void **state)
{
	void *router = router_open(0);
	struct buffer sent = body_of(100000);
	struct stream stream;
	size_t count = 0, size;
	const uint8_t *body;

	(void)state;
	open_up(&stream);
	/* libzmq takes some, the kernel's buffer some, stream.out one at the most. */
	for (int64_t until_ns = clock_monotonic_ns() + NS_PER_S / 2; clock_monotonic_ns() < until_ns && count < 10000;)
		count += stream_send(&stream, &sent);
	assert_true(stream.out.size <= sent.size + 2 + ZMTP_HEAD_BYTES);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(pump_and_echo(&stream, router), sent.size);
		next_body(&stream, &body, &size);
		assert_int_equal(size, sent.size);
	}
	buffer_clear(&sent);
	stream_close(&stream);
	router_close(router);
}

static void heartbeats_are_answered(void **state)
{
	void *router = router_open(50); /* and after a second without an answer libzmq cuts */
	struct buffer sent = body_of(10);
	struct stream stream;
	const uint8_t *body;
	size_t size;

	(void)state;
	open_up(&stream);
	for (int64_t until_ns = clock_monotonic_ns() + 2 * NS_PER_S; clock_monotonic_ns() < until_ns;) {
		struct pollfd one = { .fd = stream.descriptor, .events = POLLIN };
		poll(&one, 1, 5);
		assert_false(stream_receive(&stream, &body, &size));
		assert_false(stream_eventful(&stream));
	}
	assert_true(stream_send(&stream, &sent));
	echo(router);
	next_body(&stream, &body, &size);
	assert_int_equal(size, 10);
	buffer_clear(&sent);
	stream_close(&stream);
	router_close(router);
}

static void a_router_that_comes_later_or_again_is_found(void **state)
{
	struct stream stream;

	(void)state;
	stream_open(&stream, path, clock_monotonic_ns());
	assert_true(stream.descriptor < 0);
	assert_true(stream_deadline(&stream) < clock_monotonic_ns() + NS_PER_S);
	for (int i = 0; i < 3; i++) {
		void *router = router_open(0);
		assert_int_equal(event_of(&stream), CONNECTION_UP);
		router_close(router);
		assert_int_equal(event_of(&stream), CONNECTION_DOWN);
	}
	stream_close(&stream);
}

static void what_had_come_before_the_end_is_handed_out_before_it(void **state)
{
	void *router = router_open(0);
	struct buffer sent = body_of(10);
	struct stream stream;
	const uint8_t *body;
	size_t size;

	(void)state;
	open_up(&stream);
	assert_true(stream_send(&stream, &sent));
	echo(router);
	struct pollfd one = { .fd = stream.descriptor, .events = POLLIN };
	assert_int_equal(poll(&one, 1, 5000), 1);
	router_close(router);
	/* The end is there when this is refused; what is sent into it is only lost. */
	for (int64_t until_ns = clock_monotonic_ns() + LIMIT_NS; !stream.mute; stream_send(&stream, &sent))
		assert_true(clock_monotonic_ns() < until_ns);
	assert_true(stream.up);
	assert_false(stream_send(&stream, &sent));
	assert_true(stream_recheck(&stream)); /* without poll(2): the end was seen */
	assert_true(stream_receive(&stream, &body, &size));
	assert_int_equal(size, 10);
	assert_int_equal(stream_event(&stream), CONNECTION_NOTHING);
	assert_false(stream_receive(&stream, &body, &size));
	assert_int_equal(stream_event(&stream), CONNECTION_DOWN);
	assert_false(stream_send(&stream, &sent));
	buffer_clear(&sent);
	stream_close(&stream);
}

static int listener_open(int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, backlog), 0);
	return listener;
}

/* A peer of whom it is certain when he goes: libzmq's closes later, in its own thread. */
static int open_up_to(int listener, struct stream *stream)
{
	uint8_t opening[ZMTP_OPENING_BYTES];

	stream_open(stream, path, clock_monotonic_ns());
	int peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	zmtp_opening(opening, ZMTP_ROUTER);
	assert_int_equal(write(peer, opening, sizeof opening), sizeof opening);
	assert_int_equal(event_of(stream), CONNECTION_UP);
	return peer;
}

static void to_a_peer_that_has_gone_nothing_is_sent(void **state)
{
	static const size_t sizes[] = { 10, 100000, 1000000 };
	int listener = listener_open(4);

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct buffer sent = body_of(sizes[i]);
		struct stream stream;
		const uint8_t *body;
		size_t size;
		int peer = open_up_to(listener, &stream);
		assert_false(stream_receive(&stream, &body, &size)); /* he is there, and silent */
		close(peer);
		assert_false(stream_recheck(&stream)); /* nobody has looked, and nobody need: */
		assert_false(stream_send(&stream, &sent));
		assert_true(stream_recheck(&stream));
		assert_false(stream_receive(&stream, &body, &size));
		assert_int_equal(stream_event(&stream), CONNECTION_DOWN);
		buffer_clear(&sent);
		stream_close(&stream);
	}
	close(listener);
	unlink(path);
}

static void with_something_still_to_be_written_nobody_waits(void **state)
{
	int listener = listener_open(4);
	struct buffer sent = body_of(1000000);
	struct stream stream;
	const uint8_t *body;
	size_t size;

	(void)state;
	int peer = open_up_to(listener, &stream);
	for (int64_t until_ns = clock_monotonic_ns() + LIMIT_NS; stream.out.size == 0;) {
		assert_true(clock_monotonic_ns() < until_ns);
		assert_true(stream_send(&stream, &sent));
	}
	int64_t least_ns = INT64_MAX;
	for (int i = 0; i < 10; i++) {
		int64_t start_ns = clock_monotonic_ns();
		assert_false(stream_wait(&stream, &body, &size));
		int64_t took_ns = clock_monotonic_ns() - start_ns;
		least_ns = took_ns < least_ns ? took_ns : least_ns;
	}
	assert_true(least_ns < STREAM_WAIT_MS / 2 * NS_PER_MS);
	buffer_clear(&sent);
	stream_close(&stream);
	close(peer);
	close(listener);
	unlink(path);
}

static void a_peer_that_says_nothing_is_given_up(void **state)
{
	int listener = listener_open(4);
	struct stream stream;

	(void)state;
	stream_open(&stream, path, clock_monotonic_ns());
	assert_true(stream.descriptor >= 0);
	int64_t deadline_ns = stream_deadline(&stream);
	assert_true(deadline_ns > clock_monotonic_ns() + 5 * NS_PER_S);
	stream_tend(&stream, deadline_ns - 1);
	assert_true(stream.descriptor >= 0);
	stream_tend(&stream, deadline_ns);
	assert_true(stream.descriptor < 0);
	assert_int_equal(stream_event(&stream), CONNECTION_NOTHING); /* it never was up */
	stream_close(&stream);
	close(listener);
	unlink(path);
}

static void a_peer_of_another_kind_is_left_and_tried_again_later_and_later(void **state)
{
	int listener = listener_open(4);
	int64_t pause_ns = 0;
	struct stream stream;
	const uint8_t *body;
	size_t size;

	(void)state;
	stream_open(&stream, path, clock_monotonic_ns());
	for (int i = 0; i < 8; i++) {
		int peer = accept(listener, NULL, NULL);
		assert_true(peer >= 0);
		assert_int_equal(write(peer, "-ERR\r\n", 6), 6);
		assert_false(stream_receive(&stream, &body, &size));
		assert_true(stream.descriptor < 0);
		int64_t next_ns = stream_deadline(&stream) - clock_monotonic_ns();
		assert_true(next_ns > pause_ns / 2 && next_ns <= 200 * NS_PER_MS);
		pause_ns = next_ns;
		stream_tend(&stream, stream_deadline(&stream));
		close(peer);
	}
	assert_true(pause_ns > 100 * NS_PER_MS);
	stream_close(&stream);
	close(listener);
	unlink(path);
}

static void a_full_queue_of_connections_is_waited_for(void **state)
{
	int listener = listener_open(0), peers = 0;
	struct stream streams[8];

	(void)state;
	for (size_t i = 0; i < 8; i++)
		stream_open(&streams[i], path, clock_monotonic_ns());
	assert_true(streams[7].descriptor < 0);
	for (int64_t until_ns = clock_monotonic_ns() + LIMIT_NS; peers < 8;) {
		assert_true(clock_monotonic_ns() < until_ns);
		struct pollfd one = { .fd = listener, .events = POLLIN };
		if (poll(&one, 1, 5) == 1) {
			close(accept(listener, NULL, NULL));
			peers++;
		}
		for (size_t i = 0; i < 8; i++)
			if (streams[i].descriptor < 0)
				stream_tend(&streams[i], clock_monotonic_ns());
	}
	for (size_t i = 0; i < 8; i++)
		stream_close(&streams[i]);
	close(listener);
	unlink(path);
}

static void an_epoll_set_goes_along_from_connection_to_connection(void **state)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;
	struct stream stream;
	const uint8_t *body;
	size_t size;

	(void)state;
	stream_open(&stream, path, clock_monotonic_ns());
	assert_true(stream_watch(&stream, epoll));
	for (int i = 0; i < 2; i++) {
		void *router = router_open(0);
		while (stream.descriptor < 0)
			stream_tend(&stream, clock_monotonic_ns());
		while (!stream.up) {
			assert_int_equal(epoll_wait(epoll, &event, 1, 5000), 1);
			assert_false(stream_receive(&stream, &body, &size));
		}
		assert_int_equal(stream_event(&stream), CONNECTION_UP);
		assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0); /* nothing to read, and room is no news */

		/* A message too long for the socket: told again when there is room. */
		struct buffer sent = body_of(PROTOCOL_MESSAGE_MAX_BYTES);
		for (int64_t until_ns = clock_monotonic_ns() + LIMIT_NS; stream.out.size == 0;) {
			assert_true(clock_monotonic_ns() < until_ns);
			stream_send(&stream, &sent);
		}
		buffer_clear(&sent);
		assert_int_equal(epoll_wait(epoll, &event, 1, 0), 0);
		zmq_pollitem_t item = { .socket = router, .events = ZMQ_POLLIN };
		while (stream.out.size > 0) {
			if (zmq_poll(&item, 1, 1) == 1)
				echo(router);
			else if (epoll_wait(epoll, &event, 1, 5000) == 1)
				stream_receive(&stream, &body, &size);
		}

		router_close(router);
		while (stream.up) {
			assert_int_equal(epoll_wait(epoll, &event, 1, 5000), 1);
			stream_receive(&stream, &body, &size);
		}
		assert_int_equal(stream_event(&stream), CONNECTION_DOWN);
	}
	stream_close(&stream);
	close(epoll);
}

static int make_folder(void **state)
{
	(void)state;
	context = zmq_ctx_new();
	if (mkdtemp(folder) == NULL || context == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/s", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	zmq_ctx_term(context);
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_of_every_size_go_there_and_back),
		cmocka_unit_test(the_blocking_way_waits_no_longer_than_it_says),
		cmocka_unit_test(what_was_read_with_a_body_is_told_of_without_poll),
		cmocka_unit_test(a_router_that_does_not_read_stops_the_sender_and_loses_nothing),
		cmocka_unit_test(heartbeats_are_answered),
		cmocka_unit_test(a_router_that_comes_later_or_again_is_found),
		cmocka_unit_test(what_had_come_before_the_end_is_handed_out_before_it),
		cmocka_unit_test(to_a_peer_that_has_gone_nothing_is_sent),
		cmocka_unit_test(with_something_still_to_be_written_nobody_waits),
		cmocka_unit_test(a_peer_that_says_nothing_is_given_up),
		cmocka_unit_test(a_peer_of_another_kind_is_left_and_tried_again_later_and_later),
		cmocka_unit_test(a_full_queue_of_connections_is_waited_for),
		cmocka_unit_test(an_epoll_set_goes_along_from_connection_to_connection),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("stream", tests, make_folder, remove_folder);
}
