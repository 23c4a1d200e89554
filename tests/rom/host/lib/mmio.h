/* SPDX-License-Identifier: MIT */
/* Registers of devices that the program models. */

#ifndef MMIO_H
#define MMIO_H

#include <stdint.h>

uint8_t mmio_read_8(uintptr_t address);
void mmio_write_8(uintptr_t address, uint8_t value);
uint32_t mmio_read_32(uintptr_t address);
void mmio_write_32(uintptr_t address, uint32_t value);

static inline void mmio_setbits_32(uintptr_t address, uint32_t bits)
{
	mmio_write_32(address, mmio_read_32(address) | bits);
}

#endif
