/* SPDX-License-Identifier: MIT */
/* BL1 without our check of the FIP, to see what TF-A's reader does with one. */

#include <bootseal.h>

bool bootseal_fip_ok(const uint8_t *bank, size_t size)
{
	(void)bank;
	(void)size;
	return true;
}
