/* SPDX-License-Identifier: MIT */
/* Layouts that assembler code relies on, and a host has none of that. */

#define CASSERT(condition, name)
