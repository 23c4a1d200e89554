# SPDX-License-Identifier: MIT
require debroot-image.inc

PACKAGE_INSTALL += "debroot-initramfs-modules"
