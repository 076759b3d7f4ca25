/* SPDX-License-Identifier: MIT
 *
 * by_order.h - entries in order of their keys: a B+tree whose leaves hold numbers of entries.
 *
 * 4.2 bytes an entry where keys come in order, about 6 where they come by chance; the forks, with
 * how the keys begin that they lead to, half a byte.
 */
#ifndef SOLE_OWNER_BY_ORDER_H
#define SOLE_OWNER_BY_ORDER_H

#include "owner/core/entry.h"

struct order_leaf;

struct by_order {
	void *root; /* a leaf at height 0, else a fork */
	unsigned height;
};

/* Where an entry stands. Good until the index changes. */
struct order_place {
	const struct order_leaf *leaf; /* NULL: behind the last */
	unsigned at;
};

/* ENTRY_NONE: behind the last. */
uint32_t order_entry(struct order_place place);

struct order_place order_next(struct order_place place);
struct order_place by_order_first(const struct by_order *index);

/* The first at or above the key; above it, if `after`. */
struct order_place by_order_seek(const struct by_order *index, const struct pool *pool, const uint8_t *key,
				 size_t size, bool after);

/* The last of all, or ENTRY_NONE. */
uint32_t by_order_last(const struct by_order *index);

/* Puts in an entry whose key is not there yet. False: there is no memory, and nothing has changed. */
bool by_order_add(struct by_order *index, const struct pool *pool, uint32_t number);

/* As by_order_add for one whose key is above all others: no key is looked at. */
bool by_order_append(struct by_order *index, const struct pool *pool, uint32_t number);

/* One that is there. Never fails. */
void by_order_remove(struct by_order *index, const struct pool *pool, uint32_t number);

void by_order_clear(struct by_order *index);

#endif
