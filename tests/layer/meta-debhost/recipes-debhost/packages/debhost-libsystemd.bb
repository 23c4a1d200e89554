# SPDX-License-Identifier: MIT
SUMMARY = "Debian's libsystemd, to compile and link with"
LICENSE = "LGPL-2.1-or-later"

PROVIDES = "systemd"

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

do_install() {
    for package in libsystemd0 libsystemd-dev; do
        dpkg-deb --extract ${DEBHOST_DEBS}/${package}_*_arm64.deb ${B}/debian
    done
    install -d ${D}${libdir} ${D}${includedir}
    cp -P ${B}/debian/usr/lib/aarch64-linux-gnu/libsystemd.so* ${D}${libdir}
    cp -r --no-preserve=ownership ${B}/debian/usr/include/systemd ${D}${includedir}
}
do_install[cleandirs] += "${B}/debian"
do_install[vardepsexclude] = "DEBHOST_DEBS"

# The library is in the root of the reference device; the package is there for packaging to find it.
PACKAGES = "${PN} ${PN}-dev"
FILES:${PN} = "${libdir}/libsystemd.so.*"
FILES:${PN}-dev = "${libdir}/libsystemd.so ${includedir}"
do_package_qa[noexec] = "1"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
