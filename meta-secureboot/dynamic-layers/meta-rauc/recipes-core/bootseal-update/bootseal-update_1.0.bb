# SPDX-License-Identifier: MIT
SUMMARY = "Updates of a secure boot device by RAUC"
DESCRIPTION = "The configuration of RAUC: slots, keyring, who may ask it, when it runs, the boot loader \
backend over the slot state that U-Boot reads, what refuses a bundle before anything is written, and \
what restarts a release that is not found good."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://bootseal-fall-back.service \
    file://bootseal-fall-back.timer \
    file://de.pengutronix.rauc.conf \
    file://fall-back \
    file://rauc-backend \
    file://rauc-pre-install \
    file://rauc-service.conf \
    file://read-fit \
    file://system.conf.in \
"

S = "${UNPACKDIR}"

inherit features_check systemd bootseal_keys

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

do_install() {
    install -D -m 0755 -t ${D}${nonarch_libdir}/bootseal ${S}/fall-back ${S}/rauc-backend ${S}/rauc-pre-install ${S}/read-fit
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/bootseal-fall-back.service ${S}/bootseal-fall-back.timer
    install -D -m 0644 -t ${D}${datadir}/dbus-1/system.d ${S}/de.pengutronix.rauc.conf
    install -D -m 0644 -t ${D}${systemd_system_unitdir}/rauc.service.d ${S}/rauc-service.conf
    install -D -m 0644 ${BOOTSEAL_KEYS}/${BOOTSEAL_UPDATE_CA_KEY}.crt ${D}${nonarch_libdir}/bootseal/update-ca.crt
    install -D -m 0644 ${S}/system.conf.in ${D}${sysconfdir}/rauc/system.conf
    sed -i 's/@COMPATIBLE@/${BOOTSEAL_COMPATIBLE}/' ${D}${sysconfdir}/rauc/system.conf
}
do_install[file-checksums] += "${BOOTSEAL_UPDATE_KEY_CHECKSUMS}"

PACKAGE_ARCH = "${MACHINE_ARCH}"

SYSTEMD_SERVICE:${PN} = "bootseal-fall-back.timer"

FILES:${PN} += "${datadir}/dbus-1 ${nonarch_libdir}/bootseal ${systemd_system_unitdir}"

RDEPENDS:${PN} = "\
    bootseal-device-data \
    coreutils \
    grep \
    libubootenv-bin \
    openssl-bin \
    rauc \
    rauc-service \
"
# In the place of meta-rauc's example, and of what says that a slot is good.
RPROVIDES:${PN} = "virtual-rauc-conf"
RCONFLICTS:${PN} = "rauc-conf rauc-mark-good"
