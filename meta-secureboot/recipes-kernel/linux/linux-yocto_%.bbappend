# SPDX-License-Identifier: MIT
require ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'linux-bootseal.inc', '', d)}
