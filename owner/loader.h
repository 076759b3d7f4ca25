/* SPDX-License-Identifier: MIT
 *
 * loader.h - a behaviour from a shared object.
 */
#ifndef SOLE_OWNER_LOADER_H
#define SOLE_OWNER_LOADER_H

#include <sole/behaviour.h>

/* The `sole_behaviour` of FILE, for as long as the process lives; or NULL and a sentence in *why. */
const struct sole_behaviour *loader_open(const char *file, const char **why);

#endif
