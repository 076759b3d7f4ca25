/* SPDX-License-Identifier: MIT
 *
 * crashed.c - a short list of requests.
 */
#include "owner/core/crashed.h"

#include <string.h>

/* FNV-1a. Whoever wants two requests to be taken for one gets the other of his own refused. */
static uint64_t digest_of(const uint8_t *bytes, size_t size)
{
	uint64_t digest = 0xcbf29ce484222325;

	for (size_t i = 0; i < size; i++)
		digest = (digest ^ bytes[i]) * 0x100000001b3;
	return digest;
}

struct crashed_request crashed_request_of(const struct execution_request *request)
{
	bool command = request->session != NULL && !request->query_only;

	return (struct crashed_request){
		.session = command ? request->session->id : 0,
		.sequence = command ? request->sequence : 0,
		.pid = request->caller != NULL && request->caller->known ? (int64_t)request->caller->pid : 0,
		.digest = digest_of(request->payload.at, request->payload.left),
	};
}

void crashed_add(struct crashed *crashed, const struct crashed_request *request)
{
	if (crashed->count == CRASHED_MAX)
		memmove(crashed->list, crashed->list + 1, --crashed->count * sizeof *crashed->list);
	crashed->list[crashed->count++] = *request;
}

static bool same(const struct crashed_request *a, const struct crashed_request *b)
{
	if (a->session != 0 || b->session != 0)
		return a->session == b->session && a->sequence == b->sequence;
	return a->pid == b->pid && a->digest == b->digest;
}

bool crashed_has(const struct crashed *crashed, const struct execution_request *request)
{
	const struct crashed_request wanted = crashed_request_of(request);

	for (size_t i = 0; i < crashed->count; i++)
		if (same(&crashed->list[i], &wanted))
			return true;
	return false;
}
