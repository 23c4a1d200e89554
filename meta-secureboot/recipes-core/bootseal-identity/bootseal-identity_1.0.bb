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
    file://token-group \
"

S = "${UNPACKDIR}"

inherit features_check systemd useradd

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

do_install() {
    install -D -m 0755 -t ${D}${bindir} ${S}/bootseal-identity
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/bootseal-identity.service
    install -D -m 0644 -t ${D}${nonarch_libdir}/bootseal ${S}/identity-key.pem ${S}/identity.env ${S}/openssl.cnf ${S}/token-group
    sed -i 's:/usr/lib/pkcs11:${libdir}/pkcs11:' ${D}${nonarch_libdir}/bootseal/openssl.cnf
}

# Nobody is in it: units that use the key have it as a supplementary group.
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system bootseal-token"

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
