# SPDX-License-Identifier: MIT
#
# What the layer needs of U-Boot is in recipes-bsp/u-boot; here is what meta-raspberrypi has
# otherwise. 16 MiB, its limit for a kernel, are less than its kernels have.
SRC_URI:remove:raspberrypi4 = "${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'file://maxsize.cfg', '', d)}"
