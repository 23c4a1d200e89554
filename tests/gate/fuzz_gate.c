// SPDX-License-Identifier: MIT
/*
 * libFuzzer harness of the gate. The sanitizers watch the gate itself; and what it lets pass must
 * be a tree that libfdt, which U-Boot reads it with, takes for sound.
 *
 * BOOTSEAL_FUZZ_SECONDS=600 pytest tests/gate -k fuzzer builds it and runs it.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <libfdt.h>

#include <bootseal_gate.h>

#define STRUCT_OFFSET	56
#define FIT_ADDRESS	0x50000000
#define UNPACKED	0x8000000

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Mutate the structure block or the strings block, and make the header fit again */
static size_t mutate_block(uint8_t *data, size_t size, size_t max, bool strings)
{
	size_t middle = fdt_off_dt_strings(data);
	size_t end = middle + fdt_size_dt_strings(data);
	size_t rest;

	if (middle < STRUCT_OFFSET || middle > size || end > size || max < size + 16)
		return LLVMFuzzerMutate(data, size, max);
	if (strings) {
		end = middle + LLVMFuzzerMutate(data + middle, end - middle, max - middle);
	} else {
		uint8_t *saved = malloc(end - middle + 1);

		if (!saved)
			abort();
		rest = end - middle;
		memcpy(saved, data + middle, rest);
		middle = STRUCT_OFFSET + LLVMFuzzerMutate(data + STRUCT_OFFSET,
							  middle - STRUCT_OFFSET,
							  max - STRUCT_OFFSET - rest - 4);
		middle &= ~(size_t)3;
		memcpy(data + middle, saved, rest);
		end = middle + rest;
		free(saved);
	}
	fdt_set_totalsize(data, end);
	fdt_set_off_dt_strings(data, middle);
	fdt_set_size_dt_strings(data, end - middle);
	fdt_set_size_dt_struct(data, middle - STRUCT_OFFSET);
	return end;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	if (size < STRUCT_OFFSET || seed % 4 == 0)
		return LLVMFuzzerMutate(data, size, max);
	return mutate_block(data, size, max, seed % 4 == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *reason;
	u32 offset = 0;
	int node;

	reason = bootseal_gate_check(data, size, FIT_ADDRESS, UNPACKED, &offset);
	if (offset > size)
		abort();
	if (reason)
		return 0;
	if (fdt_check_header(data) || fdt_check_full(data, size))
		abort();
	for (node = 0; node >= 0; node = fdt_next_node(data, node, NULL)) {
		const char *name = fdt_get_name(data, node, NULL);

		if (!name || strchr(name, '@') || fdt_getprop(data, node, "data-position", NULL))
			abort();
	}
	return 0;
}
