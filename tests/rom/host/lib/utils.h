/* SPDX-License-Identifier: MIT */

#ifndef UTILS_H
#define UTILS_H

#include <string.h>

#define zeromem(memory, size)		((void)memset((memory), 0, (size)))
#define zero_normalmem(memory, size)	((void)memset((memory), 0, (size)))

#endif
