# SPDX-License-Identifier: MIT
SUMMARY = "AWS IoT Greengrass nucleus lite with the identity key of a secure boot device"
DESCRIPTION = "The nucleus, its configuration, the key's PKCS#11 token, and the certificates of servers."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup features_check

REQUIRED_DISTRO_FEATURES = "bootseal"

# As bootseal-greengrass, which it installs.
EXCLUDE_FROM_WORLD = "1"

RDEPENDS:${PN} = "\
    bootseal-greengrass \
    bootseal-identity \
    ca-certificates \
    greengrass-lite \
"
