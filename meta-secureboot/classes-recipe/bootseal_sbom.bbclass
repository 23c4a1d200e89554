# SPDX-License-Identifier: MIT
#
# The device in the bill of materials of its image: what OE's own leaves out, as it is only in the
# device's directory. It is added to OE's document of the image, so that IMAGE_NAME.spdx.json has it,
# and whatever reads that: with U-Boot, Trusted Firmware-A and the kernel come their recipes, and with
# the initramfs what was installed in it.

python bootseal_sbom() {
    bootseal_layer.sbom.extend(d)
}
bootseal_sbom[doc] = "Add the device to the document of the image"
bootseal_layer.sbom._recipes[vardepsexclude] = "BB_TASKDEPDATA"

do_create_image_spdx[postfuncs] += "bootseal_sbom"
do_create_image_spdx[file-checksums] += "${BOOTSEAL_SOURCE}/tools/bootseal/evidence/parts.py:True"
do_create_image_spdx[depends] += "\
    virtual/bootloader:do_create_spdx \
    virtual/kernel:do_create_spdx \
    ${BOOTSEAL_INITRAMFS}:do_create_image_spdx \
    ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'rom', 'trusted-firmware-a:do_create_spdx', '', d)} \
"
