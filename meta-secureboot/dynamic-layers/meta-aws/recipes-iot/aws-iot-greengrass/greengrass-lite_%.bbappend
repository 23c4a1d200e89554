# SPDX-License-Identifier: MIT
require ${@"greengrass-lite-bootseal.inc" if "greengrass" in (d.getVar("BOOTSEAL_REQUESTS") or "").split() else ""}
