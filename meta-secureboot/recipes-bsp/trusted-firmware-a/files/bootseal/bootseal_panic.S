/* SPDX-License-Identifier: MIT */

#include <asm_macros.S>
#include <platform_def.h>

#include "bootseal.h"

	.globl	plat_panic_handler

	.section .rodata.bootseal, "a"
words:
	.asciz	"bootseal: boot loader bank ? refused (panic)\r\n"

	/* -----------------------------------------------------
	 * void plat_panic_handler(void) __dead2;
	 * Refuse the bank in use and reset; power off when it
	 * was refused before. An exception arrives on SP_ELx,
	 * which is not set up: no stack.
	 * -----------------------------------------------------
	 */
func plat_panic_handler
	mov_imm	x0, (SHARED_RAM_BASE + BOOTSEAL_STATE_OFFSET)
	ldr	w1, [x0, #BOOTSEAL_STATE_BANK]
	and	w1, w1, #1
	mov	w2, #1
	lsl	w2, w2, w1
	ldr	w3, [x0, #BOOTSEAL_STATE_REFUSED]
	tst	w3, w2
	mov	w4, #(1 << SECURE_GPIO_RESET)
	mov	w5, #(1 << SECURE_GPIO_POWEROFF)
	csel	w4, w4, w5, eq
	orr	w3, w3, w2
	str	w3, [x0, #BOOTSEAL_STATE_REFUSED]

	mov_imm	x5, UART0_BASE
	adr_l	x0, words
1:	ldrb	w2, [x0], #1
	cbz	w2, 3f
	cmp	w2, #'?'
	b.ne	2f
	add	w2, w1, #'a'
2:	ldr	w3, [x5, #0x18]		/* UARTFR */
	tbnz	w3, #5, 2b		/* transmit FIFO full */
	str	w2, [x5]
	b	1b

3:	mov_imm	x0, SECURE_GPIO_BASE
	ldr	w1, [x0, #0x400]	/* direction */
	orr	w1, w1, w4
	str	w1, [x0, #0x400]
	add	x0, x0, x4, lsl #2	/* data register of that pin */
	str	wzr, [x0]
	str	w4, [x0]
	dsb	sy
4:	wfi
	b	4b
endfunc plat_panic_handler
