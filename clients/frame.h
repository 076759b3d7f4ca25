/* SPDX-License-Identifier: MIT
 *
 * frame.h - what `sole top` shows as lines of text: made of two readings, drawn by somebody else.
 */
#ifndef SOLE_CLIENTS_FRAME_H
#define SOLE_CLIENTS_FRAME_H

#include "clients/reading.h"

enum { FRAME_LINES = 256, FRAME_COLUMNS = 200 };

enum frame_order { FRAME_BY_RATE, FRAME_BY_P99, FRAME_BY_NAME, FRAME_ORDERS };

struct frame {
	struct frame_line {
		bool heading;
		char text[FRAME_COLUMNS + 1];
	} lines[FRAME_LINES];
	size_t count;
};

struct frame_settings {
	size_t rows;  /* that there are, at least 1; what does not fit is left out, clients first */
	enum frame_order order;
};

/* `before` may be NULL, and then there are no rates. */
void frame_make(struct frame *frame, const struct reading *now, const struct reading *before,
		const struct frame_settings *settings);

#endif
