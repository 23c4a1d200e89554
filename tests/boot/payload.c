/* SPDX-License-Identifier: MIT */
/*
 * A whole firmware for QEMU's virt board: says TEXT on the PL011, then does what END says.
 * Linked at address 0, where -bios puts it.
 */
#define UART ((volatile unsigned char *)0x09000000)
#define FLAGS (*(volatile unsigned int *)0x09000018)

static void say(const char *text)
{
	while (*text)
		*UART = *text++;
}

static void psci(unsigned long function)
{
	register unsigned long x0 __asm__("x0") = function;

	__asm__ volatile("hvc #0" : "+r"(x0) : : "memory");
}

void run(void)
{
	unsigned char key;

	say(TEXT);
	switch (END) {
	case 'o': /* PSCI SYSTEM_OFF */
		psci(0x84000008);
		break;
	case 'r': /* PSCI SYSTEM_RESET, for ever */
		psci(0x84000009);
		break;
	case 'e': /* echo until q, then off */
		do {
			while (FLAGS & 0x10)
				;
			key = *UART;
			*UART = key;
		} while (key != 'q');
		say("\n");
		psci(0x84000008);
	}
	for (;;)
		;
}

__asm__(".section .start, \"ax\"\n"
	"ldr x0, =0x40100000\n"
	"mov sp, x0\n"
	"b run\n");
