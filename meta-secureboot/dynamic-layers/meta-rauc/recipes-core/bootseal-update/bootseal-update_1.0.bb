# SPDX-License-Identifier: MIT
SUMMARY = "What connects RAUC with the slot state of a secure boot device"
DESCRIPTION = "The custom boot loader backend of RAUC over the slot state that U-Boot reads."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://rauc-backend"

S = "${UNPACKDIR}"

inherit features_check

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

do_install() {
    install -D -m 0755 -t ${D}${nonarch_libdir}/bootseal ${S}/rauc-backend
}

FILES:${PN} += "${nonarch_libdir}/bootseal"

RDEPENDS:${PN} = "\
    bootseal-device \
    libubootenv-bin \
    rauc \
"
