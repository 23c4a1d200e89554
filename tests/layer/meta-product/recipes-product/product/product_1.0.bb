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

inherit systemd useradd

# The public key of who may log in over the network as the technician; nobody may without.
PRODUCT_LOGIN ?= ""

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --home-dir /home/technician --no-create-home --shell /bin/sh --user-group technician"

do_compile() {
    ${CC} ${CFLAGS} ${LDFLAGS} ${S}/product.c -o product -lsystemd
}

do_install() {
    install -D -m 0755 -t ${D}${bindir} product
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/product.service
    install -D -m 0644 -t ${D}${systemd_unitdir}/network ${S}/20-wired.network
    install -D -m 0644 -t ${D}${datadir}/dbus-1/system.d ${S}/com.example.Product.conf
    if [ -n "${PRODUCT_LOGIN}" ]; then
        install -d -m 0700 ${D}/home ${D}/home/technician ${D}/home/technician/.ssh
        echo '${PRODUCT_LOGIN}' >${D}/home/technician/.ssh/authorized_keys
        chmod 0600 ${D}/home/technician/.ssh/authorized_keys
        chmod 0755 ${D}/home
        chown -R technician:technician ${D}/home/technician
    fi
}

SYSTEMD_SERVICE:${PN} = "product.service"

FILES:${PN} += "${datadir}/dbus-1 ${systemd_unitdir}/network /home"

RDEPENDS:${PN} = "dbus"
