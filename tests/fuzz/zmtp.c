/* SPDX-License-Identifier: MIT
 *
 * Both readers of ZMTP, the owner's parcel.h and the client's inbound.h: whatever the bytes, nothing is read that is not
 * there, what is taken is no more than there was, and how the bytes are cut changes nothing.
 *
 * The first byte says how the rest is cut.
 */
#include "tests/fuzz/fuzz.h"

#include "clients/inbound.h"
#include "common/protocol.h"
#include "owner/transport/parcel.h"

/* Parcels from a copy that ends where the bytes do. */
static void read_parcels(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	size_t at = 0;

	require(bytes != NULL);
	memcpy(bytes + 1, data, size);
	while (at < size) {
		struct parcel parcel;
		uint8_t *from = bytes + 1 + at;
		enum parcel_found found = parcel_find(from, size - at, &parcel);
		if (found == PARCEL_PARTIAL)
			require(parcel.whole > size - at);
		if (found == PARCEL_PARTIAL || found == PARCEL_WRONG)
			break;
		require(parcel.whole > 0 && parcel.whole <= size - at);
		if (found == PARCEL_MESSAGE) {
			require(parcel.path == from && parcel.path_size < parcel.whole);
			require(parcel.body >= from + parcel.path_size && parcel.body + parcel.size <= from + parcel.whole);
			require(parcel.size <= PROTOCOL_MESSAGE_MAX_BYTES);
		}
		at += parcel.whole;
	}
	free(bytes);
}

/* A digest of all that comes out when the bytes come in pieces of `step`. */
static uint64_t read_inbound(const uint8_t *data, size_t size, size_t step)
{
	struct inbound inbound = { 0 };
	const uint8_t *bytes = NULL;
	uint64_t digest = 14695981039346656037u;
	size_t room, length = 0;
	bool over = false;

	for (size_t at = 0; at < size && !over; at += step) {
		size_t part = size - at < step ? size - at : step;
		uint8_t *to = inbound_room(&inbound, &room);
		require(to != NULL && room >= part);
		memcpy(to, data + at, part);
		inbound_filled(&inbound, part);
		for (enum inbound_found found; !over && (found = inbound_next(&inbound, &bytes, &length)) != INBOUND_NOTHING;) {
			over = found == INBOUND_FAULT;
			digest = (digest ^ (uint64_t)found) * 1099511628211u;
			bool carries = found == INBOUND_BODY || found == INBOUND_PING;
			for (size_t i = 0; carries && i < length; i++)
				digest = (digest ^ bytes[i]) * 1099511628211u;
		}
	}
	inbound_clear(&inbound);
	return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t opening[ZMTP_OPENING_BYTES];

	if (size < 1 || size > 4096)
		return 0;
	size_t step = 1 + data[0] % 64;
	read_parcels(data + 1, size - 1);
	require(read_inbound(data + 1, size - 1, step) == read_inbound(data + 1, size - 1, 4096));

	/* Behind a sound opening, too, which a fuzzer does not guess. */
	uint8_t *whole = malloc(sizeof opening + size);
	require(whole != NULL);
	zmtp_opening(opening, ZMTP_ROUTER);
	memcpy(whole, opening, sizeof opening);
	memcpy(whole + sizeof opening, data + 1, size - 1);
	require(read_inbound(whole, sizeof opening + size - 1, step) == read_inbound(whole, sizeof opening + size - 1, 8192));
	free(whole);
	return 0;
}
