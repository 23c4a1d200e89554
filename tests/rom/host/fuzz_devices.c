/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer harness of the drivers: the input is what every register of the TPM and of the block
 * device reads as, one after the other, and what the device writes to the ring.
 */

#include <stdlib.h>
#include <string.h>

#include <arch_helpers.h>
#include <lib/mmio.h>

#include <bootseal.h>

#define GUARD	64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t left;
static uint64_t now;
static volatile struct bootseal_ring *ring;

static uint8_t next(void)
{
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

uint64_t read_cntpct_el0(void)
{
	/* The device may write to what it shares whenever it likes. */
	if (ring && (next() & 7) == 7) {
		ring->used.idx = next();
		ring->status = next();
		ring->avail.idx = next();
		ring->desc[next() % BOOTSEAL_QUEUE_SIZE].length = next();
	}
	return now++;
}

uint64_t read_cntfrq_el0(void)
{
	return 2;
}

uint8_t mmio_read_8(uintptr_t address)
{
	(void)address;
	return next();
}

void mmio_write_8(uintptr_t address, uint8_t value)
{
	(void)address;
	(void)value;
}

uint32_t mmio_read_32(uintptr_t address)
{
	/* Most inputs shall get past the search for a device. */
	switch (address & 0x1ff) {
	case 0x000:
		return 0x74726976;
	case 0x004:
		return 1 + (next() & 1);
	case 0x008:
		return 2 + (next() == 1);
	default:
		return next() | (next() << 8);
	}
}

void mmio_write_32(uintptr_t address, uint32_t value)
{
	(void)address;
	(void)value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t digest[BOOTSEAL_DIGEST_SIZE];
	uint8_t *block = malloc(BOOTSEAL_BLOCK_SIZE);
	struct bootseal_state state = { .magic = BOOTSEAL_STATE_MAGIC };
	unsigned int lowest = 0;
	void *memory = NULL;
	int bank;

	input = data;
	left = size;
	now = 0;
	if (!block || posix_memalign(&memory, BOOTSEAL_QUEUE_ALIGN, sizeof(*ring)))
		abort();
	switch (next() % 4) {
	case 0:
		ring = memory;
		(void)bootseal_disk_read(ring, 1, block, BOOTSEAL_BLOCK_SIZE);
		ring = NULL;
		break;
	case 1:
		(void)bootseal_tpm_startup();
		(void)bootseal_tpm_extend(0, digest);
		break;
	case 2:
		if (bootseal_tpm_lowest(&lowest) != 0 && lowest != 0)
			abort();
		if (lowest > 64)
			abort();
		break;
	default:
		for (size_t i = 0; i < BOOTSEAL_BLOCK_SIZE; i++)
			block[i] = next();
		if (bootseal_wanted(block) > 1)
			abort();
		state.refused = next();
		state.bank = next();
		state.starts[0] = next() & 3;
		state.starts[1] = next() & 3;
		bank = bootseal_choose(&state, next() & 1, next() & 1);
		if (bank < -1 || bank > 1 || (bank >= 0 && (state.refused >> bank) & 1))
			abort();
		bootseal_refuse(&state);
	}
	free(memory);
	free(block);
	return 0;
}
