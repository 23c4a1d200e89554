# SPDX-License-Identifier: MIT
SUMMARY = "Nothing: Debian's cross compiler finds Debian's C library by itself"
LICENSE = "MIT"
PV = "12.2"
PROVIDES += "virtual/libc virtual/compilerlibs"

inherit nopackages

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"
