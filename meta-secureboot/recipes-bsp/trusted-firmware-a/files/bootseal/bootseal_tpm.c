/* SPDX-License-Identifier: MIT */
/*
 * Three things of a TPM 2.0 behind a memory-mapped TIS (FIFO) interface: start it, extend a PCR,
 * and read the rollback index. An answer is used only if it has exactly the expected form.
 *
 * No TPM at that address is an external abort, and so the end of this start.
 */

#include <errno.h>
#include <string.h>

#include <common/debug.h>
#include <lib/mmio.h>

#include "bootseal.h"

#define TPM_BASE		0x0c000000UL	/* locality 0 */
#define TPM_ACCESS		(TPM_BASE + 0x00U)
#define TPM_STS			(TPM_BASE + 0x18U)
#define TPM_BURST_LOW		(TPM_BASE + 0x19U)
#define TPM_BURST_HIGH		(TPM_BASE + 0x1aU)
#define TPM_FIFO		(TPM_BASE + 0x24U)

#define ACCESS_VALID		0x80U
#define ACCESS_ACTIVE		0x20U	/* written: relinquish */
#define ACCESS_REQUEST		0x02U

#define STS_VALID		0x80U
#define STS_READY		0x40U
#define STS_GO			0x20U
#define STS_AVAILABLE		0x10U
#define STS_EXPECT		0x08U

#define HEADER_SIZE		10U
#define ANSWER_SIZE		128U

#define TAG_NO_SESSIONS		0x8001U
#define TAG_SESSIONS		0x8002U

#define RC_SUCCESS		0x000U
#define RC_INITIALIZE		0x100U	/* was started before */
#define RC_HANDLE_1		0x18bU	/* the first handle is of nothing that exists */

/*
 * The rollback index: bit k refuses the security version k of a boot loader. It is defined in the
 * platform hierarchy like the system's own index, and its public area is part of what is read.
 */
#define INDEX			0x01, 0x50, 0x0b, 0x02
#define INDEX_VALUE_SIZE	8U
#define PUBLIC_ATTRIBUTES	6U	/* offset of the first, most significant byte */
#define ATTRIBUTES_WRITTEN	0x20U	/* in that byte */

/*
 * Index, SHA-256, attributes (bits, PPREAD, PPWRITE, AUTHREAD, AUTHWRITE, NO_DA, POLICY_DELETE,
 * PLATFORMCREATE), a policy that nothing satisfies, size of the value.
 */
static const uint8_t index_public[] = {
	INDEX, 0x00, 0x0b, 0x42, 0x05, 0x04, 0x25, 0x00, 0x20,
	'b', 'o', 'o', 't', 's', 'e', 'a', 'l', '-', 't', 'h', 'i', 's', '-', 'i', 's', '-',
	'n', 'e', 'v', 'e', 'r', '-', 'u', 'n', 'd', 'e', 'f', 'i', 'n', 'e', 'd',
	0x00, 0x08,
};

/* An empty password, as the only session. */
#define PASSWORD_SESSION	0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0
/* What answers it. */
#define SESSION_ANSWER_SIZE	5U

static uint16_t read_be16(const uint8_t *p)
{
	return (uint16_t)((p[0] << 8) | p[1]);
}

static uint32_t read_be32(const uint8_t *p)
{
	return ((uint32_t)read_be16(p) << 16) | read_be16(p + 2);
}

static int wait_for(uintptr_t reg, uint8_t mask, uint8_t value)
{
	uint64_t deadline = bootseal_deadline();

	while ((mmio_read_8(reg) & mask) != value) {
		if (bootseal_expired(deadline)) {
			return -ETIMEDOUT;
		}
	}

	return 0;
}

/* How many bytes can be moved without asking again, up to `most`; 0 when that does not come. */
static uint32_t burst(uint32_t most)
{
	uint64_t deadline = bootseal_deadline();
	uint32_t count;

	do {
		count = mmio_read_8(TPM_BURST_LOW) |
			((uint32_t)mmio_read_8(TPM_BURST_HIGH) << 8);
	} while ((count == 0U) && !bootseal_expired(deadline));

	return (count < most) ? count : most;
}

