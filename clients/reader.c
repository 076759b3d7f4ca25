/* SPDX-License-Identifier: MIT
 *
 * sole-reader - actors that read: get key i mod N, wait for the value, pause.
 */
#include "clients/actors.h"

static const struct actor_kind reader = {
	.program = "sole-reader",
	.about = "Actors that read an owner's table in a loop, and how many reads were done.",
	.example = "  sole-reader --owner counters --actors 100 --duration 1s",
	.total = "reads",
	.flags = SOLE_QUERY,
	.operation = SOLE_TABLE_GET,
	.argument_count = 1,
};

int main(int argc, char **argv)
{
	return actors_main(&reader, argc, argv);
}
