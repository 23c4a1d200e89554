# SPDX-License-Identifier: MIT
SUMMARY = "Of the presets of OE-Core's systemd, what the root of the reference device has use for"
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
    echo 'enable systemd-networkd.service' >${D}${systemd_unitdir}/system-preset/90-systemd.preset
    echo 'disable *' >${D}${systemd_unitdir}/system-preset/99-default.preset
}

PACKAGES = "${PN}"
FILES:${PN} = "${systemd_unitdir}"
