/* SPDX-License-Identifier: MIT
 *
 * curve.c - keys from files onto a socket; words for handshakes that failed.
 */
#include "clients/curve.h"

#include "common/certificate.h"
#include "common/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { CURVE_FRAME_BYTES = 33 }; /* what encrypting adds to a frame: command, nonce, tag, flags */

const int curve_failures = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
			   ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

static const char *file_of(const char *option, const char *variable)
{
	const char *file = option != NULL ? option : getenv(variable);

	return file != NULL && *file != '\0' ? file : NULL;
}

static int set_keys(void *dealer, const struct certificate *own, const struct certificate *server)
{
	const int64_t largest = PROTOCOL_MESSAGE_MAX_BYTES + CURVE_FRAME_BYTES;

	if (zmq_setsockopt(dealer, ZMQ_CURVE_SERVERKEY, server->public_key, CERTIFICATE_TEXT_BYTES) != 0 ||
	    zmq_setsockopt(dealer, ZMQ_CURVE_PUBLICKEY, own->public_key, CERTIFICATE_TEXT_BYTES) != 0 ||
	    zmq_setsockopt(dealer, ZMQ_CURVE_SECRETKEY, own->secret_key, CERTIFICATE_TEXT_BYTES) != 0)
		return -1;
	return zmq_setsockopt(dealer, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
}

int curve_apply(void *dealer, const struct sole_options *options, char *why, size_t size)
{
	const char *server_file = file_of(options->server_key, "SOLE_SERVER_KEY");
	const char *own_file = file_of(options->client_key, "SOLE_CLIENT_KEY");
	char sentence[CERTIFICATE_WHY_MAX];
	struct certificate own, server;

	if (server_file == NULL && own_file == NULL)
		return SOLE_OK;
	if (server_file == NULL || own_file == NULL) {
		snprintf(why, size, "%s is given and %s is not: CURVE takes the owner's public key and a client's own",
			 server_file != NULL ? "a server key" : "a client key", server_file != NULL ? "a client key" : "a server key");
		return SOLE_USAGE;
	}
	if (certificate_read(&server, server_file, sentence) != 0 ||
	    certificate_read_secret(&own, own_file, sentence) != 0) {
		snprintf(why, size, "%s", sentence);
		return SOLE_USAGE;
	}
	int failed = set_keys(dealer, &own, &server), problem = errno;
	certificate_clear(&own);
	if (failed == 0)
		return SOLE_OK;
	snprintf(why, size, "cannot use keys: %s", problem == EINVAL ? "this system's ZeroMQ has no CURVE" : zmq_strerror(problem));
	return SOLE_SYSTEM;
}

static bool has_keys(void *dealer)
{
	int mechanism = ZMQ_NULL;
	size_t size = sizeof mechanism;

	return zmq_getsockopt(dealer, ZMQ_MECHANISM, &mechanism, &size) == 0 && mechanism == ZMQ_CURVE;
}

static const char *words_of(bool keys, uint16_t event, uint32_t value)
{
	if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
		return value == 400 ? "the owner does not let this client's key in: its public certificate belongs into the owner's "
				      "folder of client keys"
				    : "the owner could not tell whether to let this client's key in";
	if (event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)
		return keys ? "what listens there hung up: the owner has another key than the server key says, or it is no owner"
			    : "what listens there hung up, or said nothing: it may want keys (--server-key and --client-key), or is no owner";
	if (value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
		return keys ? "the owner speaks in the clear: leave out --server-key and --client-key if that is meant"
			    : "the owner speaks to clients with keys only: give --server-key and --client-key";
	if (value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC)
		return "what listens there does not have the key that the server key says";
	return "what listens there is no owner: it does not keep to the protocol of ZeroMQ";
}

bool curve_failed(void *dealer, uint16_t event, uint32_t value, char *text, size_t size)
{
	snprintf(text, size, "%s", words_of(has_keys(dealer), event, value));
	return event != ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
}
