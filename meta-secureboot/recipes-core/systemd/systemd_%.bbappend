# SPDX-License-Identifier: MIT
require ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'systemd-bootseal.inc', '', d)}