static int send(const uint8_t *command, uint32_t size)
{
	uint32_t sent = 0U, count;

	while (sent < size) {
		count = burst(size - sent);
		if (count == 0U) {
			return -ETIMEDOUT;
		}
		while (count-- != 0U) {
			mmio_write_8(TPM_FIFO, command[sent++]);
		}
	}

	/* It has as much as the size in the command said. */
	return wait_for(TPM_STS, STS_VALID | STS_EXPECT, STS_VALID);
}

static int receive(uint8_t *answer, uint32_t from, uint32_t to)
{
	uint32_t count;

	while (from < to) {
		if (wait_for(TPM_STS, STS_VALID | STS_AVAILABLE, STS_VALID | STS_AVAILABLE) != 0) {
			return -EIO;
		}
		count = burst(to - from);
		if (count == 0U) {
			return -ETIMEDOUT;
		}
		while (count-- != 0U) {
			answer[from++] = mmio_read_8(TPM_FIFO);
		}
	}

	return 0;
}

static int exchange(const uint8_t *command, uint32_t size, uint8_t *answer, uint32_t *answer_size)
{
	int result;

	mmio_write_8(TPM_STS, STS_READY);
	result = wait_for(TPM_STS, STS_READY, STS_READY);
	if (result != 0) {
		return result;
	}

	result = send(command, size);
	if (result != 0) {
		return result;
	}

	mmio_write_8(TPM_STS, STS_GO);
	result = receive(answer, 0U, HEADER_SIZE);
	if (result != 0) {
		return result;
	}

	*answer_size = read_be32(answer + 2);
	if ((*answer_size < HEADER_SIZE) || (*answer_size > ANSWER_SIZE)) {
		return -EIO;
	}

	result = receive(answer, HEADER_SIZE, *answer_size);
	if (result != 0) {
		return result;
	}

	/* And not a byte more. */
	return wait_for(TPM_STS, STS_VALID | STS_AVAILABLE, STS_VALID);
}

/*
 * Run a command. The answer is RC_SUCCESS with `expected` bytes and the tag of the command, or one
 * of another code, which has nothing behind it.
 */
static int run(const uint8_t *command, uint32_t size, uint8_t *answer, uint32_t expected,
	       uint32_t *code)
{
	uint32_t answer_size = 0U;
	uint16_t tag;
	int result;

	mmio_write_8(TPM_ACCESS, ACCESS_REQUEST);
	result = wait_for(TPM_ACCESS, ACCESS_VALID | ACCESS_ACTIVE, ACCESS_VALID | ACCESS_ACTIVE);
	if (result != 0) {
		return result;
	}

	result = exchange(command, size, answer, &answer_size);
	mmio_write_8(TPM_STS, STS_READY);
	mmio_write_8(TPM_ACCESS, ACCESS_ACTIVE);
	if (result != 0) {
		return result;
	}

	tag = read_be16(answer);
	*code = read_be32(answer + 6);
	if (*code != RC_SUCCESS) {
		return ((tag == TAG_NO_SESSIONS) && (answer_size == HEADER_SIZE)) ? 0 : -EIO;
	}

	return ((tag == read_be16(command)) && (answer_size == expected)) ? 0 : -EIO;
}

static int fail(const char *what, int result, uint32_t code)
{
	ERROR("bootseal: TPM: %s: %d, 0x%x\n", what, result, code);

	return (result != 0) ? result : -EIO;
}

/* TPM2_Startup(CLEAR). Return 0 or an error. */
int bootseal_tpm_startup(void)
{
	static const uint8_t command[] = { 0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0 };
	uint8_t answer[ANSWER_SIZE];
	uint32_t code = 0U;
	int result = run(command, sizeof(command), answer, HEADER_SIZE, &code);

	if ((result != 0) || ((code != RC_SUCCESS) && (code != RC_INITIALIZE))) {
		return fail("startup", result, code);
	}

	return 0;
}

