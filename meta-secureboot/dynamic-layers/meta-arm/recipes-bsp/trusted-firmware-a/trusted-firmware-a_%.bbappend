# SPDX-License-Identifier: MIT
require ${@"recipes-bsp/trusted-firmware-a/trusted-firmware-a-bootseal.inc" if "rom" in (d.getVar("BOOTSEAL_REQUESTS") or "").split() else ""}
