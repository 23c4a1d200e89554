# SPDX-License-Identifier: MIT
require debhost-rootfs.inc

# The root of the reference device, with the layer's own units and scripts laid over it.
DEBHOST_SOURCE = "root.erofs"
DEBHOST_RECIPE = "bootseal-device"
DEBHOST_PACKAGES = "bootseal-device bootseal-device-data"
