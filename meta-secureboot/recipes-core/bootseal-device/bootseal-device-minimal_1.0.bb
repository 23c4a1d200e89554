# SPDX-License-Identifier: MIT
SUMMARY = "Keeps everything off that the reference device does not need"
DESCRIPTION = "A preset that ends in `disable *`, masks for units of systemd, a udev that leaves out \
terminals, and the address on the test bench. For bootseal's own images: services of a product would stay off without a word."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://10-bench.network \
    file://20-bench-dhcp.network \
    file://90-bootseal.preset \
    file://bus-masked-units \
    file://minimal-masked-units \
    file://udev-trigger.conf \
"

S = "${UNPACKDIR}"

inherit allarch features_check

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

# RAUC is asked over D-Bus, and so is systemd for the check of an application; nothing else needs it.
BOOTSEAL_MASKED = "minimal-masked-units ${@bb.utils.contains_any('BOOTSEAL_REQUESTS', 'updates apps', '', 'bus-masked-units', d)}"

# The first profile that matches counts: the one with an address, unless it is left out.
BOOTSEAL_BENCH_DHCP ?= "0"
BOOTSEAL_BENCH_DHCP[doc] = "1: an image for the test bench asks for its address by DHCP"

do_install() {
    install -D -m 0644 -t ${D}${systemd_unitdir}/network ${S}/20-bench-dhcp.network
    if [ "${BOOTSEAL_BENCH_DHCP}" != 1 ]; then
        install -m 0644 -t ${D}${systemd_unitdir}/network ${S}/10-bench.network
    fi
    install -D -m 0644 -t ${D}${systemd_unitdir}/system-preset ${S}/90-bootseal.preset
    install -D -m 0644 -t ${D}${systemd_system_unitdir}/systemd-udev-trigger.service.d ${S}/udev-trigger.conf
    install -d ${D}${sysconfdir}/systemd/system
    for list in ${BOOTSEAL_MASKED}; do
        grep -v '^#' ${S}/$list | while read -r unit; do
            ln -s /dev/null ${D}${sysconfdir}/systemd/system/$unit
        done
    done
}

FILES:${PN} += "${systemd_unitdir}"

RDEPENDS:${PN} = "systemd"
