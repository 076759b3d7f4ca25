/* SPDX-License-Identifier: MIT
 *
 * memory.h - how much memory this process really has, and giving back what it can.
 */
#ifndef SOLE_OWNER_MEMORY_H
#define SOLE_OWNER_MEMORY_H

#include <stdint.h>

/* Resident bytes, from /proc/self/statm; 0 when that cannot be read. */
uint64_t memory_resident(void);

/* Returns freed memory to the system. Takes milliseconds for large heaps. */
void memory_trim(void);

#endif
