# SPDX-License-Identifier: MIT
SUMMARY = "What OE-Core's recipe of dropbear has around Debian's programs"
LICENSE = "MIT"

inherit systemd

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

DEBROOT_UNITS = "${COREBASE}/meta/recipes-core/dropbear/dropbear"

do_install() {
    install -d ${D}${sbindir} ${D}${sysconfdir}/dropbear
    ln -s ../bin/dropbearkey ${D}${sbindir}/dropbearkey
    install -D -m 0644 ${DEBROOT_UNITS}/dropbear.default ${D}${sysconfdir}/default/dropbear
    install -d ${D}${systemd_system_unitdir}
    for unit in dropbearkey.service dropbear@.service dropbear.socket; do
        sed 's,@BASE_BINDIR@,${base_bindir},; s,@SBINDIR@,${sbindir},' ${DEBROOT_UNITS}/$unit \
            >${D}${systemd_system_unitdir}/$unit
    done
}

PACKAGES = "dropbear"
SYSTEMD_PACKAGES = "dropbear"
SYSTEMD_SERVICE:dropbear = "dropbear.socket"
FILES:dropbear = "${sbindir} ${systemd_system_unitdir} ${sysconfdir}"
RDEPENDS:dropbear = "dropbear-bin"
INSANE_SKIP:dropbear = "build-deps empty-dirs"
