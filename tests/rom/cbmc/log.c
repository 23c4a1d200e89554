/* SPDX-License-Identifier: MIT */
/* The event log in any buffer of up to SIZE bytes, with any length in use. */

#include <stdlib.h>

#include "bootseal_log.c"

#define SIZE	200U
#define NAME	8U

size_t nondet_size(void);

void harness(void)
{
	size_t size = nondet_size(), used = nondet_size(), after;
	uint8_t digest[BOOTSEAL_DIGEST_SIZE];
	char name[NAME];
	uint8_t *log;

	__CPROVER_assume(size <= SIZE);
	log = malloc(size);
	__CPROVER_assume(log != NULL);
	name[NAME - 1U] = '\0';

	after = bootseal_log_start(log, size);
	__CPROVER_assert(after <= size, "it begins inside");
	after = bootseal_log_add(log, size, used, digest, name);
	__CPROVER_assert(after == 0U || (after > used && after <= size), "it goes on inside");
}
