/* SPDX-License-Identifier: MIT */
/*
 * Reads from a virtio block device behind a virtio-mmio transport, legacy or modern: one request,
 * polled. The device is not trusted. What it writes is looked at in two places only, the index of
 * the used ring and the status, and neither is used as an index or a length.
 */

#include <errno.h>
#include <string.h>

#include <arch_helpers.h>
#include <lib/mmio.h>

#include "bootseal.h"

/* Transports of the machine. */
#define TRANSPORT_BASE		0x0a000000UL
#define TRANSPORT_SIZE		0x200UL
#define TRANSPORTS		32U

/* Registers (virtio 1.2, 4.2.2 and 4.2.4). */
#define MAGIC_VALUE		0x000U
#define VERSION			0x004U
#define DEVICE_ID		0x008U
#define DRIVER_FEATURES		0x020U
#define DRIVER_FEATURES_SEL	0x024U
#define GUEST_PAGE_SIZE		0x028U	/* legacy */
#define QUEUE_SEL		0x030U
#define QUEUE_NUM_MAX		0x034U
#define QUEUE_NUM		0x038U
#define QUEUE_ALIGN		0x03cU	/* legacy */
#define QUEUE_PFN		0x040U	/* legacy */
#define QUEUE_READY		0x044U
#define QUEUE_NOTIFY		0x050U
#define STATUS			0x070U
#define QUEUE_DESC		0x080U
#define QUEUE_DRIVER		0x090U
#define QUEUE_DEVICE		0x0a0U

#define MAGIC			0x74726976U	/* "virt" */
#define VERSION_LEGACY		1U
#define VERSION_MODERN		2U
#define BLOCK_DEVICE		2U
#define FEATURE_VERSION_1	1U	/* bit 32, in the second word */

#define STATUS_ACKNOWLEDGE	0x01U
#define STATUS_DRIVER		0x02U
#define STATUS_DRIVER_OK	0x04U
#define STATUS_FEATURES_OK	0x08U

#define DESC_NEXT		1U
#define DESC_WRITE		2U	/* by the device */

#define REQUEST_IN		0U
#define REQUEST_OK		0U
#define REQUEST_PENDING		0xffU

static uintptr_t find_device(void)
{
	for (unsigned int i = 0U; i < TRANSPORTS; i++) {
		uintptr_t base = TRANSPORT_BASE + (i * TRANSPORT_SIZE);

		if ((mmio_read_32(base + MAGIC_VALUE) == MAGIC) &&
		    (mmio_read_32(base + DEVICE_ID) == BLOCK_DEVICE)) {
			return base;
		}
	}

	return 0U;
}

/* After this the device reads and writes no memory. */
static int reset(uintptr_t base)
{
	uint64_t deadline = bootseal_deadline();

	mmio_write_32(base + STATUS, 0U);
	while (mmio_read_32(base + STATUS) != 0U) {
		if (bootseal_expired(deadline)) {
			return -ETIMEDOUT;
		}
	}

	return 0;
}

static void write_address(uintptr_t reg, const volatile void *address)
{
	uint64_t value = (uintptr_t)address;

	mmio_write_32(reg, (uint32_t)value);
	mmio_write_32(reg + 4U, (uint32_t)(value >> 32));
}

