# SPDX-License-Identifier: MIT
SUMMARY = "An application with a name on D-Bus and a secret of its own"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://20-wired.network \
    file://com.example.Product.conf \
    file://product.c \
    file://product.service \
"

S = "${UNPACKDIR}"

DEPENDS = "systemd"

inherit systemd

do_compile() {
    ${CC} ${CFLAGS} ${LDFLAGS} ${S}/product.c -o product -lsystemd
}

do_install() {
    install -D -m 0755 -t ${D}${bindir} product
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/product.service
    install -D -m 0644 -t ${D}${systemd_unitdir}/network ${S}/20-wired.network
    install -D -m 0644 -t ${D}${datadir}/dbus-1/system.d ${S}/com.example.Product.conf
}

SYSTEMD_SERVICE:${PN} = "product.service"

FILES:${PN} += "${datadir}/dbus-1 ${systemd_unitdir}/network"

RDEPENDS:${PN} = "dbus"
