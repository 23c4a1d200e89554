# SPDX-License-Identifier: MIT
require bootseal-image.inc

SUMMARY = "The secure boot image with a root shell on its serial console"
DESCRIPTION = "For trying and debugging. A device with this image gives its data to everyone who \
reaches its console; it is refused where BOOTSEAL_PROFILE is production."

IMAGE_INSTALL += "bootseal-device-development"
