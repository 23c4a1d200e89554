# SPDX-License-Identifier: MIT
# nooelint: oelint.spaces.lineend - nothing is required without the feature
require ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'recipes-kernel/linux/linux-bootseal.inc', '', d)}
