/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer harness of what BL1 reads before it knows a signature: TF-A's FIP reader, over the
 * memory device, and TF-A's parser of certificates. Our own check of the FIP is asked as well, and
 * what it accepts the reader must be able to read to the end.
 */

#include <stdlib.h>
#include <string.h>

#include <cdefs.h>
#include <plat/common/platform.h>

/* With their static state. */
#include "drivers/io/io_storage.c"
#include "drivers/io/io_memmap.c"
#include "drivers/io/io_fip.c"

#include <drivers/auth/img_parser_mod.h>
#include <mbedtls/platform.h>
#include <tools_share/tbbr_oid.h>

#include <bootseal.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static io_block_spec_t bank;
static uintptr_t fip_device, memmap_device;
static const io_dev_connector_t *fip_connector, *memmap_connector;

static const io_uuid_spec_t names[] = {
	{ UUID_TRUSTED_BOOT_FIRMWARE_BL2 },
	{ UUID_TRUSTED_BOOT_FW_CERT },
	{ UUID_NON_TRUSTED_FW_CONTENT_CERT },
};

void mbedtls_init(void)
{
	mbedtls_platform_set_calloc_free(calloc, free);
}

int plat_get_image_source(unsigned int image_id, uintptr_t *dev_handle, uintptr_t *image_spec)
{
	(void)image_id;
	*dev_handle = memmap_device;
	*image_spec = (uintptr_t)&bank;
	return 0;
}

static void parse(void *certificate, unsigned int size)
{
	static const char *const oids[] = {
		TRUSTED_FW_NVCOUNTER_OID, TRUSTED_BOOT_FW_HASH_OID, TRUSTED_WORLD_PK_OID, "1.2.3",
	};
	auth_param_type_desc_t type = { 0 };
	volatile uint8_t sink = 0;
	unsigned int length;
	void *found;

	if (img_parser_check_integrity(IMG_CERT, certificate, size) != 0)
		return;
	for (unsigned int kind = AUTH_PARAM_RAW_DATA; kind <= AUTH_PARAM_NV_CTR; kind++) {
		for (size_t i = 0; i < sizeof(oids) / sizeof(oids[0]); i++) {
			type.type = kind;
			type.cookie = (void *)oids[i];
			if (img_parser_get_auth_param(IMG_CERT, &type, certificate, size, &found,
						      &length) == 0) {
				for (unsigned int k = 0; k < length; k++)
					sink ^= ((uint8_t *)found)[k];
			}
		}
	}
	(void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int ready;
	uint8_t *copy;
	bool ok;

	if (size == 0)
		return 0;
	if (!ready) {
		if (register_io_dev_fip(&fip_connector) || register_io_dev_memmap(&memmap_connector) ||
		    io_dev_open(memmap_connector, 0, &memmap_device))
			abort();
		img_parser_init();
		ready = 1;
	}
	/* Of exactly this size, for AddressSanitizer. */
	copy = malloc(size - 1 + (size == 1));
	if (!copy)
		abort();
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 1) {
		parse(copy, (unsigned int)(size - 1));
		free(copy);
		return 0;
	}

	ok = bootseal_fip_ok(copy, size - 1);
	bank.offset = (uintptr_t)copy;
	bank.length = size - 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uintptr_t file;
		size_t length, got;
		int result;

		if (io_dev_open(fip_connector, 0, &fip_device))
			abort();
		result = io_dev_init(fip_device, 0);
		if (result == 0)
			result = io_open(fip_device, (uintptr_t)&names[i], &file);
		if (result == 0) {
			if (io_size(file, &length) == 0 && length != 0 && length < 65536) {
				uint8_t *image = malloc(length);

				result = io_read(file, (uintptr_t)image, length, &got);
				if (result == 0 && i == 1)
					parse(image, (unsigned int)length);
				free(image);
			}
			(void)io_close(file);
		}
		if (ok && result != 0)
			abort();
		(void)io_dev_close(fip_device);
		memset(&current_fip_file, 0, sizeof(current_fip_file));
	}
	free(copy);
	return 0;
}
