/* SPDX-License-Identifier: MIT */
/* What TF-A's own C library adds to a system's. */

#ifndef CDEFS_H
#define CDEFS_H

#include <stdint.h>

typedef uint64_t u_register_t;

#define EAUTH		80

#define __unused	__attribute__((__unused__))
#define __maybe_unused	__attribute__((__unused__))
#define __dead2		__attribute__((__noreturn__))
#define __aligned(x)	__attribute__((__aligned__(x)))
#define __packed	__attribute__((__packed__))
#define __section(x)	__attribute__((__section__(x)))
#define __used		__attribute__((__used__))
#define __fallthrough	__attribute__((__fallthrough__))
#define __printflike(a, b)

#endif
