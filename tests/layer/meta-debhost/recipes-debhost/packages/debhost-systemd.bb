# SPDX-License-Identifier: MIT
SUMMARY = "The last preset of OE-Core's systemd, which that of the reference device lacks"
LICENSE = "MIT"

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

do_install() {
    install -d ${D}${systemd_unitdir}/system-preset
    echo 'disable *' >${D}${systemd_unitdir}/system-preset/99-default.preset
}

PACKAGES = "${PN}"
FILES:${PN} = "${systemd_unitdir}"
