# SPDX-License-Identifier: MIT
SUMMARY = "TPM 2.0 user space of a secure boot device"
DESCRIPTION = "Tools, PKCS#11 and OpenSSL access to the TPM, for applications with keys in it."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"

PACKAGE_ARCH = "${TUNE_PKGARCH}"

inherit packagegroup features_check

REQUIRED_DISTRO_FEATURES = "bootseal"

RDEPENDS:${PN} = "\
    libtss2-tcti-device \
    tpm2-openssl \
    tpm2-pkcs11 \
    tpm2-tools \
    tpm2-tss \
"
