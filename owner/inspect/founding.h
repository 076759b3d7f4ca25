/* SPDX-License-Identifier: MIT
 *
 * founding.h - makes a state's folder from a state: a new history, as --restore and --import begin one.
 */
#ifndef SOLE_OWNER_FOUNDING_H
#define SOLE_OWNER_FOUNDING_H

#include "owner/inspect/inspect_parts.h"

/* What the state was. */
struct origin {
	uint64_t incarnation, round;
	uint32_t version; /* of the behaviour */
};

/* Brings the core's state to the inspection's version of the behaviour, ends its sessions (whose clients
 * went on elsewhere), raises its tokens, and writes it into inspection->folder, which must be absent or
 * empty, as the first snapshot of a history of its own. Until that is whole, no owner starts there. Prints a
 * line. An exit status. */
int found_history(const struct inspection *inspection, struct core *core, const struct origin *origin);

#endif
