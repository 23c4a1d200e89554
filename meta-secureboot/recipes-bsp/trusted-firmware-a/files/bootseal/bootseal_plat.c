/* SPDX-License-Identifier: MIT */
/*
 * What TF-A asks of a platform, in the place of the qemu platform's own: images come from a FIP in
 * memory and from nowhere else, the root key is a hash in this binary, counters are read from the
 * TPM and never written, what was loaded is measured, and a failure is the end of a bank.
 */

#include <errno.h>
#include <string.h>

#include <platform_def.h>

#include <arch_helpers.h>
#include <bl1/bl1.h>
#include <common/bl_common.h>
#include <common/debug.h>
#include <common/desc_image_load.h>
#include <drivers/console.h>
#include <drivers/io/io_driver.h>
#include <drivers/io/io_fip.h>
#include <drivers/io/io_memmap.h>
#include <drivers/io/io_storage.h>
#include <lib/cassert.h>
#include <lib/mmio.h>
#include <mbedtls/sha256.h>
#include <plat/common/platform.h>
#include <tools_share/firmware_image_package.h>

#include "../common/qemu_private.h"
#include "bootseal.h"

#if !TRUSTED_BOARD_BOOT
#error "bootseal needs TRUSTED_BOARD_BOOT=1"
#endif

CASSERT(offsetof(struct bootseal_state, refused) == BOOTSEAL_STATE_REFUSED, assert_state_refused);
CASSERT(offsetof(struct bootseal_state, bank) == BOOTSEAL_STATE_BANK, assert_state_bank);
CASSERT(PLAT_QEMU_HOLD_BASE + PLAT_QEMU_HOLD_SIZE <= SHARED_RAM_BASE + BOOTSEAL_STATE_OFFSET,
	assert_state_behind_holding_pen);
CASSERT(BOOTSEAL_STATE_OFFSET + sizeof(struct bootseal_state) <= SHARED_RAM_SIZE,
	assert_state_in_page);
CASSERT(sizeof(struct bootseal_ring) <= 0x3000, assert_ring_size);

/* The bits of the TPM's index are the security versions that can be refused. */
#define MAX_SECURITY_VERSION	63U

/* Data register of a pin of a PL061, and its direction register. */
#define PL061_DATA(pin)		(SECURE_GPIO_BASE + (4UL << (pin)))
#define PL061_DIRECTION		(SECURE_GPIO_BASE + 0x400UL)

static volatile struct bootseal_state *const state =
	(void *)(SHARED_RAM_BASE + BOOTSEAL_STATE_OFFSET);

/* A rising edge on a pin of the secure GPIO resets the machine, or powers it off. */
static void __dead2 leave(unsigned int pin)
{
	console_flush();
	mmio_setbits_32(PL061_DIRECTION, 1U << pin);
	mmio_write_32(PL061_DATA(pin), 0U);
	mmio_write_32(PL061_DATA(pin), 1U << pin);
	while (true) {
		wfi();
	}
}

static void __dead2 refuse(void)
{
	bootseal_refuse(state);
	leave(SECURE_GPIO_RESET);
}

void __dead2 plat_error_handler(int err)
{
	refuse();
}

/* Images. */

static const io_dev_connector_t *fip_connector, *memmap_connector;
static uintptr_t fip_device, memmap_device;

static const io_block_spec_t bank_copy = {
	.offset = BOOTSEAL_BANK_BASE,
	.length = BOOTSEAL_BANK_SIZE,
};

static const struct {
	unsigned int id;
	io_uuid_spec_t spec;
} images[] = {
	{ BL2_IMAGE_ID, { UUID_TRUSTED_BOOT_FIRMWARE_BL2 } },
	{ BL31_IMAGE_ID, { UUID_EL3_RUNTIME_FIRMWARE_BL31 } },
	{ BL33_IMAGE_ID, { UUID_NON_TRUSTED_FIRMWARE_BL33 } },
	{ TRUSTED_BOOT_FW_CERT_ID, { UUID_TRUSTED_BOOT_FW_CERT } },
	{ TRUSTED_KEY_CERT_ID, { UUID_TRUSTED_KEY_CERT } },
	{ SOC_FW_KEY_CERT_ID, { UUID_SOC_FW_KEY_CERT } },
	{ SOC_FW_CONTENT_CERT_ID, { UUID_SOC_FW_CONTENT_CERT } },
	{ NON_TRUSTED_FW_KEY_CERT_ID, { UUID_NON_TRUSTED_FW_KEY_CERT } },
	{ NON_TRUSTED_FW_CONTENT_CERT_ID, { UUID_NON_TRUSTED_FW_CONTENT_CERT } },
};

int plat_get_image_source(unsigned int image_id, uintptr_t *dev_handle, uintptr_t *image_spec)
{
	if (image_id == FIP_IMAGE_ID) {
		*dev_handle = memmap_device;
		*image_spec = (uintptr_t)&bank_copy;
		return io_dev_init(memmap_device, 0U);
	}

	for (size_t i = 0U; i < ARRAY_SIZE(images); i++) {
		if (images[i].id == image_id) {
			*dev_handle = fip_device;
			*image_spec = (uintptr_t)&images[i].spec;
			return io_dev_init(fip_device, FIP_IMAGE_ID);
		}
	}

	return -ENOENT;
}

