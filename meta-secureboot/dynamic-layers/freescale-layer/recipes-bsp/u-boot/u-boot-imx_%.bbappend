# SPDX-License-Identifier: MIT
require ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'recipes-bsp/u-boot/u-boot-bootseal.inc', '', d)}
