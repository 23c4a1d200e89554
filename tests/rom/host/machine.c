/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <arch_helpers.h>
#include <lib/mmio.h>
#include <platform_def.h>

#include <bootseal.h>

#include "machine.h"

#define VIRTIO_BASE	0x0a003e00UL
#define VIRTIO_END	0x0a004000UL
#define TPM_BASE	0x0c000000UL
#define BL31_BASE	0x0e090000UL
#define NS_IMAGE_BASE	0x60000000UL

const uint8_t *machine_disk;
size_t machine_disk_size;
bool machine_index;
uint64_t machine_bits;
const uint8_t *machine_answers[8];
size_t machine_answer_sizes[8];
size_t machine_answer_count;
unsigned int machine_burst = 64;
uint32_t machine_version = 1;
uint8_t machine_status;
bool machine_silent;

/* BL1's stack has the root key's hash behind a DigestInfo; qemu_rotpk.S says the same. */
__asm__(".data\n"
	".globl qemu_rotpk_hash\n"
	"qemu_rotpk_hash:\n"
	"	.byte 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48\n"
	"	.byte 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20\n"
	"	.zero 32\n"
	".globl qemu_rotpk_hash_end\n"
	"qemu_rotpk_hash_end:\n"
	"	.byte 0\n"
	".text\n");
extern char qemu_rotpk_hash[];

void machine_root_key(const uint8_t *hash)
{
	memcpy(qemu_rotpk_hash + DIGEST_INFO_SIZE, hash, 32);
}

