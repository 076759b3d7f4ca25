/* SPDX-License-Identifier: MIT
 *
 * access.h - who may do what.
 */
#ifndef SOLE_OWNER_ACCESS_H
#define SOLE_OWNER_ACCESS_H

/* Each holds those before it. */
enum right {
	RIGHT_NONE,
	RIGHT_QUERY,   /* reads: queries, events, what the owner tells of itself */
	RIGHT_COMMAND, /* opens sessions and changes the state */
	RIGHT_ADMIN,   /* sees and ends what is others', and takes copies of everything */
};

#endif
