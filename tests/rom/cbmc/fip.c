/* SPDX-License-Identifier: MIT */
/* The bytes of a bank that no signature covers: a table of contents of any content. */

#include "environment.h"

#include "bootseal_fip.c"

#define HEAD	(sizeof(fip_toc_header_t) + (ENTRIES * sizeof(fip_toc_entry_t)))
#define ZEROS	16U
#define ALIGNMENT	4096U	/* of images: one that may be any gives no answer in minutes */

void prove_alignment(void)
{
	uint64_t found = find_alignment(buffer(HEAD));

	PROVE((found != 0U) && ((found & (found - 1U)) == 0U), "a power of two");
	PROVE(found <= MAX_ALIGNMENT, "and not too large a one");
	DONE();
}

void prove_zero(void)
{
	size_t size = nondet_size();
	uint64_t from = nondet_u64(), to = nondet_u64();
	uint8_t *bank;

	GIVEN((size <= ZEROS) && (to <= size));
	bank = buffer(size);
	if (is_zero(bank, from, to) && (from < to)) {
		PROVE(bank[to - 1U] == 0U, "the last byte was looked at");
	}
	DONE();
}

/* In the place of four functions: what is proved of them. */
uint64_t any_alignment(const uint8_t *bank)
{
	return ALIGNMENT;
}

void any_entry(fip_toc_entry_t *entry, const uint8_t *bank, size_t i)
{
	fip_toc_entry_t any;

	PROVE(i < ENTRIES, "an entry of the table");
	*entry = any;
}

static size_t whole;

bool any_zero(const uint8_t *bank, uint64_t from, uint64_t to)
{
	PROVE((from <= to) && (to <= whole), "a range of the bank");
	return nondet_bool();
}

int any_compare(const void *one, const void *other, size_t size)
{
	PROVE(__CPROVER_r_ok(one, size) && __CPROVER_r_ok(other, size), "both are there");
	return nondet_int();
}

void prove_entry(void)
{
	fip_toc_entry_t entry;
	size_t i = nondet_size();

	GIVEN(i < ENTRIES);
	read_entry(&entry, buffer(HEAD), i);
	DONE();
}

/* Behind the header, no byte is read but by the two functions above. */
void prove_bank(void)
{
	whole = nondet_size();
	GIVEN((whole >= HEAD) && (whole <= BOOTSEAL_BANK_SIZE));
	bootseal_fip_ok(buffer(sizeof(fip_toc_header_t)), whole);
	DONE();
}

void prove_small_bank(void)
{
	size_t size = nondet_size();

	GIVEN(size < HEAD);
	PROVE(!bootseal_fip_ok(buffer(0U), size), "refused unread");
	DONE();
}
