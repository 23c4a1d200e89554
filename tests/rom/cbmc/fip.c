/* SPDX-License-Identifier: MIT */
/*
 * bootseal_fip_ok() of any bank of SIZE bytes: with room for less than the table (416), for just the
 * table, for a byte of each image (425) and for more.
 */

#include "bootseal_fip.c"

void harness(void)
{
	uint8_t bank[SIZE];

	if (bootseal_fip_ok(bank, SIZE)) {
		__CPROVER_assert(SIZE >= 416U + 9U, "a good bank has all nine images");
		__CPROVER_assert(bank[4] == 0x78U, "a good bank has the serial number");
	}
}