/* TPM2_PCR_Extend of the SHA-256 bank, the only one that this stage knows. */
int bootseal_tpm_extend(uint32_t pcr, const uint8_t *digest)
{
	uint8_t command[33U + BOOTSEAL_DIGEST_SIZE] = {
		0x80, 2, 0, 0, 0, sizeof(command), 0, 0, 1, 0x82, 0, 0, 0, (uint8_t)pcr,
		PASSWORD_SESSION, 0, 0, 0, 1, 0, 0x0b,
	};
	uint8_t answer[ANSWER_SIZE];
	uint32_t code = 0U;
	int result;

	memcpy(command + 33, digest, BOOTSEAL_DIGEST_SIZE);
	result = run(command, sizeof(command), answer, HEADER_SIZE + 4U + SESSION_ANSWER_SIZE,
		     &code);
	if ((result != 0) || (code != RC_SUCCESS)) {
		return fail("extend", result, code);
	}

	return 0;
}

/* Whether the index is there and written; an error if another one is in its place. */
static int find_index(bool *written)
{
	static const uint8_t command[] = {
		0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x69, INDEX,
	};
	uint8_t answer[ANSWER_SIZE];
	uint8_t *found = answer + HEADER_SIZE + 2;
	uint32_t code = 0U;
	/* Public area and Name, each with its size. The Name follows from the public area. */
	uint32_t expected = HEADER_SIZE + 2U + sizeof(index_public) + 2U + 2U +
			    BOOTSEAL_DIGEST_SIZE;
	int result = run(command, sizeof(command), answer, expected, &code);

	*written = false;
	if ((result == 0) && (code == RC_HANDLE_1)) {
		return 0;
	}
	if ((result != 0) || (code != RC_SUCCESS)) {
		return fail("rollback index", result, code);
	}

	*written = (found[PUBLIC_ATTRIBUTES] & ATTRIBUTES_WRITTEN) != 0U;
	found[PUBLIC_ATTRIBUTES] &= (uint8_t)~ATTRIBUTES_WRITTEN;
	if ((read_be16(answer + HEADER_SIZE) != sizeof(index_public)) ||
	    (memcmp(found, index_public, sizeof(index_public)) != 0)) {
		return fail("rollback index of another shape", -EINVAL, 0U);
	}

	return 0;
}

/*
 * Set the lowest security version that is still started: one above the highest bit that is set, 0
 * when the index does not exist or was never written. Return 0 or an error.
 */
int bootseal_tpm_lowest(unsigned int *lowest)
{
	static const uint8_t command[] = {
		0x80, 2, 0, 0, 0, 35, 0, 0, 1, 0x4e, INDEX, INDEX,
		PASSWORD_SESSION, 0, INDEX_VALUE_SIZE, 0, 0,
	};
	uint8_t answer[ANSWER_SIZE];
	const uint8_t *value = answer + HEADER_SIZE + 4 + 2;
	uint32_t expected = HEADER_SIZE + 4U + 2U + INDEX_VALUE_SIZE + SESSION_ANSWER_SIZE;
	uint32_t code = 0U;
	bool written = false;
	int result = find_index(&written);

	*lowest = 0U;
	if ((result != 0) || !written) {
		return result;
	}

	result = run(command, sizeof(command), answer, expected, &code);
	if ((result != 0) || (code != RC_SUCCESS) ||
	    (read_be16(answer + HEADER_SIZE + 4) != INDEX_VALUE_SIZE)) {
		return fail("reading the rollback index", result, code);
	}

	for (unsigned int k = 0U; k < (8U * INDEX_VALUE_SIZE); k++) {
		if (((value[INDEX_VALUE_SIZE - 1U - (k / 8U)] >> (k % 8U)) & 1U) != 0U) {
			*lowest = k + 1U;
		}
	}

	return 0;
}
