# SPDX-License-Identifier: MIT
SUMMARY = "The key that identifies a secure boot device to TLS servers"
DESCRIPTION = "Makes the key in the TPM, proves it to bootseal, and makes a PKCS#11 token of it."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://bootseal-identity \
    file://bootseal-identity.service \
    file://identity-key.pem \
    file://identity.env \
    file://openssl.cnf \
"

S = "${UNPACKDIR}"

inherit features_check systemd

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

do_install() {
    install -D -m 0755 -t ${D}${bindir} ${S}/bootseal-identity
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/bootseal-identity.service
    install -D -m 0644 -t ${D}${nonarch_libdir}/bootseal ${S}/identity-key.pem ${S}/identity.env ${S}/openssl.cnf
    sed -i 's:/usr/lib/pkcs11:${libdir}/pkcs11:' ${D}${nonarch_libdir}/bootseal/openssl.cnf
}

BOOTSEAL_TOKEN_GROUP ?= "${@bb.utils.contains('BOOTSEAL_REQUESTS', 'greengrass', 'ggcore', '', d)}"
BOOTSEAL_TOKEN_GROUP[doc] = "Group that may use the identity key next to root; empty for none"

do_install:append() {
    if [ -n "${BOOTSEAL_TOKEN_GROUP}" ]; then
        echo "${BOOTSEAL_TOKEN_GROUP}" > ${D}${nonarch_libdir}/bootseal/token-group
    fi
}

PACKAGE_ARCH = "${MACHINE_ARCH}"

SYSTEMD_SERVICE:${PN} = "bootseal-identity.service"

FILES:${PN} += "${nonarch_libdir}/bootseal"

RDEPENDS:${PN} = "\
    bootseal-device-data \
    coreutils \
    openssl-bin \
    pkcs11-provider \
    sqlite3 \
    tpm2-pkcs11 \
    tpm2-tools \
    util-linux-flock \
"
