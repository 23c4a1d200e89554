/* SPDX-License-Identifier: MIT */
/*
 * The TPM driver, with registers that read as anything: the answer is any bytes, and the wait for
 * them may end at any time. Time is a number of polls.
 */

#include "bootseal_tpm.c"

uint8_t nondet_byte(void);
unsigned int nondet_unsigned(void);

static unsigned int polls;

uint8_t mmio_read_8(uintptr_t address)
{
	return nondet_byte();
}

void mmio_write_8(uintptr_t address, uint8_t value)
{
}

uint64_t bootseal_deadline(void)
{
	polls = 0U;
	return 0U;
}

bool bootseal_expired(uint64_t deadline)
{
	return ++polls >= POLLS;
}

void harness_send(void)
{
	uint8_t command[8];

	(void)send(command, sizeof(command));
}

/* The one place where the device decides how much is written to memory. */
void harness_receive(void)
{
	uint8_t answer[ANSWER];
	uint32_t from = nondet_unsigned(), to = nondet_unsigned();

	__CPROVER_assume(to <= sizeof(answer));
	(void)receive(answer, from, to);
}

/* exchange() with a receive() that its own harness has covered: it writes anything in its range. */
#ifdef STUB_RECEIVE
static int receive_stub(uint8_t *answer, uint32_t from, uint32_t to)
{
	__CPROVER_assert(to <= ANSWER_SIZE, "what is received fits");
	__CPROVER_assert(from <= to, "and is no less than nothing");
	__CPROVER_havoc_object(answer);
	return (int)nondet_unsigned();
}
#endif
