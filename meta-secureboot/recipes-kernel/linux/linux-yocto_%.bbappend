# SPDX-License-Identifier: MIT
require ${@bb.utils.contains('DISTRO_FEATURES', 'secureboot', 'linux-secureboot.inc', '', d)}
