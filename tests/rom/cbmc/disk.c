/* SPDX-License-Identifier: MIT */
/* The disk driver: a device that says anything in its registers and writes anything to the ring. */

#include "devices.h"

#include "bootseal_disk.c"

static struct bootseal_ring *shared;
static void *into;
static uint32_t wanted;

void device_writes(void)
{
	if (shared != NULL) {
		__CPROVER_havoc_slice(shared, sizeof(*shared));
	}
}

void mmio_write_32(uintptr_t address, uint32_t value)
{
	if ((shared != NULL) && ((address % TRANSPORT_SIZE) == QUEUE_NOTIFY)) {
		PROVE(shared->desc[1].address == (uintptr_t)into, "into the buffer");
		PROVE(shared->desc[1].length == wanted, "as much as was asked for");
		PROVE(shared->desc[2].length == 1U, "and a status");
	}
	device_writes();
}

void prove_find(void)
{
	uintptr_t base = find_device();

	PROVE((base == 0U) || ((base >= TRANSPORT_BASE) &&
	      (base < TRANSPORT_BASE + (TRANSPORTS * TRANSPORT_SIZE))), "a transport, or none");
	DONE();
}

void prove_read(void)
{
	int result;

	shared = buffer(sizeof(*shared));
	into = buffer(BOOTSEAL_BLOCK_SIZE);
	wanted = nondet_u32();
	result = bootseal_disk_read(shared, nondet_u64(), into, wanted);
	PROVE((result == 0) || (result == -ENODEV) || (result == -EIO) || (result == -ETIMEDOUT),
	      "one of the documented results");
	DONE();
}
