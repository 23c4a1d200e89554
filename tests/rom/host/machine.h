/* SPDX-License-Identifier: MIT */
/*
 * The devices that the boot ROM talks to, and the memory that it uses, as a program sees them.
 */

#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_INFO_SIZE	19

/* The disk behind the block device; blocks behind its end are read as zeros. */
extern const uint8_t *machine_disk;
extern size_t machine_disk_size;

/* What the TPM's rollback index holds; no index if not `machine_index`. */
extern bool machine_index;
extern uint64_t machine_bits;

/* Answers of the TPM in the place of its own, each in full, as far as they go. */
extern const uint8_t *machine_answers[8];
extern size_t machine_answer_sizes[8];
extern size_t machine_answer_count;

/* How many bytes the FIFO takes and gives at a time; 0: it is never ready. */
extern unsigned int machine_burst;

/* Of the block device: 1 legacy or 2 modern, its answer, and whether it ever answers. */
extern uint32_t machine_version;
extern uint8_t machine_status;
extern bool machine_silent;

/* Map the memory of BL1 and BL2 at its addresses, with nothing around it. */
void machine_map(void);
void machine_root_key(const uint8_t *hash);

#endif
