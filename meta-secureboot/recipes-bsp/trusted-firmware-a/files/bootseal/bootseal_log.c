/* SPDX-License-Identifier: MIT */
/*
 * The event log (TCG PC Client Platform Firmware Profile 1.06, chapter 10), with SHA-256 only. Its
 * first two events are the bytes that TF-A's own event log begins with.
 */

#include <string.h>

#include "bootseal.h"

#define ALG_SHA256	0x000bU
#define EV_POST_CODE	1U
#define EV_NO_ACTION	3U

/* Header, digest, size: of an event of PCR 0 with one digest. */
#define EVENT_SIZE	(4U + 4U + 4U + 2U + BOOTSEAL_DIGEST_SIZE + 4U)

static uint8_t *put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);

	return p + 2;
}

static uint8_t *put32(uint8_t *p, uint32_t value)
{
	return put16(put16(p, (uint16_t)value), (uint16_t)(value >> 16));
}

static size_t add(uint8_t *log, size_t size, size_t used, uint32_t type, const uint8_t *digest,
		  const void *event, size_t event_size)
{
	uint8_t *p;

	if ((used > size) || ((size - used) < EVENT_SIZE) ||
	    ((size - used - EVENT_SIZE) < event_size)) {
		return 0U;
	}

	p = put32(log + used, 0U);
	p = put32(p, type);
	p = put32(p, 1U);
	p = put16(p, ALG_SHA256);
	memcpy(p, digest, BOOTSEAL_DIGEST_SIZE);
	p = put32(p + BOOTSEAL_DIGEST_SIZE, (uint32_t)event_size);
	memcpy(p, event, event_size);

	return used + EVENT_SIZE + event_size;
}

/* Clear the log and begin it. Return the bytes used, 0 if there is no room. */
size_t bootseal_log_start(uint8_t *log, size_t size)
{
	/* TCG_EfiSpecIdEvent in a TCG_PCClientPCREvent, which has a SHA-1 digest. */
	static const uint8_t spec_id[] = {
		0, 0, 0, 0, EV_NO_ACTION, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		33, 0, 0, 0,
		'S', 'p', 'e', 'c', ' ', 'I', 'D', ' ', 'E', 'v', 'e', 'n', 't', '0', '3', 0,
		0, 0, 0, 0,	/* a client platform */
		0, 2, 2,	/* version 2.0, errata 2 */
		1,		/* the size of UINTN that TF-A writes */
		1, 0, 0, 0, ALG_SHA256, 0, BOOTSEAL_DIGEST_SIZE, 0,
		0,		/* no vendor information */
	};
	static const uint8_t locality[] = "StartupLocality\0";	/* and locality 0 */
	static const uint8_t none[BOOTSEAL_DIGEST_SIZE];

	memset(log, 0, size);
	if (size < sizeof(spec_id)) {
		return 0U;
	}
	memcpy(log, spec_id, sizeof(spec_id));

	return add(log, size, sizeof(spec_id), EV_NO_ACTION, none, locality, sizeof(locality));
}

/*
 * Add the event of an image: what PCR 0 was extended with, and its name. Return the bytes used,
 * 0 if there is no room.
 */
size_t bootseal_log_add(uint8_t *log, size_t size, size_t used, const uint8_t *digest,
			const char *name)
{
	return add(log, size, used, EV_POST_CODE, digest, name, strlen(name) + 1U);
}
