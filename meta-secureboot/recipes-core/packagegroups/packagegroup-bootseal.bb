# SPDX-License-Identifier: MIT
SUMMARY = "What every secure boot image holds"
DESCRIPTION = "The device's units and scripts, and what the product requested."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup features_check

REQUIRED_DISTRO_FEATURES = "bootseal"

# kernel-base holds the list of built-in modules, which modprobe asks for.
RDEPENDS:${PN} = "\
    ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'apps', 'bootseal-app', '', d)} \
    ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'encrypted-data rom', 'bootseal-boot-loaders', '', d)} \
    bootseal-device \
    ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'encrypted-data', 'bootseal-device-data', '', d)} \
    ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'updates', 'bootseal-update', '', d)} \
    kernel-base \
    ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'greengrass', 'packagegroup-bootseal-greengrass', '', d)} \
"
# What keeps nothing has no use for it.
# nooelint: oelint.vars.dependsordered - a line of its own for what is there under a condition of its own
RDEPENDS:${PN} += "${@'bootseal-state' if (d.getVar('BOOTSEAL_STATE') or '').split() else ''}"
