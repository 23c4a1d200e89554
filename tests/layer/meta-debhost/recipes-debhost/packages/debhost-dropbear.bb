# SPDX-License-Identifier: MIT
SUMMARY = "Debian's dropbear with OE-Core's units, in the place of OE-Core's recipe"
LICENSE = "MIT"

inherit systemd

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

DEBHOST_UNITS = "${COREBASE}/meta/recipes-core/dropbear/dropbear"

do_install() {
    for package in dropbear-bin libtomcrypt1 libtommath1; do
        dpkg-deb --extract ${DEBHOST_DEBS}/${package}_*_arm64.deb ${B}/debian
    done
    install -D -m 0755 -t ${D}${sbindir} ${B}/debian/usr/sbin/dropbear ${B}/debian/usr/bin/dropbearkey
    install -d ${D}${nonarch_libdir} ${D}${systemd_system_unitdir} ${D}${sysconfdir}/default
    cp -P ${B}/debian/usr/lib/aarch64-linux-gnu/libtom*.so.* ${D}${nonarch_libdir}
    for unit in dropbearkey.service dropbear@.service dropbear.socket; do
        sed 's,@BASE_BINDIR@,${base_bindir},; s,@SBINDIR@,${sbindir},' ${DEBHOST_UNITS}/$unit \
            >${D}${systemd_system_unitdir}/$unit
    done
    # As image.bbclass has it on a read-only root.
    echo 'DROPBEAR_RSAKEY_DIR="/var/lib/dropbear"' >${D}${sysconfdir}/default/dropbear
}
do_install[cleandirs] += "${B}/debian"
do_install[vardepsexclude] = "DEBHOST_DEBS"

PACKAGES = "dropbear"
SYSTEMD_PACKAGES = "dropbear"
SYSTEMD_SERVICE:dropbear = "dropbear.socket"
FILES:dropbear = "${sbindir} ${nonarch_libdir} ${systemd_system_unitdir} ${sysconfdir}"
do_package_qa[noexec] = "1"
EXCLUDE_FROM_SHLIBS = "1"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
