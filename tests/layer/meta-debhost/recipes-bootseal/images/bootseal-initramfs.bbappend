# SPDX-License-Identifier: MIT
require debhost-rootfs.inc

DEBHOST_SOURCE = "initramfs.cpio.gz"
DEBHOST_RECIPES = "bootseal-initramfs-init"
DEBHOST_PACKAGES = "bootseal-initramfs-init"
