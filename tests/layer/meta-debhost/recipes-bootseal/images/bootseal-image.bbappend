# SPDX-License-Identifier: MIT
require debhost-device.inc

DEBHOST_RECIPES += "bootseal-device-minimal"
DEBHOST_PACKAGES += "bootseal-device-minimal"
