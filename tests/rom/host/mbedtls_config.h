/* SPDX-License-Identifier: MIT */
/*
 * BL1's mbedtls, but for its heap: AddressSanitizer sees the ends of what malloc() gives, and not
 * those within one static buffer. And with both curves, of which a TF-A knows one.
 */

#include <drivers/auth/mbedtls/default_mbedtls_config.h>

#undef MBEDTLS_MEMORY_BUFFER_ALLOC_C
#define MBEDTLS_ECP_DP_SECP384R1_ENABLED
