/* SPDX-License-Identifier: MIT */
/* What the code of BL1 and BL2 needs of the processor, on a host. */

#ifndef ARCH_HELPERS_H
#define ARCH_HELPERS_H

#include <cdefs.h>
#include <stddef.h>
#include <stdint.h>



uint64_t read_cntpct_el0(void);
uint64_t read_cntfrq_el0(void);

static inline void flush_dcache_range(uintptr_t base, size_t size) { (void)base; (void)size; }
static inline void clean_dcache_range(uintptr_t base, size_t size) { (void)base; (void)size; }
static inline void dsbsy(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void wfi(void) { __builtin_trap(); }

#endif
