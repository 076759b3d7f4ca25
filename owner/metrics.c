/* SPDX-License-Identifier: MIT
 *
 * metrics.c - libmicrohttpd, driven from outside.
 */
#include "owner/metrics.h"
#include "common/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CONNECTIONS_MAX = 8,
	TIMEOUT_S = 10,             /* without progress, a connection is closed */
	CONNECTION_BYTES = 16 << 10, /* for the head of a request */
	RUNS_MOST = 4,              /* in a row: what is still to be done then is done the next time */
};

struct metrics {
	struct metrics_settings settings;
	struct MHD_Daemon *daemon;
	struct buffer text;
	int descriptor, port;
};

static enum MHD_Result answer_with(struct MHD_Connection *connection, unsigned status, const char *type, const void *text,
				   size_t size)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(size, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);

	if (response == NULL)
		return MHD_NO; /* closes the connection */
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	enum MHD_Result result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_words(struct MHD_Connection *connection, unsigned status, const char *words)
{
	return answer_with(connection, status, "text/plain; charset=utf-8", words, strlen(words));
}

/* Called once for the head of a request and once when there is no more of its body, which is let go. */
static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path, const char *method,
			      const char *version, const char *body, size_t *body_size, void **request)
{
	static char seen;
	struct metrics *metrics = context;

	(void)version, (void)body;
	if (*request == NULL) {
		*request = &seen;
		return MHD_YES;
	}
	if (*body_size > 0) {
		*body_size = 0;
		return MHD_YES;
	}
	if (strcmp(path, "/metrics") != 0)
		return answer_words(connection, MHD_HTTP_NOT_FOUND, "the numbers are at /metrics\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_words(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "numbers can be read: GET /metrics\n");
	metrics->settings.write(metrics->settings.context, &metrics->text);
	if (metrics->text.failed)
		return answer_words(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "the owner has no memory for it\n");
	return answer_with(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", metrics->text.data,
			   metrics->text.size);
}

/* What libmicrohttpd has to say about its peers is nothing for the owner's log. */
static void say_nothing(void *context, const char *format, va_list arguments)
{
	(void)context, (void)format, (void)arguments;
}

struct metrics *metrics_open(const struct metrics_settings *settings, char *error, size_t error_size)
{
	struct metrics *metrics = calloc(1, sizeof *metrics);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)settings->port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (metrics == NULL) {
		snprintf(error, error_size, "no memory to serve metrics");
		return NULL;
	}
	metrics->settings = *settings;
	errno = 0;
	metrics->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, (uint16_t)settings->port, NULL, NULL, answer, metrics,
					   MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL,
					   MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&address,
					   MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
					   MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
					   MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
	if (metrics->daemon == NULL) {
		const char *what_to_do = errno == EAFNOSUPPORT ? "its sandbox has no network, see sole-systemd(7)"
							       : "give --metrics another port";
		snprintf(error, error_size, "cannot serve metrics at 127.0.0.1:%lld: %s: %s", (long long)settings->port,
			 errno != 0 ? strerror(errno) : "libmicrohttpd does not start", what_to_do);
		metrics_close(&metrics);
		return NULL;
	}
	metrics->descriptor = MHD_get_daemon_info(metrics->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	metrics->port = MHD_get_daemon_info(metrics->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
	return metrics;
}

void metrics_close(struct metrics **metrics)
{
	if (*metrics == NULL)
		return;
	if ((*metrics)->daemon != NULL)
		MHD_stop_daemon((*metrics)->daemon);
	buffer_clear(&(*metrics)->text);
	free(*metrics);
	*metrics = NULL;
}

int metrics_descriptor(const struct metrics *metrics)
{
	return metrics->descriptor;
}

int metrics_port(const struct metrics *metrics)
{
	return metrics->port;
}

void metrics_tend(struct metrics *metrics, int64_t now_ns, int64_t *next_ns)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms = 0;

	*next_ns = INT64_MAX;
	for (int i = 0; i < RUNS_MOST; i++) {
		MHD_run(metrics->daemon);
		if (MHD_get_timeout(metrics->daemon, &timeout_ms) != MHD_YES)
			return;
		if (timeout_ms > 0)
			break;
	}
	*next_ns = now_ns + (int64_t)timeout_ms * NS_PER_MS;
}
