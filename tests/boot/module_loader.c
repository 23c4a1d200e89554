/* SPDX-License-Identifier: MIT */
/* The first program of test_kernel_modules.py: loads the modules that it is given, and says how each ended. */

#define AT_FDCWD -100L
#define NR_OPENAT 56
#define NR_WRITE 64
#define NR_REBOOT 142
#define NR_FINIT_MODULE 273

static long call(long number, long a, long b, long c, long d)
{
	register long x8 asm("x8") = number;
	register long x0 asm("x0") = a;
	register long x1 asm("x1") = b;
	register long x2 asm("x2") = c;
	register long x3 asm("x3") = d;

	asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

static void say(const char *text)
{
	long size = 0;

	while (text[size])
		size++;
	call(NR_WRITE, 1, (long)text, size, 0);
}

static void say_number(long number)
{
	char text[12];
	int at = sizeof(text) - 1;

	text[at] = 0;
	do {
		text[--at] = '0' + number % 10;
		number /= 10;
	} while (number && at);
	say(text + at);
}

void start(long *stack)
{
	long count = stack[0];
	char **names = (char **)(stack + 1);

	for (long i = 1; i < count; i++) {
		long file = call(NR_OPENAT, AT_FDCWD, (long)names[i], 0, 0);
		long end = file < 0 ? file : call(NR_FINIT_MODULE, file, (long)"", 0, 0);

		say("\nloader: ");
		say(names[i]);
		say(" ended with ");
		say_number(-end);
		say("\n");
	}
	call(NR_REBOOT, 0xfee1dead, 672274793, 0x4321fedc, 0);
	for (;;)
		;
}

asm(".globl _start\n_start:\n\tmov x0, sp\n\tb start\n");
