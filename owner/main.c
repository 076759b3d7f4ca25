/* SPDX-License-Identifier: MIT
 *
 * main.c - sole-owner: an owner of the behaviour `table`, or of the one in --behaviour FILE.
 */
#include <sole/behaviour.h>

int main(int argc, char **argv)
{
	return sole_owner_main(argc, argv, NULL);
}
