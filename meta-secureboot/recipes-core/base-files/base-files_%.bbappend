# SPDX-License-Identifier: MIT
require ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'base-files-bootseal.inc', '', d)}
