# SPDX-License-Identifier: MIT
# nooelint: oelint.spaces.lineend - nothing is required unless a boot ROM was requested
require ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'rom', 'recipes-bsp/trusted-firmware-a/trusted-firmware-a-bootseal.inc', '', d)}
