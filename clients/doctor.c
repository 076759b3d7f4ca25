/* SPDX-License-Identifier: MIT
 *
 * doctor.c - `sole doctor [OWNER]`: looks at all that an owner and its clients need, and says what is wrong.
 */
#include "clients/doctor.h"

#include "clients/command.h"
#include "clients/print.h"
#include "common/log.h"
#include "common/options.h"
#include "common/rundir.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char *const words[] = {
	[FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_WARNING] = "warning", [FINDING_WRONG] = "wrong",
};

static unsigned counts[sizeof words / sizeof *words];
static bool open_object; /* of JSON: its advice may follow */

/* What comes from elsewhere (names of files, of processes) must not move a terminal's cursor. */
static void format_clean(char *text, size_t size, const char *format, va_list arguments)
{
	vsnprintf(text, size, format, arguments);
	for (char *at = text; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
}

static void close_object(void)
{
	if (open_object)
		puts("}");
	open_object = false;
}

/* Behind `column` columns; for a person in lines that fit, for all else in one. */
static void print_text(int column, const char *text)
{
	if (isatty(STDOUT_FILENO))
		options_wrap(stdout, column, column, text);
	else
		fputs(text, stdout);
	putchar('\n');
}

void found(enum finding finding, const char *subject, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	format_clean(text, sizeof text, format, arguments);
	va_end(arguments);
	counts[finding]++;
	close_object();
	if (!settings.json) {
		print_text(printf("%-8s %-10s ", words[finding], subject), text);
		return;
	}
	printf("{\"finding\":\"%s\",\"subject\":\"%s\",\"text\":", words[finding], subject);
	print_json_text(text);
	open_object = true;
}

void advise(const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	format_clean(text, sizeof text, format, arguments);
	va_end(arguments);
	if (!settings.json) {
		print_text(printf("%20s=> ", ""), text);
		return;
	}
	fputs(",\"advice\":", stdout);
	print_json_text(text);
}

static void sum_up(void)
{
	unsigned bad = counts[FINDING_WRONG] + counts[FINDING_WARNING];

	close_object();
	if (settings.json)
		return;
	if (bad == 0)
		puts("nothing is wrong");
	else
		printf("wrong: %u, to be watched: %u\n", counts[FINDING_WRONG], counts[FINDING_WARNING]);
}

int command_doctor(int count, char **operands)
{
	const char *name = count > 0 ? operands[0] : settings.owner;
	const char *problem = name != NULL ? rundir_name_problem(name) : NULL;

	if (problem != NULL)
		fatal(EX_USAGE, "'%.64s' is not the name of an owner: %s", name, problem);
	memset(counts, 0, sizeof counts);
	doctor_folders();
	doctor_system();
	unsigned sockets = doctor_sockets(name);
	bool unit = name != NULL && doctor_unit(name);
	if (sockets == 0 && name != NULL) {
		found(FINDING_WRONG, "socket", "no owner called %s listens in any of the folders", name);
		advise(unit ? "start it: systemctl start sole-owner@%s, or sole-owner %s" :
			      "start it: sole-owner %s, or say where it listens: SOLE_RUNTIME_DIR=FOLDER sole doctor %s",
		       name, name);
	} else if (sockets == 0) {
		found(FINDING_NOTE, "socket", "no owner listens in any of the folders: none was started, or by another user");
	}
	doctor_supervisors();
	sum_up();
	return counts[FINDING_WRONG] + counts[FINDING_WARNING] > 0 ? STATUS_NO : STATUS_DONE;
}
