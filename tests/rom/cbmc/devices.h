/* SPDX-License-Identifier: MIT */
/* The registers of a device that says anything, and the clock. */

#ifndef DEVICES_H
#define DEVICES_H

#include "environment.h"

static unsigned int looks;

/* What a device does to memory, if it can reach any: called where it has had time. */
void device_writes(void);

uint8_t mmio_read_8(uintptr_t address) { return nondet_byte(); }
uint32_t mmio_read_32(uintptr_t address) { return nondet_u32(); }
void mmio_write_8(uintptr_t address, uint8_t value) { }

uint64_t bootseal_deadline(void)
{
	looks = 0U;
	return nondet_u64();
}

bool bootseal_expired(uint64_t deadline)
{
	device_writes();
	return (++looks >= 2U) || nondet_bool();
}

#endif
