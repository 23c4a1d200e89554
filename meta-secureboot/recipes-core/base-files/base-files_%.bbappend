# SPDX-License-Identifier: MIT
# The root is read-only on dm-verity, so what is mounted over it is the layer's to say.
FILESEXTRAPATHS:prepend := "${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', '${THISDIR}/../bootseal-device/files:', '', d)}"
