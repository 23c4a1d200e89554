/* SPDX-License-Identifier: MIT */
/* The TPM driver, function by function: registers and answers of any content. */

#include "devices.h"

#include "bootseal_tpm.c"

void device_writes(void) { }

#define FIFO	4U	/* bytes that are moved at a time in the proofs of the two loops */

void prove_wait(void)
{
	int result = wait_for(TPM_STS, nondet_byte(), nondet_byte());

	PROVE((result == 0) || (result == -ETIMEDOUT), "it came, or it did not");
	DONE();
}

void prove_burst(void)
{
	uint32_t most = nondet_u32();

	PROVE(burst(most) <= most, "never more than there is room for");
	DONE();
}

int any_wait(uintptr_t reg, uint8_t mask, uint8_t value)
{
	return nondet_bool() ? 0 : -ETIMEDOUT;
}

uint32_t any_burst(uint32_t most)
{
	uint32_t count = nondet_u32();

	GIVEN(count <= most);
	return count;
}

void prove_send(void)
{
	uint32_t size = nondet_u32();

	GIVEN(size <= FIFO);
	send(buffer(size), size);
	DONE();
}

void prove_receive(void)
{
	uint32_t from = nondet_u32(), to = nondet_u32();

	GIVEN((from <= to) && (to <= FIFO));
	receive(buffer(to), from, to);
	DONE();
}

int any_send(const uint8_t *command, uint32_t size)
{
	PROVE(__CPROVER_r_ok(command, size), "the whole command is there");
	return nondet_bool() ? 0 : -ETIMEDOUT;
}

int any_receive(uint8_t *answer, uint32_t from, uint32_t to)
{
	PROVE((from <= to) && __CPROVER_w_ok(answer, to), "there is room for the answer");
	__CPROVER_havoc_slice(answer + from, to - from);
	return nondet_bool() ? 0 : -EIO;
}

void prove_exchange(void)
{
	uint32_t size = nondet_u32(), answer_size;
	int result;

	GIVEN(size <= ANSWER_SIZE);
	result = exchange(buffer(size), size, buffer(ANSWER_SIZE), &answer_size);
	PROVE((result != 0) || ((answer_size >= HEADER_SIZE) && (answer_size <= ANSWER_SIZE)),
	      "an answer is inside its buffer");
	DONE();
}

int any_exchange(const uint8_t *command, uint32_t size, uint8_t *answer,
			uint32_t *answer_size)
{
	PROVE(__CPROVER_r_ok(command, size), "the whole command is there");
	PROVE(__CPROVER_w_ok(answer, ANSWER_SIZE), "there is room for any answer");
	__CPROVER_havoc_slice(answer, ANSWER_SIZE);
	*answer_size = nondet_u32();
	if (nondet_bool()) {
		return -EIO;
	}
	GIVEN((*answer_size >= HEADER_SIZE) && (*answer_size <= ANSWER_SIZE));
	return 0;
}

void prove_run(void)
{
	uint32_t size = nondet_u32(), code = 0U;
	uint8_t *command;

	GIVEN((size >= HEADER_SIZE) && (size <= ANSWER_SIZE));
	command = buffer(size);
	run(command, size, buffer(ANSWER_SIZE), nondet_u32(), &code);
	DONE();
}

int any_run(const uint8_t *command, uint32_t size, uint8_t *answer, uint32_t expected,
		   uint32_t *code)
{
	PROVE(__CPROVER_r_ok(command, size), "the whole command is there");
	PROVE(read_be32(command + 2) == size, "it says how long it is");
	PROVE(__CPROVER_w_ok(answer, ANSWER_SIZE), "there is room for any answer");
	PROVE((expected >= HEADER_SIZE) && (expected <= ANSWER_SIZE), "and for the expected one");
	__CPROVER_havoc_slice(answer, ANSWER_SIZE);
	*code = nondet_u32();
	return nondet_bool() ? 0 : -EIO;
}

void prove_startup(void)
{
	bootseal_tpm_startup();
	DONE();
}

void prove_extend(void)
{
	bootseal_tpm_extend(nondet_u32(), buffer(BOOTSEAL_DIGEST_SIZE));
	DONE();
}

void prove_lowest(void)
{
	unsigned int lowest;
	int result = bootseal_tpm_lowest(&lowest);

	PROVE(lowest <= 8U * INDEX_VALUE_SIZE, "a version that the index can refuse");
	PROVE((result == 0) || (lowest == 0U), "nothing of an answer that was not understood");
	DONE();
}