#ifdef IMAGE_BL1
/* Choose a bank and copy it to memory, where BL1 and BL2 read it. */
static void load_bank(void)
{
	volatile struct bootseal_ring *ring = (void *)BOOTSEAL_RING_BASE;
	volatile struct bootseal_words *words = (void *)BOOTSEAL_WORDS_BASE;
	uint8_t *copy = (void *)BOOTSEAL_BANK_BASE;
	unsigned int wanted = 0U;
	int bank;

	if (bootseal_disk_read(ring, BOOTSEAL_CHOICE_LBA, copy, BOOTSEAL_BLOCK_SIZE) == 0) {
		wanted = bootseal_wanted(copy);
	}

	bank = bootseal_choose(state, wanted, words->kernel_reached == BOOTSEAL_KERNEL_REACHED);
	if (bank < 0) {
		ERROR("bootseal: no boot loader could be started, powering off\n");
		state->magic = 0U;
		leave(SECURE_GPIO_POWEROFF);
	}
	NOTICE("bootseal: boot loader bank %c\n", 'a' + bank);

	words->kernel_reached = 0U;
	words->bank = (uint32_t)bank;
	flush_dcache_range(BOOTSEAL_WORDS_BASE, sizeof(*words));

	if (bootseal_disk_read(ring, BOOTSEAL_BANK_LBA((uint32_t)bank), copy,
			       BOOTSEAL_BANK_SIZE) != 0) {
		ERROR("bootseal: the disk cannot be read\n");
		refuse();
	}
	if (!bootseal_fip_ok(copy, BOOTSEAL_BANK_SIZE)) {
		ERROR("bootseal: the bank is not one FIP and zeros\n");
		refuse();
	}
}

/* Begin the log of what the TPM is told. */
static void start_measuring(void)
{
	state->log_used = (uint32_t)bootseal_log_start((void *)BOOTSEAL_LOG_BASE,
						       BOOTSEAL_LOG_SIZE);
	flush_dcache_range(BOOTSEAL_LOG_BASE, BOOTSEAL_LOG_SIZE);
	if (bootseal_tpm_startup() != 0) {
		refuse();
	}
}
#endif /* IMAGE_BL1 */

void plat_qemu_io_setup(void)
{
	if ((register_io_dev_fip(&fip_connector) != 0) ||
	    (register_io_dev_memmap(&memmap_connector) != 0) ||
	    (io_dev_open(fip_connector, 0U, &fip_device) != 0) ||
	    (io_dev_open(memmap_connector, 0U, &memmap_device) != 0)) {
		panic();
	}
#ifdef IMAGE_BL1
	load_bank();
	start_measuring();
#endif
}

/* The root key and the counters. */

extern char qemu_rotpk_hash[], qemu_rotpk_hash_end[];

int plat_get_rotpk_info(void *cookie, void **key_ptr, unsigned int *key_len, unsigned int *flags)
{
	*key_ptr = qemu_rotpk_hash;
	*key_len = (unsigned int)(qemu_rotpk_hash_end - qemu_rotpk_hash);
	*flags = ROTPK_IS_HASH;

	return 0;
}

/* Both counters are the security version of the boot loader. */
int plat_get_nv_ctr(void *cookie, unsigned int *nv_ctr)
{
	static unsigned int lowest;
	static bool known;
	int result;

	if (!known) {
		result = bootseal_tpm_lowest(&lowest);
		if (result != 0) {
			return result;
		}
		known = true;
	}
	*nv_ctr = lowest;

	return 0;
}

/*
 * Called for a certificate with a higher counter, once its signature was verified. Whether the boot
 * loader is any good is known only to the system that it starts, which raises the index then.
 */
int plat_set_nv_ctr(void *cookie, unsigned int nv_ctr)
{
	return (nv_ctr <= MAX_SECURITY_VERSION) ? 0 : -EINVAL;
}

/* Measurement. */

static int measure(const image_info_t *image, const char *name)
{
	uint8_t *log = (void *)BOOTSEAL_LOG_BASE;
	uint8_t digest[BOOTSEAL_DIGEST_SIZE];
	size_t used;
	int result;

	if (mbedtls_sha256((const void *)image->image_base, image->image_size, digest, 0) != 0) {
		return -EIO;
	}

	result = bootseal_tpm_extend(0U, digest);
	if (result != 0) {
		return result;
	}

	used = bootseal_log_add(log, BOOTSEAL_LOG_SIZE, state->log_used, digest, name);
	if (used == 0U) {
		return -ENOMEM;
	}
	flush_dcache_range((uintptr_t)log + state->log_used, used - state->log_used);
	state->log_used = (uint32_t)used;

	return 0;
}

#ifdef IMAGE_BL1
/* BL1 has loaded and verified BL2, and is about to start it. */
void bl1_plat_set_ep_info(unsigned int image_id, struct entry_point_info *ep_info)
{
	if (measure(&bl1_plat_get_image_desc(image_id)->image_info, "BL_2") != 0) {
		refuse();
	}
}
#endif

#ifdef IMAGE_BL2
/* BL2 has loaded and verified an image. */
int bootseal_measure(unsigned int image_id)
{
	const bl_mem_params_node_t *image = get_bl_mem_params_node(image_id);

	switch (image_id) {
	case BL31_IMAGE_ID:
		return measure(&image->image_info, "SECURE_RT_EL3");
	case BL33_IMAGE_ID:
		return measure(&image->image_info, "BL_33");
	default:
		return -EINVAL;
	}
}
#endif
