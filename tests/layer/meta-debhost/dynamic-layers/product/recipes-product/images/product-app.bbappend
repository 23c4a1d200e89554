# SPDX-License-Identifier: MIT
require recipes-bootseal/images/debhost-rootfs.inc

# Nothing of the reference device is in an application.
DEBHOST_SOURCE = "Image.gz"
DEBHOST_RECIPES = "bootseal-hello"
DEBHOST_PACKAGES = "bootseal-hello"
