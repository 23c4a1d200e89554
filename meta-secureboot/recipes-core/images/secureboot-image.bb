# SPDX-License-Identifier: MIT
SUMMARY = "A device that starts only what its maker signed"
DESCRIPTION = "Signed FIT, read-only root on dm-verity, two slots, and an encrypted data partition \
that the TPM opens for approved boots. Nobody can log in."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"

IMAGE_INSTALL = "packagegroup-core-boot packagegroup-secureboot"

inherit secureboot_image
