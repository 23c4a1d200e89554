# SPDX-License-Identifier: MIT
SUMMARY = "What a secure boot device runs: slot state, encrypted data, status report"
DESCRIPTION = "Units and scripts that open the data partition, mark a slot as good and report the \
state of the device. bootseal's reference build installs the same files in the same places."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://50-data.conf \
    file://bootseal-attest \
    file://bootseal-cap.service \
    file://bootseal-data \
    file://bootseal-data.service \
    file://bootseal-good.service \
    file://bootseal-shell.service \
    file://bootseal-status \
    file://bootseal-status.service \
    file://check-header \
    file://clock-epoch \
    file://create-data \
    file://crypttab \
    file://data/bootseal-good.service \
    file://fetch-policy \
    file://fw_env-copy.config \
    file://fw_env.config \
    file://luks2 \
    file://mark-good \
    file://masked-units \
    file://measure.conf \
    file://rollback \
    file://slot-state \
    file://tpm \
    file://volume \
"

S = "${UNPACKDIR}"

inherit features_check systemd bootseal_keys

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

# Next to the files: the vendor's public policy key and escrow certificate, the units that must never
# start, and the mark that makes an image a development image.
do_install() {
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/*.service
    install -D -m 0644 -t ${D}${sysconfdir}/systemd/system ${S}/data/*.service
    sed -i 's,^TTYPath=/dev/ttyAMA0$,TTYPath=/dev/${BOOTSEAL_CONSOLE},' \
        ${D}${systemd_system_unitdir}/bootseal-shell.service
    install -D -m 0644 -t ${D}${systemd_system_unitdir}/systemd-cryptsetup@data.service.d ${S}/measure.conf
    install -D -m 0644 -t ${D}${nonarch_libdir} ${S}/clock-epoch
    install -D -m 0644 -t ${D}${nonarch_libdir}/repart.d ${S}/50-data.conf
    install -D -m 0755 -t ${D}${nonarch_libdir}/bootseal ${S}/check-header ${S}/create-data ${S}/fetch-policy ${S}/mark-good ${S}/rollback ${S}/volume
    install -D -m 0644 -t ${D}${nonarch_libdir}/bootseal ${S}/luks2 ${S}/slot-state ${S}/tpm
    install -D -m 0755 -t ${D}${bindir} ${S}/bootseal-attest ${S}/bootseal-data ${S}/bootseal-status
    install -D -m 0644 -t ${D}${sysconfdir} ${S}/crypttab ${S}/fw_env-copy.config ${S}/fw_env.config
    install -D -m 0644 ${BOOTSEAL_KEYS}/${BOOTSEAL_POLICY_KEY}.pub ${D}${systemd_unitdir}/tpm2-pcr-public-key.pem
    install -D -m 0644 ${BOOTSEAL_KEYS}/${BOOTSEAL_ESCROW_KEY}.crt ${D}${nonarch_libdir}/bootseal/escrow.crt
    touch ${D}${nonarch_libdir}/bootseal/development
    if [ -n "${BOOTSEAL_WATCHDOG}" ]; then
        install -d ${D}${systemd_unitdir}/system.conf.d
        printf '[Manager]\nRuntimeWatchdogSec=%s\n' "${BOOTSEAL_WATCHDOG}" >${D}${systemd_unitdir}/system.conf.d/50-bootseal-watchdog.conf
    fi
    install -d ${D}/data ${D}${sysconfdir}/systemd/system
    grep -v '^#' ${S}/masked-units | while read -r unit; do
        ln -s /dev/null ${D}${sysconfdir}/systemd/system/$unit
    done
}
do_install[file-checksums] += "${BOOTSEAL_KEY_CHECKSUMS}"

PACKAGE_ARCH = "${MACHINE_ARCH}"

PACKAGES =+ "${PN}-data ${PN}-development"

SYSTEMD_PACKAGES = "${PN} ${PN}-data ${PN}-development"
SYSTEMD_SERVICE:${PN} = "bootseal-good.service bootseal-status.service"
SYSTEMD_SERVICE:${PN}-data = "bootseal-cap.service bootseal-data.service"
SYSTEMD_SERVICE:${PN}-development = "bootseal-shell.service"

FILES:${PN} += "/data ${nonarch_libdir}/bootseal ${nonarch_libdir}/clock-epoch ${systemd_unitdir}"
FILES:${PN}-data = "\
    ${bindir}/bootseal-attest \
    ${bindir}/bootseal-data \
    ${nonarch_libdir}/repart.d/50-data.conf \
    ${nonarch_libdir}/bootseal/check-header \
    ${nonarch_libdir}/bootseal/create-data \
    ${nonarch_libdir}/bootseal/escrow.crt \
    ${nonarch_libdir}/bootseal/fetch-policy \
    ${nonarch_libdir}/bootseal/luks2 \
    ${nonarch_libdir}/bootseal/rollback \
    ${nonarch_libdir}/bootseal/tpm \
    ${nonarch_libdir}/bootseal/volume \
    ${sysconfdir}/crypttab \
    ${sysconfdir}/systemd/system/bootseal-good.service \
    ${sysconfdir}/systemd/system/systemd-repart.service \
    ${systemd_system_unitdir}/bootseal-cap.service \
    ${systemd_system_unitdir}/bootseal-data.service \
    ${systemd_system_unitdir}/systemd-cryptsetup@data.service.d/measure.conf \
    ${systemd_unitdir}/tpm2-pcr-public-key.pem \
"
FILES:${PN}-development = "\
    ${nonarch_libdir}/bootseal/development \
    ${systemd_system_unitdir}/bootseal-shell.service \
"

RDEPENDS:${PN} = "coreutils cryptsetup libdevmapper libubootenv-bin systemd util-linux-flock util-linux-lsblk"
RDEPENDS:${PN}-data = "${PN} e2fsprogs-mke2fs openssl-bin systemd-crypt tpm2-tools util-linux-blkdiscard"
RDEPENDS:${PN}-development = "${PN}"
# libubootenv asks for a description of U-Boot's environment; fw_env.config is it.
RPROVIDES:${PN} = "u-boot-default-env"
