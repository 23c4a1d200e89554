# SPDX-License-Identifier: MIT
require debhost-device.inc

DEBHOST_RECIPES += "bootseal-state debhost-dropbear product"
DEBHOST_PACKAGES += "bootseal-state dropbear product"
