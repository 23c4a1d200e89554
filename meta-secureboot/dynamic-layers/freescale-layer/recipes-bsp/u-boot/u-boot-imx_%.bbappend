# SPDX-License-Identifier: MIT
# nooelint: oelint.spaces.lineend - nothing is required without the feature
require ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'recipes-bsp/u-boot/u-boot-bootseal.inc', '', d)}
