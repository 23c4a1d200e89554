/* SPDX-License-Identifier: MIT */
/*
 * The parts of a bank that no signature covers: the FIP's header, its table of contents, and what
 * follows its end. Each of these bytes has one right value, so that no bit of a bank can be changed
 * unnoticed. TF-A's own reader, which looks at less, sees a bank only after this.
 */

#include <string.h>

#include <lib/utils_def.h>
#include <tools_share/firmware_image_package.h>

#include "bootseal.h"

/* What fiptool and bootseal write. */
#define SERIAL_NUMBER	0x12345678U

/* The images of a bank, all of them, in fiptool's order. */
static const uuid_t order[] = {
	UUID_TRUSTED_BOOT_FIRMWARE_BL2,
	UUID_EL3_RUNTIME_FIRMWARE_BL31,
	UUID_NON_TRUSTED_FIRMWARE_BL33,
	UUID_TRUSTED_KEY_CERT,
	UUID_SOC_FW_KEY_CERT,
	UUID_NON_TRUSTED_FW_KEY_CERT,
	UUID_TRUSTED_BOOT_FW_CERT,
	UUID_SOC_FW_CONTENT_CERT,
	UUID_NON_TRUSTED_FW_CONTENT_CERT,
};

#define ENTRIES		(ARRAY_SIZE(order) + 1U)

/* The largest alignment of images. */
#define MAX_ALIGNMENT	0x100000U

static void read_entry(fip_toc_entry_t *entry, const uint8_t *bank, size_t i)
{
	memcpy(entry, bank + sizeof(fip_toc_header_t) + (i * sizeof(*entry)), sizeof(*entry));
}

/* What all offsets are multiples of. */
static uint64_t find_alignment(const uint8_t *bank)
{
	fip_toc_entry_t entry;
	uint64_t bits = MAX_ALIGNMENT;

	for (size_t i = 0U; i < ENTRIES; i++) {
		read_entry(&entry, bank, i);
		bits |= entry.offset_address;
	}

	return bits & (~bits + 1U);
}

static bool is_zero(const uint8_t *bank, uint64_t from, uint64_t to)
{
	for (; from < to; from++) {
		if (bank[from] != 0U) {
			return false;
		}
	}

	return true;
}

/*
 * Whether a bank of `size` bytes is one FIP, each image at the first aligned place behind the one
 * before, and zeros.
 */
bool bootseal_fip_ok(const uint8_t *bank, size_t size)
{
	static const uuid_t none;
	fip_toc_header_t header;
	fip_toc_entry_t entry;
	uint64_t mask, next, end = sizeof(header) + (ENTRIES * sizeof(entry));
	bool last;

	if (size < end) {
		return false;
	}

	memcpy(&header, bank, sizeof(header));
	if ((header.name != TOC_HEADER_NAME) || (header.serial_number != SERIAL_NUMBER) ||
	    (header.flags != 0U)) {
		return false;
	}

	mask = find_alignment(bank) - 1U;
	for (size_t i = 0U; i < ENTRIES; i++) {
		last = (i == ARRAY_SIZE(order));
		next = (end + mask) & ~mask;
		read_entry(&entry, bank, i);
		if ((memcmp(&entry.uuid, last ? &none : &order[i], sizeof(none)) != 0) ||
		    (entry.offset_address != next) || (next > size) || (entry.flags != 0U) ||
		    ((entry.size == 0U) != last) || (entry.size > (size - next)) ||
		    !is_zero(bank, end, next)) {
			return false;
		}
		end = next + entry.size;
	}

	return is_zero(bank, end, size);
}
