# SPDX-License-Identifier: MIT
require ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'recipes-kernel/linux/linux-bootseal.inc', '', d)}
