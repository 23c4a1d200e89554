# SPDX-License-Identifier: MIT
SUMMARY = "Example of a signed application: a socket that greets"
DESCRIPTION = "One static program, which is all of the application's image: it counts its starts, and tells them to \
each client. It is not part of any root file system."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "file://hello.c"

S = "${UNPACKDIR}"

inherit bootseal_app features_check

REQUIRED_DISTRO_FEATURES = "bootseal"

BOOTSEAL_APP_NAME = "hello"

CFLAGS += "-fPIE -fstack-protector-strong -Wall -Wextra"
LDFLAGS += "-static-pie -Wl,-z,relro,-z,now"

do_compile() {
    ${CC} ${CFLAGS} ${LDFLAGS} ${S}/hello.c -o hello
}

do_install() {
    install -D -m 0755 -t ${D}${bindir} hello
}
