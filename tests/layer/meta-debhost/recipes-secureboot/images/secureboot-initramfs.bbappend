# SPDX-License-Identifier: MIT
require debhost-rootfs.inc

DEBHOST_SOURCE = "initramfs.cpio.gz"
DEBHOST_RECIPE = "secureboot-initramfs-init"
DEBHOST_PACKAGES = "secureboot-initramfs-init"
