# SPDX-License-Identifier: MIT
SUMMARY = "The init of a secure boot initramfs"
DESCRIPTION = "Opens the root whose dm-verity root hash stands in the signed kernel command line."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://init"

S = "${UNPACKDIR}"

inherit allarch features_check

REQUIRED_DISTRO_FEATURES = "bootseal"

do_install() {
    install -D -m 0755 ${S}/init ${D}/init
    install -d ${D}/dev ${D}/proc ${D}/run ${D}/sys ${D}/sysroot
}

FILES:${PN} = "/init /dev /proc /run /sys /sysroot"

RDEPENDS:${PN} = "busybox cryptsetup"
