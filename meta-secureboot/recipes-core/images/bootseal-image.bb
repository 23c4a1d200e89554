# SPDX-License-Identifier: MIT
require bootseal-image.inc

SUMMARY = "A device that starts only what its maker signed"
DESCRIPTION = "Signed FIT, read-only root on dm-verity, two slots, and an encrypted data partition \
that the TPM opens for approved boots. Nobody can log in."
