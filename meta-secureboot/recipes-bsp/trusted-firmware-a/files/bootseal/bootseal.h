/* SPDX-License-Identifier: MIT */
/*
 * Two banks of boot loader on a disk, measured into a TPM and compared with a rollback index there.
 *
 * The files next to this one are written for BL1 and BL2 of TF-A's qemu platform. Everything that
 * reads what an attacker may have written (the disk, the device behind it, the TPM's answers) takes
 * pointers and lengths, and uses of TF-A only mmio_*() and the counter, so that it is tested on a
 * host as well.
 */

#ifndef BOOTSEAL_H
#define BOOTSEAL_H

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

/*
 * On the disk: where the two banks are and how large, each a whole FIP, and one block that says
 * which of them is tried first. BL1 knows these numbers and does not look at a partition table.
 */
#define BOOTSEAL_BLOCK_SIZE	512U
#define BOOTSEAL_BANKS		2U
#define BOOTSEAL_BANK_SIZE	0x00400000U
#define BOOTSEAL_BANK_LBA(bank)	(4096U + ((bank) * (BOOTSEAL_BANK_SIZE / BOOTSEAL_BLOCK_SIZE)))
#define BOOTSEAL_CHOICE_LBA	2176U
#define BOOTSEAL_CHOICE_MAGIC	0x57465342U	/* "BSFW" */

/*
 * In non-secure memory, all of it agreed with U-Boot and its control tree: the event log, which is
 * zero behind its end; the two words that the normal world and BL1 tell each other; what the block
 * device reads and writes; and the copy of the bank that BL1 and BL2 read. Nothing runs in the
 * normal world, and no device is enabled, until BL2 is done with the copy.
 */
#define BOOTSEAL_LOG_BASE	0x4f000000UL
#define BOOTSEAL_LOG_SIZE	0x00010000UL
#define BOOTSEAL_WORDS_BASE	0x4f010000UL
#define BOOTSEAL_RING_BASE	0x5f000000UL
#define BOOTSEAL_BANK_BASE	0x5f400000UL

/* The U-Boot of a bank writes this just before it starts a kernel. */
#define BOOTSEAL_KERNEL_REACHED	0x4b4f5342U	/* "BSOK" */

/*
 * In secure memory, where it lives through a reset and is zero after power-on. The page before
 * this offset is the holding pen of the other CPUs.
 */
#define BOOTSEAL_STATE_OFFSET	0xf00
#define BOOTSEAL_STATE_MAGIC	0xb0075ea1U
#define BOOTSEAL_STATE_REFUSED	4	/* offsets for bootseal_panic.S */
#define BOOTSEAL_STATE_BANK	8
#define BOOTSEAL_MAX_STARTS	3U

#ifndef __ASSEMBLER__

struct bootseal_words {
	uint32_t kernel_reached;
	uint32_t bank;		/* in use, written by BL1 */
};

struct bootseal_state {
	uint32_t magic;
	uint32_t refused;	/* bit n: bank n */
	uint32_t bank;		/* in use */
	uint32_t starts[BOOTSEAL_BANKS];	/* since one of them reached a kernel */
	uint32_t log_used;	/* bytes of the event log */
};

/* What the block device shares with BL1: a split virtqueue, laid out as a legacy device wants it. */
#define BOOTSEAL_QUEUE_SIZE	4U
#define BOOTSEAL_QUEUE_ALIGN	4096U

struct bootseal_ring {
	struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags;
		uint16_t next;
	} desc[BOOTSEAL_QUEUE_SIZE];
	struct {
		uint16_t flags;
		uint16_t idx;
		uint16_t ring[BOOTSEAL_QUEUE_SIZE];
		uint16_t used_event;
	} avail;
	struct {
		uint16_t flags;
		uint16_t idx;
		struct {
			uint32_t id;
			uint32_t length;
		} ring[BOOTSEAL_QUEUE_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(BOOTSEAL_QUEUE_ALIGN)));
	struct {
		uint32_t type;
		uint32_t reserved;
		uint64_t sector;
	} request;
	uint8_t status;
};

/* bootseal_time.c: a wait that ends. */
uint64_t bootseal_deadline(void);
bool bootseal_expired(uint64_t deadline);

/* bootseal_disk.c */
int bootseal_disk_read(volatile struct bootseal_ring *ring, uint64_t lba, void *buffer,
		       uint32_t size);

/* bootseal_bank.c */
unsigned int bootseal_wanted(const uint8_t *block);
int bootseal_choose(volatile struct bootseal_state *state, unsigned int wanted,
		    bool kernel_reached);
void bootseal_refuse(volatile struct bootseal_state *state);

/* bootseal_fip.c */
bool bootseal_fip_ok(const uint8_t *bank, size_t size);

/* bootseal_tpm.c */
#define BOOTSEAL_DIGEST_SIZE	32U

int bootseal_tpm_startup(void);
int bootseal_tpm_extend(uint32_t pcr, const uint8_t *digest);
int bootseal_tpm_lowest(unsigned int *lowest);

/* bootseal_log.c */
size_t bootseal_log_start(uint8_t *log, size_t size);
size_t bootseal_log_add(uint8_t *log, size_t size, size_t used, const uint8_t *digest,
			const char *name);

/* bootseal_plat.c */
int bootseal_measure(unsigned int image_id);

#endif /* __ASSEMBLER__ */

#endif /* BOOTSEAL_H */
