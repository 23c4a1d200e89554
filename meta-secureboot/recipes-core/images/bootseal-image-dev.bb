# SPDX-License-Identifier: MIT
require bootseal-image.inc

SUMMARY = "The secure boot image with a root shell on its serial console"
DESCRIPTION = "For trying and debugging. A device with this image gives its data to everyone who \
reaches its console; it is refused where BOOTSEAL_PROFILE is production."

IMAGE_INSTALL += "bootseal-device-development"
BOOTSEAL_LOGIN = "1"

# nooelint: oelint.task.noanonpython - a recipe can only be skipped while it is parsed
python __anonymous() {
    if d.getVar("BOOTSEAL_PROFILE") == "production":
        raise bb.parse.SkipRecipe(
            "it offers a root shell and BOOTSEAL_PROFILE is production: build bootseal-image"
        )
}
