/* SPDX-License-Identifier: MIT
 *
 * A fuzz target without a fuzzer: gives it the files named, and those of the folders named, one by one. So the committed
 * corpora can be run where there is no clang: `make coverage` does.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>

static void run_file(const char *path)
{
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(path, "r");

	if (file == NULL) {
		fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
		exit(1);
	}
	size_t size = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	uint8_t *copy = fuzz_copy(bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

int main(int argc, char **argv)
{
	unsigned inputs = 0;

	fuzz_init();
	for (int i = 1; i < argc; i++) {
		DIR *folder = opendir(argv[i]);
		struct dirent *entry;
		char path[4096];
		if (folder == NULL) {
			run_file(argv[i]);
			inputs++;
			continue;
		}
		while ((entry = readdir(folder)) != NULL) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
			run_file(path);
			inputs++;
		}
		closedir(folder);
	}
	printf("%u inputs\n", inputs);
	return 0;
}
