/* SPDX-License-Identifier: MIT
 *
 * repair_parts.h - what is done to a folder that is repaired: files are set aside, a journal is begun anew.
 * Nobody but repair.c includes it.
 */
#ifndef SOLE_OWNER_REPAIR_PARTS_H
#define SOLE_OWNER_REPAIR_PARTS_H

#include "owner/inspect/survey.h"

/* Each gives files the names that they had and ".cut" behind it (".cut2" and so on where there are such),
 * says so, and returns 0 or a negative errno. */

/* Snapshots that are damaged and, with `older`, those before the base. */
int snapshots_set_aside(const struct survey *survey, const struct disk *disk, bool older);

/* The first `count` segments. */
int segments_set_aside(const struct survey *survey, const struct disk *disk, size_t count);

/* A journal behind the base, with the rounds that journal_salvage finds there, in place of the one that is
 * there. What interrupts it can be begun again. */
int journal_begin_anew(const struct survey *survey, const struct disk *disk, uint64_t segment_bytes);

#endif
