# SPDX-License-Identifier: MIT
SUMMARY = "A product: an application on D-Bus, ssh, and the network and time of systemd"
LICENSE = "MIT"

inherit bootseal_image

IMAGE_INSTALL = "packagegroup-core-boot packagegroup-bootseal dbus dropbear product"
