/* SPDX-License-Identifier: MIT */
/* The choice of a bank: any block on the disk, any state, any number of starts. */

#include "bootseal_bank.c"

uint8_t nondet_byte(void);
unsigned int nondet_unsigned(void);

void harness(void)
{
	uint8_t block[BOOTSEAL_BLOCK_SIZE];
	struct bootseal_state state, before;
	unsigned int wanted = bootseal_wanted(block);
	int bank;

	__CPROVER_assert(wanted < BOOTSEAL_BANKS, "the block asks for one of the banks");
	before = state;
	bank = bootseal_choose(&state, wanted, nondet_byte() != 0U);
	__CPROVER_assert(bank >= -1 && bank < (int)BOOTSEAL_BANKS, "a bank, or none");
	if (bank >= 0) {
		__CPROVER_assert((state.refused & (1U << bank)) == 0U, "it was not refused");
		__CPROVER_assert(state.starts[bank] <= BOOTSEAL_MAX_STARTS, "nor started too often");
		__CPROVER_assert(state.bank == (uint32_t)bank, "it is the one in use");
		bootseal_refuse(&state);
		__CPROVER_assert((state.refused & (1U << bank)) != 0U, "it can be refused");
	}
	bootseal_refuse(&before);
}
