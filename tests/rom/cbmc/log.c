/* SPDX-License-Identifier: MIT */
/* The event log: any size, anything used of it, any digest and name. */

#include "environment.h"

#include "bootseal_log.c"

#define LOG	160U
#define NAME	16U

void prove_add(void)
{
	size_t size = nondet_size(), used = nondet_size(), length = nondet_size(), result;

	GIVEN((size <= LOG) && (length <= NAME));
	result = add(buffer(size), size, used, nondet_u32(), buffer(BOOTSEAL_DIGEST_SIZE),
		     buffer(length), length);
	PROVE(result <= size, "no more is used than there is");
	PROVE((result == 0U) || (result == used + EVENT_SIZE + length), "as much as was added");
	DONE();
}

size_t any_add(uint8_t *log, size_t size, size_t used, uint32_t type,
		      const uint8_t *digest, const void *event, size_t event_size)
{
	PROVE(__CPROVER_w_ok(log, size), "the whole log is there");
	PROVE(__CPROVER_r_ok(digest, BOOTSEAL_DIGEST_SIZE), "and the digest");
	PROVE(__CPROVER_r_ok(event, event_size), "and the event");
	return nondet_size();
}

void prove_start(void)
{
	size_t size = nondet_size();

	GIVEN(size <= LOG);
	bootseal_log_start(buffer(size), size);
	DONE();
}

void prove_log_add(void)
{
	size_t size = nondet_size();
	char name[NAME];

	GIVEN(size <= LOG);
	name[NAME - 1U] = '\0';
	bootseal_log_add(buffer(size), size, nondet_size(), buffer(BOOTSEAL_DIGEST_SIZE), name);
	DONE();
}
