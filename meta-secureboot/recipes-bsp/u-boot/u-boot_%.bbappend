# SPDX-License-Identifier: MIT
require ${@bb.utils.contains('DISTRO_FEATURES', 'secureboot', 'u-boot-secureboot.inc', '', d)}
