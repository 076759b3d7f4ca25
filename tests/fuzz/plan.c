/* SPDX-License-Identifier: MIT
 *
 * A supervisor's file: ZPL and what stands in it. There is a plan or there are mistakes, never both; what a plan
 * prints of a child can be printed again; and reading leaves nothing open and nothing on standard output.
 */
#include "tests/fuzz/fuzz.h"

#include "supervisor/plan.h"
#include "supervisor/words.h"

#include <sys/mman.h>
#include <unistd.h>

static int file = -1;

/* zpl.c tries whether there would be memory enough for zconfig; the sanitizer needs most of an input's
 * time to give it. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return __real_malloc(size == 16 << 20 ? 1 : size);
}

static void check_plan(struct plan *plan)
{
	char name[256];
	char *text = NULL;
	size_t size = 0;

	require(plan->child_count > 0 && plan->process_count >= plan->child_count);
	require(plan->process_count <= CHILDREN_MAX && plan->name != NULL && *plan->name != '\0');
	for (size_t i = 0; i < plan->child_count; i++) {
		const struct child_spec *child = &plan->children[i];
		require(child->words != NULL && child->words[0] != NULL && child->text != NULL);
		plan_process_name(child, 1, name, sizeof name);
		require(strncmp(name, child->name, strlen(child->name)) == 0);
	}
	FILE *stream = open_memstream(&text, &size);
	require(stream != NULL);
	plan_print(plan, stream);
	fclose(stream);
	require(size > 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct mistakes mistakes;
	char path[64];
	int status = 0;

	if (file < 0)
		file = memfd_create("plan", 0);
	require(file >= 0 && ftruncate(file, 0) == 0);
	require(pwrite(file, bytes, size, 0) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	mistakes.count = mistakes.untold = 0;
	struct plan *plan = plan_load(path, &mistakes, &status);
	require((plan != NULL) == (mistakes.count == 0) && (plan != NULL) == (status == 0));
	for (size_t i = 0; i < mistakes.count; i++)
		require(memchr(mistakes.list[i].text, '\0', MISTAKE_BYTES) != NULL);
	if (plan != NULL)
		check_plan(plan);
	plan_destroy(&plan);

	char *line = strndup((const char *)bytes, size), **words = NULL;
	require(line != NULL);
	if (words_split(line, &words) == NULL) {
		size_t used = 0;
		for (char **word = words; *word != NULL; word++)
			used += strlen(*word) + 1;
		require(words[0] != NULL && used <= strlen(line) + 1);
		free(words);
	}
	free(line);
	return 0;
}
