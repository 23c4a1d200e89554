# SPDX-License-Identifier: MIT
require ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'u-boot-bootseal.inc', '', d)}
