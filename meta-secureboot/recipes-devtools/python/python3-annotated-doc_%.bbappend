# SPDX-License-Identifier: MIT
# The signing tool runs on the build host.
BBCLASSEXTEND:append = " ${@bb.utils.contains('DISTRO_FEATURES', 'bootseal', 'native', '', d)}"
