# SPDX-License-Identifier: MIT
#
# debroot-debs reads which programs it has.
SYSROOT_DIRS:append = " ${sysconfdir}"
