# SPDX-License-Identifier: MIT
#
# debroot-libc has the C library.
PROVIDES:remove = "virtual/libc"
