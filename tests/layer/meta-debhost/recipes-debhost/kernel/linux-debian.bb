# SPDX-License-Identifier: MIT
SUMMARY = "The kernel of bootseal's reference device, deployed as a kernel recipe would"
DESCRIPTION = "Debian's signed kernel package holds it; nothing of it is compiled here."
LICENSE = "GPL-2.0-only"
PROVIDES += "virtual/kernel"

inherit deploy nopackages

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
deltask do_install
deltask do_populate_sysroot
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

do_deploy() {
    gzip -dc ${DEBHOST_DEVICE}/Image.gz >${DEPLOYDIR}/${KERNEL_IMAGETYPE}
}
do_deploy[file-checksums] += "${DEBHOST_DEVICE}/Image.gz:True"
addtask deploy before do_build
