/* SPDX-License-Identifier: MIT */

#include <arch_helpers.h>

#include "bootseal.h"

/* An emulated TPM on a busy host takes seconds. */
#define WAIT_SECONDS	20U

uint64_t bootseal_deadline(void)
{
	return read_cntpct_el0() + (WAIT_SECONDS * read_cntfrq_el0());
}

bool bootseal_expired(uint64_t deadline)
{
	return read_cntpct_el0() >= deadline;
}
