# SPDX-License-Identifier: MIT
SUMMARY = "Debian's cross compiler under the names OpenEmbedded gives it"
LICENSE = "GPL-3.0-only"
PV = "12.2"
PROVIDES += "virtual/cross-cc virtual/cross-c++ virtual/cross-binutils binutils-cross-aarch64"

inherit cross

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"
INHIBIT_SYSROOT_STRIP = "1"

do_install() {
    install -d ${D}${bindir}
    for program in /usr/bin/aarch64-linux-gnu-*; do
        ln -s $program ${D}${bindir}/${TARGET_PREFIX}$(basename $program | sed "s/^aarch64-linux-gnu-//")
    done
}
