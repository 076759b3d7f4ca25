/* SPDX-License-Identifier: MIT
 *
 * sole-writer - actors that write: put i at key i mod N, wait for the
 * acknowledgement, pause.
 */
#include "clients/actors.h"

static void round_number(uint64_t i, struct sole_value arguments[ACTOR_ARGUMENTS_MAX])
{
	arguments[1] = sole_integer((int64_t)i);
}

static const struct actor_kind writer = {
	.program = "sole-writer",
	.about = "Actors that write to an owner's table in a loop, and how many writes were done.",
	.example = "  sole-writer --owner counters --actors 10 --duration 1s",
	.total = "writes",
	.operation = SOLE_TABLE_PUT,
	.argument_count = 2,
	.arguments = round_number,
};

int main(int argc, char **argv)
{
	return actors_main(&writer, argc, argv);
}
