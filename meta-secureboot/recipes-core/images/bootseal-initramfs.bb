# SPDX-License-Identifier: MIT
SUMMARY = "Initramfs that opens the root file system on dm-verity, or restarts"
DESCRIPTION = "busybox, veritysetup and one script, which knows the root hash from the signed \
kernel command line. No shell is ever offered."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"

# Only what is named: no package manager, no device manager, no kernel.
PACKAGE_INSTALL = "bootseal-initramfs-init"
NO_RECOMMENDATIONS = "1"
PACKAGE_EXCLUDE = "kernel-image-*"
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_FSTYPES = "cpio.gz"
IMAGE_NAME_SUFFIX = ""

inherit core-image features_check
inherit_defer ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'modules', 'bootseal_modules', '', d)}

REQUIRED_DISTRO_FEATURES = "bootseal"

IMAGE_ROOTFS_SIZE = "8192"
IMAGE_ROOTFS_EXTRA_SPACE = "0"
ROOTFS_BOOTSTRAP_INSTALL = ""
