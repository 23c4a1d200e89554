// SPDX-License-Identifier: MIT
/*
 * Asks U-Boot's own code for its verdict on many FITs: what fit_check_sign does, and before it, as
 * on the device, the check of the format. Each FIT is checked in a process of its own.
 *
 * Argument: the control device tree. Standard input holds, for each FIT, its length (u32,
 * big-endian) and its bytes. Standard output gets two words for each: the verdict of
 * fit_check_sign, and that of a device; "ok", "refused", or "crash" with the signal's number.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE	4096
#define SECONDS	10	/* a longer one counts as crash 14, SIGALRM */

int fdt_check_header(const void *fdt);
int fit_check_format(const void *fit, unsigned long size);
int fit_check_sign(const void *fit, const void *key, const char *configuration);
void image_set_host_blob(void *host_blob);

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *data = calloc(1, 1 << 20);

	if (!file || !data || !fread(data, 1, 1 << 20, file))
		exit(2);
	fclose(file);
	return data;
}

static void check(char *fit, char *key, int format)
{
	int child = fork();
	int status;

	if (child < 0)
		exit(2);
	if (!child) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(null, 2);
		alarm(SECONDS);
		image_set_host_blob(key);
		/* The tool itself looks at the header when it maps the file */
		if (fdt_check_header(fit))
			_exit(1);
		if (format && fit_check_format(fit, (unsigned long)-1))
			_exit(1);
		_exit(fit_check_sign(fit, key, NULL) ? 1 : 0);
	}
	if (waitpid(child, &status, 0) != child)
		exit(2);
	if (WIFSIGNALED(status))
		printf("crash%d%c", WTERMSIG(status), format ? '\n' : ' ');
	else
		printf("%s%c", WEXITSTATUS(status) ? "refused" : "ok", format ? '\n' : ' ');
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned char head[4];
	char *key;

	if (argc != 2)
		return 2;
	key = read_file(argv[1]);
	while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
		size_t size = (size_t)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
		size_t room = (size + PAGE - 1) / PAGE * PAGE;
		/* As in a mapped file: zeros up to the end of its last page, then nothing */
		char *fit = mmap(NULL, room + PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (fit == MAP_FAILED || mprotect(fit + room, PAGE, PROT_NONE) ||
		    fread(fit, 1, size, stdin) != size)
			return 2;
		check(fit, key, 0);
		check(fit, key, 1);
		munmap(fit, room + PAGE);
	}
	return 0;
}
