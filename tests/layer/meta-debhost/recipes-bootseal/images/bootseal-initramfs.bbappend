# SPDX-License-Identifier: MIT
require debhost-rootfs.inc

DEBHOST_SOURCE = "initramfs.cpio.gz"
DEBHOST_RECIPE = "bootseal-initramfs-init"
DEBHOST_PACKAGES = "bootseal-initramfs-init"
