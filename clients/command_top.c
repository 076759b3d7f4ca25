/* SPDX-License-Identifier: MIT
 *
 * command_top.c - `sole top`: the frames of frame.c, one after the other on a terminal, or one of them.
 *
 * curses draws; what it is given is plain lines. The terminal is given back however this ends:
 * signals that end it are taken from a descriptor.
 */
#include "clients/command.h"
#include "clients/frame.h"
#include "clients/terminal.h"

#include "common/clock.h"
#include "common/log.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

enum { PLAIN_ROWS = 100 };

struct top {
	struct sole *handle;
	struct reading *now, *before;
	struct frame frame;
	struct frame_settings settings;
	SCREEN *screen;
	int signals;
	bool help, over;
};

static void look(struct top *top)
{
	reading_free(&top->before);
	top->before = top->now;
	top->now = reading_take(top->handle, settings.supervisor);
	if (top->now == NULL)
		fatal(EX_OSERR, "no memory");
}

/* ---- one frame ---- */

static int print_frame(struct top *top)
{
	struct pollfd wait = { .fd = top->signals, .events = POLLIN };

	look(top);
	if (top->now->code == SOLE_OK) {
		if (poll(&wait, 1, (int)(settings.every_ns / NS_PER_MS)) != 0)
			return STATUS_DONE;
		look(top);
	}
	if (top->now->code != SOLE_OK) {
		log_error("%s: %s", sole_outcome_of(top->now->code) == SOLE_UNKNOWN ? "unknown" : "refused", top->now->why);
		return status_of(top->now->code);
	}
	top->settings.rows = PLAIN_ROWS;
	frame_make(&top->frame, top->now, top->before, &top->settings);
	for (size_t i = 0; i < top->frame.count; i++)
		puts(top->frame.lines[i].text);
	return STATUS_DONE;
}

/* ---- on a terminal ---- */

static const char *const order_names[FRAME_ORDERS] = { "rate", "p99", "name" };

static void draw(struct top *top)
{
	int rows, columns;

	getmaxyx(stdscr, rows, columns);
	top->settings.rows = rows > 1 ? (size_t)rows - 1 : 1;
	frame_make(&top->frame, top->now, top->before, &top->settings);
	erase();
	for (int i = 0; i < rows - 1 && i < (int)top->frame.count; i++) {
		const struct frame_line *line = &top->frame.lines[i];
		if (line->heading)
			attron(A_BOLD);
		mvaddnstr(i, 0, line->text, columns);
		if (line->heading)
			attroff(A_BOLD);
	}
	attron(A_REVERSE);
	if (top->help)
		mvaddnstr(rows - 1, 0, "q: leave  s: sort operations by rate, p99, name  space: look now  ?: this line", columns);
	else
		mvprintw(rows - 1, 0, "%.*s", columns - 1, "q: leave  ?: keys");
	attroff(A_REVERSE);
	if (!top->help && columns > 60)
		printw("  sorted by %s", order_names[top->settings.order]);
	refresh();
}

/* Returns whether to look again at once. */
static bool take_keys(struct top *top)
{
	bool now = false;
	int key;

	while ((key = getch()) != ERR) {
		switch (key) {
		case 'q':
		case 'Q':
			top->over = true;
			break;
		case 's':
			top->settings.order = (enum frame_order)((top->settings.order + 1) % FRAME_ORDERS);
			break;
		case '?':
		case 'h':
			top->help = !top->help;
			break;
		case ' ':
			now = true;
			break;
		default: /* KEY_RESIZE: drawn anew, as after any */
			break;
		}
	}
	return now;
}

static void show(struct top *top)
{
	struct pollfd list[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = top->signals, .events = POLLIN } };
	int64_t next_ns = 0;

	while (!top->over) {
		int64_t now_ns = clock_monotonic_ns();
		if (now_ns >= next_ns) {
			look(top);
			next_ns = clock_monotonic_ns() + settings.every_ns;
		}
		draw(top);
		int ready = poll(list, 2, clock_poll_ms(clock_monotonic_ns(), next_ns));
		if (ready < 0 && errno != EINTR)
			top->over = true;
		if (ready > 0 && (list[1].revents != 0 || (list[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0))
			top->over = true;
		if (take_keys(top)) /* also where a signal told of another size */
			next_ns = 0;
	}
}

static void open_signals(struct top *top)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	top->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (top->signals < 0)
		fatal(EX_OSERR, "no descriptors are left");
}

int command_top(int count, char **operands)
{
	static struct top top;
	int status = STATUS_DONE;

	(void)count, (void)operands;
	open_signals(&top);
	if (!settings.timeout_given) /* a screen that stands still for long says nothing */
		settings.timeout_ns = 2 * NS_PER_S;
	top.handle = open_handle();
	bool terminal = !settings.once && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && terminal_is_known(STDOUT_FILENO);
	if (terminal)
		top.screen = newterm(NULL, stdout, stdin);
	if (top.screen == NULL) {
		status = print_frame(&top);
	} else {
		cbreak();
		noecho();
		curs_set(0);
		keypad(stdscr, TRUE);
		nodelay(stdscr, TRUE);
		show(&top);
		endwin();
		delscreen(top.screen);
	}
	reading_free(&top.now);
	reading_free(&top.before);
	close(top.signals);
	sole_close(&top.handle);
	return status;
}
