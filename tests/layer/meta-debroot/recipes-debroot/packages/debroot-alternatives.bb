# SPDX-License-Identifier: MIT
SUMMARY = "The package update-alternatives-opkg of OE-Core's opkg-utils, with a program of our own"
LICENSE = "MIT"

PROVIDES = "virtual/update-alternatives"

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

inherit allarch

DEBROOT_FILES := "${THISDIR}/../natives/files"

do_install() {
    install -D -m 0755 -t ${D}${bindir} ${DEBROOT_FILES}/update-alternatives
}
do_install[file-checksums] += "${DEBROOT_FILES}/update-alternatives:True"

PACKAGES = "update-alternatives-opkg"
FILES:update-alternatives-opkg = "${bindir}"

pkg_postrm:update-alternatives-opkg() {
    rm -rf $D${nonarch_libdir}/opkg/alternatives
    rmdir $D${nonarch_libdir}/opkg || true
}
