// SPDX-License-Identifier: MIT
/*
 * Runs the gate over many FITs: standard input holds, for each, its length (u32, big-endian) and
 * its bytes; standard output gets a line for each: "ok", or the offset and the reason.
 *
 * Arguments: the address of the FIT, and how much a kernel may unpack to.
 */

#include <stdio.h>
#include <stdlib.h>

#include <bootseal_gate.h>

int main(int argc, char **argv)
{
	unsigned char head[4];

	if (argc != 3)
		return 2;
	while (fread(head, 1, sizeof(head), stdin) == sizeof(head)) {
		u32 size = (u32)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
		/* A buffer of exactly this size, so that the sanitizer sees one byte too many */
		void *fit = malloc(size);
		const char *reason;
		u32 offset;

		if (!fit || fread(fit, 1, size, stdin) != size)
			return 2;
		reason = bootseal_gate_check(fit, size, strtoull(argv[1], NULL, 0),
					     strtoull(argv[2], NULL, 0), &offset);
		if (reason)
			printf("%u %s\n", offset, reason);
		else
			puts("ok");
		free(fit);
	}
	return 0;
}
