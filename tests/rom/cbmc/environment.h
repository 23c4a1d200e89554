/* SPDX-License-Identifier: MIT */
/*
 * What the functions under proof are surrounded by: devices and an attacker that answer anything,
 * and a clock by which every wait ends at the second look. A wait changes nothing but what it reads
 * into, so that more looks add no state.
 */

#ifndef ENVIRONMENT_H
#define ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define PROVE(what, why)	__CPROVER_assert((what), (why))
#define GIVEN(what)		__CPROVER_assume(what)

/* At the end of a proof: nothing that it was given makes all of it unreachable. */
#ifdef TWIN
#define DONE()			PROVE(0, "the end was reached")
#else
#define DONE()			((void)0)
#endif

bool nondet_bool(void);
uint8_t nondet_byte(void);
int nondet_int(void);
uint32_t nondet_u32(void);
uint64_t nondet_u64(void);
size_t nondet_size(void);

/* Exactly `size` bytes, of any content. */
static void *buffer(size_t size)
{
	void *made = malloc(size);

	GIVEN(made != NULL);
	return made;
}

#endif