static int set_up(uintptr_t base, volatile struct bootseal_ring *ring)
{
	uint32_t version = mmio_read_32(base + VERSION);
	uint32_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;

	if ((version != VERSION_LEGACY) && (version != VERSION_MODERN)) {
		return -ENODEV;
	}

	mmio_write_32(base + STATUS, STATUS_ACKNOWLEDGE);
	mmio_write_32(base + STATUS, status);

	/* No feature but the one that makes a modern device what it is. */
	mmio_write_32(base + DRIVER_FEATURES_SEL, 0U);
	mmio_write_32(base + DRIVER_FEATURES, 0U);
	if (version == VERSION_MODERN) {
		mmio_write_32(base + DRIVER_FEATURES_SEL, 1U);
		mmio_write_32(base + DRIVER_FEATURES, FEATURE_VERSION_1);
		status |= STATUS_FEATURES_OK;
		mmio_write_32(base + STATUS, status);
		if ((mmio_read_32(base + STATUS) & STATUS_FEATURES_OK) == 0U) {
			return -ENODEV;
		}
	} else {
		mmio_write_32(base + GUEST_PAGE_SIZE, BOOTSEAL_QUEUE_ALIGN);
	}

	mmio_write_32(base + QUEUE_SEL, 0U);
	if (mmio_read_32(base + QUEUE_NUM_MAX) < BOOTSEAL_QUEUE_SIZE) {
		return -ENODEV;
	}
	mmio_write_32(base + QUEUE_NUM, BOOTSEAL_QUEUE_SIZE);
	if (version == VERSION_MODERN) {
		write_address(base + QUEUE_DESC, &ring->desc);
		write_address(base + QUEUE_DRIVER, &ring->avail);
		write_address(base + QUEUE_DEVICE, &ring->used);
		mmio_write_32(base + QUEUE_READY, 1U);
	} else {
		mmio_write_32(base + QUEUE_ALIGN, BOOTSEAL_QUEUE_ALIGN);
		mmio_write_32(base + QUEUE_PFN,
			      (uint32_t)((uintptr_t)ring / BOOTSEAL_QUEUE_ALIGN));
	}

	mmio_write_32(base + STATUS, status | STATUS_DRIVER_OK);

	return 0;
}

static void describe(volatile struct bootseal_ring *ring, unsigned int i,
		     const volatile void *address, uint32_t length, uint16_t flags)
{
	ring->desc[i].address = (uintptr_t)address;
	ring->desc[i].length = length;
	ring->desc[i].flags = flags;
	ring->desc[i].next = (uint16_t)(i + 1U);
}

static int transfer(uintptr_t base, volatile struct bootseal_ring *ring, uint64_t lba,
		    void *buffer, uint32_t size)
{
	uint64_t deadline = bootseal_deadline();

	ring->request.type = REQUEST_IN;
	ring->request.reserved = 0U;
	ring->request.sector = lba;
	ring->status = REQUEST_PENDING;
	describe(ring, 0U, &ring->request, sizeof(ring->request), DESC_NEXT);
	describe(ring, 1U, buffer, size, DESC_NEXT | DESC_WRITE);
	describe(ring, 2U, &ring->status, sizeof(ring->status), DESC_WRITE);

	ring->avail.ring[0] = 0U;
	dsbsy();
	ring->avail.idx = 1U;
	dsbsy();
	mmio_write_32(base + QUEUE_NOTIFY, 0U);

	while (ring->used.idx == 0U) {
		if (bootseal_expired(deadline)) {
			return -ETIMEDOUT;
		}
	}
	dsbsy();

	return (ring->status == REQUEST_OK) ? 0 : -EIO;
}

/*
 * Read `size` bytes, a multiple of BOOTSEAL_BLOCK_SIZE, from block `lba` on into `buffer`. Ring and
 * buffer are in memory that the device can reach, the ring aligned to BOOTSEAL_QUEUE_ALIGN.
 *
 * Return 0, or -ENODEV, -EIO or -ETIMEDOUT; the buffer holds anything then.
 */
int bootseal_disk_read(volatile struct bootseal_ring *ring, uint64_t lba, void *buffer,
		       uint32_t size)
{
	uintptr_t base = find_device();
	int result, reset_result;

	if (base == 0U) {
		return -ENODEV;
	}

	result = reset(base);
	if (result != 0) {
		return result;
	}

	/* Without the device: it has been reset. */
	memset((void *)(uintptr_t)ring, 0, sizeof(*ring));

	result = set_up(base, ring);
	if (result == 0) {
		result = transfer(base, ring, lba, buffer, size);
	}

	reset_result = reset(base);

	return (result != 0) ? result : reset_result;
}