static void map(uintptr_t base, size_t size)
{
	void *got = mmap((void *)base, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (got != (void *)base) {
		perror("mmap");
		exit(2);
	}
}

void machine_map(void)
{
	map(SHARED_RAM_BASE, SHARED_RAM_SIZE);
	map(BL2_BASE, BL2_LIMIT - BL2_BASE);
	map(BL31_BASE, 0x70000);
	map(BOOTSEAL_LOG_BASE, BOOTSEAL_LOG_SIZE + 0x1000);
	map(BOOTSEAL_RING_BASE, 0x3000);
	map(BOOTSEAL_BANK_BASE, BOOTSEAL_BANK_SIZE);
	map(NS_IMAGE_BASE, BOOTSEAL_BANK_SIZE);
}

uint64_t read_cntpct_el0(void)
{
	static uint64_t now;

	return now++;
}

/* The waits of 20 seconds end after as many polls. */
uint64_t read_cntfrq_el0(void)
{
	return 50;
}

/* --- Block device: legacy and modern, for the one request that BL1 makes. */

static uint32_t virtio[0x100 / 4];

static void serve(void)
{
	uintptr_t where = virtio[0x40 / 4] * 4096UL;
	volatile struct bootseal_ring *ring;
	uint64_t offset;
	uint8_t *to;
	uint32_t size;

	if (machine_version == 2)
		where = ((uintptr_t)virtio[0x84 / 4] << 32) | virtio[0x80 / 4];
	ring = (void *)where;
	if (machine_silent || ((virtio[0x70 / 4] & 4U) == 0))
		return;
	if ((ring->avail.idx != 1) || (ring->avail.ring[0] != 0) ||
	    (ring->desc[0].address != (uintptr_t)&ring->request) ||
	    (ring->desc[2].address != (uintptr_t)&ring->status))
		abort();

	offset = ring->request.sector * 512;
	to = (uint8_t *)(uintptr_t)ring->desc[1].address;
	size = ring->desc[1].length;
	memset(to, 0, size);
	if (offset < machine_disk_size) {
		size_t there = machine_disk_size - offset;

		memcpy(to, machine_disk + offset, (there < size) ? there : size);
	}
	ring->status = machine_status;
	ring->used.ring[0].length = size;
	ring->used.idx = 1;
}

static uint32_t virtio_read(unsigned int reg)
{
	switch (reg) {
	case 0x000:
		return 0x74726976;
	case 0x004:
		return machine_version;
	case 0x008:
		return 2;
	case 0x034:
		return 1024;
	default:
		return virtio[reg / 4];
	}
}

/* --- TPM: the FIFO interface, and the four commands of the boot ROM. */

static uint8_t command[256], answer[4096];
static size_t command_size, answer_size, answer_read, answers_given;
static uint8_t tpm_access = 0x80, tpm_sts = 0x80;

static size_t put(size_t at, const char *hex)
{
	unsigned int value;

	for (; sscanf(hex, "%2x", &value) == 1; hex += 2)
		answer[at++] = (uint8_t)value;
	return at;
}

static void run(void)
{
	static const char *const index_public =
		"002e01500b02000b62050425002"
		"0626f6f747365616c2d746869732d69732d6e657665722d756e646566696e6564"
		"0008"
		"0022000b6c882f1fd9d61f649b02fa651658a19c7ab58929ad4dc1cdc0334de4ca67a8a8";
	uint32_t code = ((uint32_t)command[8] << 8) | command[9];
	char bits[17];
	size_t size;

	if (answers_given < machine_answer_count) {
		answer_size = machine_answer_sizes[answers_given];
		memcpy(answer, machine_answers[answers_given], answer_size);
		answers_given++;
		return;
	}

	size = put(0, (command[1] == 2) ? "8002" "00000000" "00000000" :
					  "8001" "00000000" "00000000");
	switch (code) {
	case 0x144:
		break;
	case 0x182:
		size = put(size, "00000000" "0000010000");
		break;
	case 0x169:
		size = machine_index ? put(size, index_public) : put(6, "0000018b");
		break;
	case 0x14e:
		snprintf(bits, sizeof(bits), "%016llx", (unsigned long long)machine_bits);
		size = put(put(put(size, "0000000a" "0008"), bits), "0000010000");
		break;
	default:
		size = put(6, "00000143");
	}
	answer[5] = (uint8_t)size;
	answer_size = size;
}

static uint8_t tpm_read(unsigned int reg)
{
	bool expect;

	switch (reg) {
	case 0x00:
		return tpm_access;
	case 0x18:
		expect = (command_size < 6) || (command_size < command[5]);
		if (answer_size != 0)
			return 0x80 | ((answer_read < answer_size) ? 0x10 : 0);
		return tpm_sts | (expect ? 0x08 : 0);
	case 0x19:
		return (uint8_t)machine_burst;
	case 0x1a:
		return (uint8_t)(machine_burst >> 8);
	case 0x24:
		return (answer_read < answer_size) ? answer[answer_read++] : 0xff;
	default:
		return 0xff;
	}
}

static void tpm_write(unsigned int reg, uint8_t value)
{
	if (reg == 0x00) {
		tpm_access = (value == 0x02) ? 0xa0 : 0x80;
	} else if ((reg == 0x18) && (value == 0x40)) {
		tpm_sts = 0xc0;
		command_size = answer_size = answer_read = 0;
	} else if ((reg == 0x18) && (value == 0x20)) {
		run();
	} else if (reg == 0x24) {
		if (command_size >= sizeof(command))
			abort();
		command[command_size++] = value;
	}
}

/* --- All of it. */

uint8_t mmio_read_8(uintptr_t address)
{
	return tpm_read((unsigned int)(address - TPM_BASE));
}

void mmio_write_8(uintptr_t address, uint8_t value)
{
	tpm_write((unsigned int)(address - TPM_BASE), value);
}

uint32_t mmio_read_32(uintptr_t address)
{
	if ((address >= VIRTIO_BASE) && (address < VIRTIO_END))
		return virtio_read((unsigned int)(address - VIRTIO_BASE));
	return 0;
}

void mmio_write_32(uintptr_t address, uint32_t value)
{
	if ((address >= VIRTIO_BASE) && (address < VIRTIO_END)) {
		virtio[(address - VIRTIO_BASE) / 4] = value;
		if (address == VIRTIO_BASE + 0x50)
			serve();
	}
	/* A pin of the secure GPIO goes high: reset, or power off. */
	if ((address >= SECURE_GPIO_BASE + 4) && (address < SECURE_GPIO_BASE + 0x400) && value)
		_exit((value == (1U << SECURE_GPIO_RESET)) ? 1 : 3);
}
