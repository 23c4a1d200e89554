/* SPDX-License-Identifier: MIT */
/*
 * The drivers of the boot ROM against a TPM and a disk that say what the caller wants.
 *
 * devices startup|extend|lowest BURST: reads the TPM's answers with a size (32 bits, big endian) in
 * front of each; prints the result and, for lowest, the version.
 * devices disk VERSION STATUS SILENT: reads one block; prints the result and its first byte.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bootseal.h>

#include "machine.h"

static int tpm(const char *what)
{
	uint8_t digest[BOOTSEAL_DIGEST_SIZE] = { 0 };
	unsigned int lowest = 999;
	uint8_t head[4];
	int result;

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t size = ((size_t)head[2] << 8) | head[3];
		uint8_t *answer = malloc(size + 1);

		if (!answer || fread(answer, 1, size, stdin) != size)
			return 2;
		machine_answers[machine_answer_count] = answer;
		machine_answer_sizes[machine_answer_count++] = size;
	}
	if (strcmp(what, "startup") == 0)
		result = bootseal_tpm_startup();
	else if (strcmp(what, "extend") == 0)
		result = bootseal_tpm_extend(0, digest);
	else
		result = bootseal_tpm_lowest(&lowest);
	printf("%d %u\n", result, lowest);
	return 0;
}

static int disk(void)
{
	static uint8_t content[4 * BOOTSEAL_BLOCK_SIZE];
	uint8_t *block = malloc(BOOTSEAL_BLOCK_SIZE);
	int result;

	memset(content + 2 * BOOTSEAL_BLOCK_SIZE, 7, BOOTSEAL_BLOCK_SIZE);
	machine_disk = content;
	machine_disk_size = sizeof(content);
	result = bootseal_disk_read((void *)BOOTSEAL_RING_BASE, 2, block, BOOTSEAL_BLOCK_SIZE);
	printf("%d %u\n", result, block[0]);
	free(block);
	return 0;
}

int main(int argc, char **argv)
{
	machine_map();
	if (argc == 3) {
		machine_burst = (unsigned int)atoi(argv[2]);
		return tpm(argv[1]);
	}
	if (argc != 5)
		return 2;
	machine_version = (uint32_t)atoi(argv[2]);
	machine_status = (uint8_t)atoi(argv[3]);
	machine_silent = atoi(argv[4]) != 0;
	return disk();
}
