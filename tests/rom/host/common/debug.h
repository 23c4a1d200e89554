/* SPDX-License-Identifier: MIT */
/* The console of the program is its standard error output. */

#ifndef DEBUG_H
#define DEBUG_H

#include <stdio.h>
#include <stdlib.h>

#include <lib/utils_def.h>

#define SAY(...)	((void)fprintf(stderr, __VA_ARGS__))
#define ERROR		SAY
#define NOTICE		SAY
#define WARN		SAY
#define INFO(...)	((void)0)
#define VERBOSE(...)	((void)0)
#define panic()		abort()

#endif
