/* SPDX-License-Identifier: MIT */
/*
 * Which bank is started. All of this chooses between banks that are verified afterwards.
 */

#include <common/debug.h>

#include "bootseal.h"

static uint32_t read_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) |
	       ((uint32_t)p[3] << 24);
}

/* Return the bank that the block on the disk asks for: the first, unless it is one of ours. */
unsigned int bootseal_wanted(const uint8_t *block)
{
	if ((read_le32(block) == BOOTSEAL_CHOICE_MAGIC) && (read_le32(block + 4) == 1U)) {
		return 1U;
	}

	return 0U;
}

static void mark(volatile struct bootseal_state *state, unsigned int bank)
{
	NOTICE("bootseal: boot loader bank %c refused\n", 'a' + (int)bank);
	state->refused |= 1U << bank;
}

/*
 * Return the bank to start, the wanted one if it was not refused, or -1 when there is none left.
 *
 * A bank is refused too when it was started BOOTSEAL_MAX_STARTS times and no kernel was reached.
 * Once one was, everything begins as after power-on: a refused bank may have been written since.
 */
int bootseal_choose(volatile struct bootseal_state *state, unsigned int wanted,
		    bool kernel_reached)
{
	if ((state->magic != BOOTSEAL_STATE_MAGIC) || kernel_reached) {
		state->magic = BOOTSEAL_STATE_MAGIC;
		state->refused = 0U;
		for (unsigned int i = 0U; i < BOOTSEAL_BANKS; i++) {
			state->starts[i] = 0U;
		}
	}

	for (unsigned int i = 0U; i < BOOTSEAL_BANKS; i++) {
		unsigned int bank = (wanted + i) % BOOTSEAL_BANKS;

		if ((state->refused & (1U << bank)) != 0U) {
			continue;
		}
		if (state->starts[bank] >= BOOTSEAL_MAX_STARTS) {
			mark(state, bank);
			continue;
		}
		state->starts[bank]++;
		state->bank = bank;
		return (int)bank;
	}

	return -1;
}

/* The bank in use is not to be started again. */
void bootseal_refuse(volatile struct bootseal_state *state)
{
	mark(state, state->bank % BOOTSEAL_BANKS);
}
