# SPDX-License-Identifier: MIT
#
# The root file system image, and its dm-verity hash tree.

BOOTSEAL_DEVICE = "${IMGDEPLOYDIR}/${IMAGE_BASENAME}"
BOOTSEAL_DEVICE[doc] = "The device's directory: parts under their final names, and device.json"

# What the initramfs mounts is erofs.
IMAGE_FSTYPES = "erofs-lz4hc wic"
# Equal input gives an equal file system: fixed UUID and times; and no extended attributes.
# nooelint: oelint.vars.specific - the override is an image type
EXTRA_IMAGECMD:erofs-lz4hc = "-T${REPRODUCIBLE_TIMESTAMP_ROOTFS} -U5ccf9482-7550-51f3-98d1-70e1c1ea2805 -x-1"

do_bootseal_verity() {
    # Nothing made of an older root must survive.
    rm -rf ${BOOTSEAL_DEVICE}
    mkdir -p ${BOOTSEAL_DEVICE}
    cp ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.erofs-lz4hc ${BOOTSEAL_DEVICE}/root.erofs
    bootseal device verity ${BOOTSEAL_DEVICE}
}
do_bootseal_verity[doc] = "Compute the dm-verity hash tree of the root file system"
do_bootseal_verity[depends] += "\
    cryptsetup-native:do_populate_sysroot \
    python3-bootseal-native:do_populate_sysroot \
"
addtask bootseal_verity after do_image_erofs_lz4hc before do_image_complete
