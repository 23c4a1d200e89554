# SPDX-License-Identifier: MIT
SUMMARY = "Keeps the product's state on the encrypted data partition"
DESCRIPTION = "A mount unit for each place that BOOTSEAL_STATE declares, and the script that finds \
where it is in each boot: on the data partition, or in memory while that is closed."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://bootseal-state.service \
    file://state \
"

S = "${UNPACKDIR}"

inherit features_check systemd

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

# nooelint: oelint.task.noanonpython - a recipe can only be skipped while it is parsed
python __anonymous() {
    if not (d.getVar("BOOTSEAL_STATE") or "").split():
        raise bb.parse.SkipRecipe("BOOTSEAL_STATE declares nothing")
}

do_install() {
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/bootseal-state.service
    install -D -m 0755 -t ${D}${nonarch_libdir}/bootseal ${S}/state
}

# The same as bootseal's reference build makes: tools/bootseal/state.py.
python bootseal_state_files() {
    bootseal_layer.state.install(
        d.getVar("BOOTSEAL_STATE"), d.getVar("BOOTSEAL_SOURCE"), d.getVar("D")
    )
}
bootseal_state_files[doc] = "Write the mount units of the declared places"
do_install[postfuncs] += "bootseal_state_files"
do_install[file-checksums] += "${BOOTSEAL_SOURCE}/tools/bootseal/state.py:True"

PACKAGE_ARCH = "${MACHINE_ARCH}"

SYSTEMD_SERVICE:${PN} = "bootseal-state.service"

FILES:${PN} += "${nonarch_libdir}/bootseal ${systemd_system_unitdir}"

RDEPENDS:${PN} = "bootseal-device-data coreutils systemd util-linux-mount"
