# SPDX-License-Identifier: MIT
#
# The disk after the declared layout, and device.json, which describes all of it.

WKS_FILE ?= "bootseal-ab.wks"
# Everything the layout names is in BOOTSEAL_DEVICE; no other boot loader is wanted.
WKS_FILE_DEPENDS = ""
DEPLOY_DIR_IMAGE:task-rootfs-wicenv = "${BOOTSEAL_DEVICE}"

BOOTSEAL_DATA_ROOM ?= "512M"
BOOTSEAL_DATA_ROOM[doc] = "Free space at the end of the disk file, for the partition made on first boot"
BOOTSEAL_LOGIN ?= "0"
BOOTSEAL_LOGIN[doc] = "1 for images that offer a root shell on their serial console"
BOOTSEAL_QEMU ?= ""
BOOTSEAL_QEMU[doc] = "Options of `bootseal device describe` that say how QEMU starts this machine"

# The backup of the partition table, 33 sectors, moves to the new end. Cut off first, nothing of it
# stays where it was, in space that belongs to no partition; sgdisk complains and makes it anew.
IMAGE_CMD:wic:append() {
    truncate --size=-16896 "$out.wic"
    truncate --size=+16896 "$out.wic"
    truncate --size=+${BOOTSEAL_DATA_ROOM} "$out.wic"
    sgdisk --move-second-header "$out.wic"
}

do_bootseal_policy() {
    cd ${BOOTSEAL_DEVICE}
    if ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'measured-boot', 'true', 'false', d)}; then
        bootseal measure sign fit.itb --key ${BOOTSEAL_KEYS}/${BOOTSEAL_POLICY_KEY}.key \
            -o tpm2-pcr-signature.json
    else
        echo '{}' >tpm2-pcr-signature.json
    fi
    bootseal device parts . --layout ${WKS_FULL_PATH}
}
do_bootseal_policy[doc] = "Predict and approve the measurements; lay out the boot partition"
do_bootseal_policy[file-checksums] += "${BOOTSEAL_KEY_CHECKSUMS} ${WKS_FILE_CHECKSUM}"
do_bootseal_policy[vardepsexclude] = "WKS_FULL_PATH"
do_bootseal_policy[depends] += "python3-bootseal-native:do_populate_sysroot"
addtask bootseal_policy after do_bootseal_fit before do_image_wic

do_bootseal_device() {
    cd ${BOOTSEAL_DEVICE}
    cp --sparse=always ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.wic disk.img
    bootseal device describe . --name ${IMAGE_BASENAME}-${MACHINE} --keys ${BOOTSEAL_KEYS} \
        --layout ${WKS_FULL_PATH} --layer ${BOOTSEAL_LAYER} \
        --manifest ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.manifest \
        ${@'--login' if d.getVar('BOOTSEAL_LOGIN') == '1' else '--no-login'} ${BOOTSEAL_QEMU}
}
do_bootseal_device[doc] = "Write device.json, which describes the whole directory"
do_bootseal_device[file-checksums] += "${BOOTSEAL_KEY_CHECKSUMS} ${WKS_FILE_CHECKSUM}"
do_bootseal_device[vardepsexclude] = "WKS_FULL_PATH"
do_bootseal_device[depends] += "python3-bootseal-native:do_populate_sysroot"
addtask bootseal_device after do_image_wic before do_image_complete
