/* SPDX-License-Identifier: MIT */
/*
 * What BL1 (built with IMAGE_BL1) or BL2 (IMAGE_BL2) says about FIPs: their own code, with the
 * devices of machine.c. Reads FIPs with a size (32 bits, big endian) in front of each; prints "ok",
 * "refused" or "crash" for each. The argument is the hash of the master root key in hex.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <common/bl_common.h>
#include <common/desc_image_load.h>
#include <drivers/auth/auth_mod.h>
#include <drivers/auth/crypto_mod.h>
#include <mbedtls/platform.h>
#include <plat/common/platform.h>

#include <bootseal.h>

#include "machine.h"

#define DISK_SIZE	((4096U + 2U * 8192U) * 512U)

void plat_qemu_io_setup(void);

/* What a sanitizer finds is not a refusal. */
const char *__asan_default_options(void)
{
	return "exitcode=99";
}

const char *__ubsan_default_options(void)
{
	return "exitcode=99";
}

static image_desc_t bl2;
static bl_mem_params_node_t loaded;

struct image_desc *bl1_plat_get_image_desc(unsigned int image_id)
{
	(void)image_id;
	return &bl2;
}

bl_mem_params_node_t *get_bl_mem_params_node(unsigned int image_id)
{
	(void)image_id;
	return &loaded;
}

int plat_get_mbedtls_heap(void **heap, size_t *size)
{
	*heap = NULL;
	*size = 0;
	return 0;
}

void mbedtls_memory_buffer_alloc_init(unsigned char *heap, size_t size)
{
	(void)heap;
	(void)size;
	mbedtls_platform_set_calloc_free(calloc, free);
}

int plat_convert_pk(void *full_pk_ptr, unsigned int full_pk_len, void **hashed_pk_ptr,
		    unsigned int *hashed_pk_len)
{
	*hashed_pk_ptr = full_pk_ptr;
	*hashed_pk_len = full_pk_len;
	return 0;
}

const struct plat_try_images_ops *plat_try_img_ops;

static void load(unsigned int image_id, image_info_t *info, uintptr_t base, uint32_t size)
{
	info->h.version = VERSION_2;
	info->image_base = base;
	info->image_max_size = size;
	if (load_auth_image(image_id, info) != 0)
		plat_error_handler(-1);
}

static int verify(uint8_t *disk, const uint8_t *fip, size_t size)
{
#ifdef IMAGE_BL1
	memcpy(disk + BOOTSEAL_BANK_LBA(0U) * 512U, fip, size);
	machine_disk = disk;
	machine_disk_size = DISK_SIZE;
#else
	(void)disk;
	memcpy((void *)BOOTSEAL_BANK_BASE, fip, size);
#endif
	crypto_mod_init();
	auth_mod_init();
	plat_qemu_io_setup();
#ifdef IMAGE_BL1
	load(BL2_IMAGE_ID, &bl2.image_info, 0x0e05b000UL, 0x35000);
	bl1_plat_set_ep_info(BL2_IMAGE_ID, NULL);
#else
	load(BL31_IMAGE_ID, &loaded.image_info, 0x0e090000UL, 0x70000);
	if (bootseal_measure(BL31_IMAGE_ID) != 0)
		plat_error_handler(-1);
	load(BL33_IMAGE_ID, &loaded.image_info, 0x60000000UL, 0xa0000000U);
	if (bootseal_measure(BL33_IMAGE_ID) != 0)
		plat_error_handler(-1);
#endif
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t *fip = malloc(BOOTSEAL_BANK_SIZE), *disk = calloc(1, DISK_SIZE);
	uint8_t hash[32], head[4];
	unsigned int value;

	if (argc < 2 || !fip || !disk)
		return 2;
	for (unsigned int i = 0; i < sizeof(hash); i++) {
		if (sscanf(argv[1] + 2 * i, "%2x", &value) != 1)
			return 2;
		hash[i] = (uint8_t)value;
	}
	machine_root_key(hash);
	machine_map();
	if (argc > 2) {
		machine_index = true;
		machine_bits = strtoull(argv[2], NULL, 0);
	}

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t size = ((size_t)head[0] << 24) | (head[1] << 16) | (head[2] << 8) | head[3];
		int status = 0;
		pid_t child;

		if (size > BOOTSEAL_BANK_SIZE || fread(fip, size, 1, stdin) != (size != 0))
			return 2;
		child = fork();
		if (child == 0)
			_exit(verify(disk, fip, size));
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 2;
		if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
			puts(WEXITSTATUS(status) == 0 ? "ok" : "refused");
		else
			puts("crash");
	}
	free(fip);
	free(disk);
	return 0;
}
