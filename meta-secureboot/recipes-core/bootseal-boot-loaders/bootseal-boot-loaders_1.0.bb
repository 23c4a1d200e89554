# SPDX-License-Identifier: MIT
SUMMARY = "Has the two banks of boot loaders follow the release that runs"
DESCRIPTION = "For boards with a boot ROM of this layer: units and a script that write the boot loaders \
of a release to the bank that does not run, have them tried, and keep them once the system is good."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://boot-loaders \
    file://bootseal-boot-loaders.service \
    file://bootseal-boot-loaders-begin.service \
    file://bootseal-boot-loaders-give-up.service \
"

S = "${UNPACKDIR}"

inherit features_check systemd

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

do_install() {
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/*.service
    install -D -m 0755 -t ${D}${nonarch_libdir}/bootseal ${S}/boot-loaders
}

PACKAGE_ARCH = "${MACHINE_ARCH}"

SYSTEMD_SERVICE:${PN} = "\
    bootseal-boot-loaders.service \
    bootseal-boot-loaders-begin.service \
    bootseal-boot-loaders-give-up.service \
"

FILES:${PN} += "${nonarch_libdir}/bootseal ${systemd_system_unitdir}"

RDEPENDS:${PN} = "bootseal-device-data coreutils systemd"
