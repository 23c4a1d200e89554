# SPDX-License-Identifier: MIT
SUMMARY = "The key that identifies a secure boot device to TLS servers"
DESCRIPTION = "Makes the key in the TPM, proves it to bootseal, and makes a PKCS#11 token of it."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://bootseal-identity"

S = "${UNPACKDIR}"

inherit features_check

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

do_install() {
    install -D -m 0755 -t ${D}${bindir} ${S}/bootseal-identity
}

PACKAGE_ARCH = "${MACHINE_ARCH}"

RDEPENDS:${PN} = "bootseal-device-data coreutils openssl-bin sqlite3 tpm2-pkcs11 tpm2-tools"
