/* SPDX-License-Identifier: MIT
 *
 * open_access.h - rules of access under which anybody may command, for tests that are not about access.
 */
#ifndef SOLE_TESTS_OPEN_ACCESS_H
#define SOLE_TESTS_OPEN_ACCESS_H

#include "owner/service/access.h"

static struct access_rule open_rules[] = {
	{ .who = WHO_ANYONE, .right = RIGHT_COMMAND },
	{ .who = WHO_ANY_KEY, .right = RIGHT_COMMAND },
	{ .who = WHO_RELAYED, .right = RIGHT_COMMAND },
	{ .who = WHO_CLEAR, .right = RIGHT_COMMAND },
};

/* `owner`: who may administer, beside root. */
static inline const struct access *open_access(uid_t owner)
{
	static struct access access;

	access = (struct access){ .owner = owner, .rules = open_rules, .count = sizeof open_rules / sizeof *open_rules };
	return &access;
}

#endif
