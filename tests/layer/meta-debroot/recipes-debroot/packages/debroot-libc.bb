# SPDX-License-Identifier: MIT
SUMMARY = "Debian's C library, which is needed to build the other recipes, and so should not change"
LICENSE = "LGPL-2.1-or-later"

PROVIDES = "virtual/libc virtual/crypt"

DEBROOT_WANTED = "libc6 libcrypt-dev libcrypt1 libgcc-s1"

require debroot-debs.inc
