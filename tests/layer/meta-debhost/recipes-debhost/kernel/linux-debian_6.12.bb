# SPDX-License-Identifier: MIT
SUMMARY = "Linux from Debian's package of its sources, configured and compiled here"
DESCRIPTION = "Stands in for linux-yocto: kernel.bbclass builds it, with the fragments of the layer."
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://COPYING;md5=6bc538ed5bd9a7fc9398086aedcd7e46"

DEBHOST_KERNEL ?= "/usr/src/linux-source-6.12.tar.xz"
# nooelint: oelint.vars.fileextrapaths - a package of the host
FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
SRC_URI = "file://${DEBHOST_KERNEL} file://base.cfg"

LINUX_VERSION = "${PV}"

inherit kernel
S = "${UNPACKDIR}/linux-source-6.12"
require recipes-kernel/linux/linux-bootseal.inc

# Everything that no fragment asks for stays off.
do_configure:prepend() {
    (cd ${UNPACKDIR} && cat base.cfg ${BOOTSEAL_CONFIG_REQUIRED} ${BOOTSEAL_CONFIG_BOARD}) >${B}/wanted.cfg
}
KERNEL_CONFIG_COMMAND = "oe_runmake_call -C ${S} O=${B} KCONFIG_ALLCONFIG=${B}/wanted.cfg allnoconfig"
# No modules are built, nor anything to build them with.
do_clean[depends] = ""
