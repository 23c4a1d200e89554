# SPDX-License-Identifier: MIT
SUMMARY = "A product's image: this layer, and services that it knows nothing of"
LICENSE = "MIT"

inherit bootseal_image
require recipes-bootseal/images/debhost-device.inc

DEBHOST_RECIPES += "foreign-services"
DEBHOST_PACKAGES += "foreign-services foreign-dbus foreign-network"
