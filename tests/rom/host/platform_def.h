/* SPDX-License-Identifier: MIT */
/* The addresses of the qemu platform, where the program maps memory. */

#ifndef PLATFORM_DEF_H
#define PLATFORM_DEF_H

#include <cdefs.h>
#include <common/tbbr/tbbr_img_def.h>
#include <lib/utils_def.h>

#define CACHE_WRITEBACK_GRANULE	64
#define PAGE_SIZE		4096U
#define MAX_IO_DEVICES		4
#define MAX_IO_HANDLES		4
#define SHARED_RAM_BASE		0x0e000000UL
#define SHARED_RAM_SIZE		0x1000UL
#define PLAT_QEMU_HOLD_BASE	(SHARED_RAM_BASE + 8)
#define PLAT_QEMU_HOLD_SIZE	256
#define SECURE_GPIO_BASE	0x090b0000UL
#define SECURE_GPIO_POWEROFF	0
#define SECURE_GPIO_RESET	1
#define BL2_BASE		0x0e05b000UL
#define BL2_LIMIT		0x0e090000UL

#endif
