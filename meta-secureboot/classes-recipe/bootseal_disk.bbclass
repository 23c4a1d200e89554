# SPDX-License-Identifier: MIT
#
# The disk after the declared layout, device.json, which describes all of it, and a last look.

BOOTSEAL_WKS ?= "bootseal-ab.wks"
BOOTSEAL_WKS[doc] = "Disk layout; its `file=` names are those of the device directory"
# Machines set WKS_FILE for the images they know, in a file that is read before this one.
WKS_FILE = "${BOOTSEAL_WKS}"
BOOTSEAL_ROOT_SIZE ?= "192M"
BOOTSEAL_ROOT_SIZE[doc] = "Of bootseal-ab.wks.in: size of each root file system's partition"
BOOTSEAL_VERITY_SIZE ?= "8M"
BOOTSEAL_VERITY_SIZE[doc] = "Of bootseal-ab.wks.in: size of each hash tree's, a 100th of BOOTSEAL_ROOT_SIZE and more"
BOOTSEAL_FIRMWARE_PART ?= ""
BOOTSEAL_FIRMWARE_PART[doc] = "Of bootseal-ab.wks.in: a line `part` with what the board's ROM reads"
BOOTSEAL_EXTRA_PARTS ?= ""
BOOTSEAL_EXTRA_PARTS[doc] = "Deployed files of the board that the layout names, such as imx-boot"
BOOTSEAL_EXTRA_PARTS_DEPENDS ?= ""
BOOTSEAL_EXTRA_PARTS_DEPENDS[doc] = "Tasks that deploy them, such as imx-boot:do_deploy"
# Everything the layout names is in BOOTSEAL_DEVICE; no other boot loader is wanted.
WKS_FILE_DEPENDS = ""
DEPLOY_DIR_IMAGE:task-rootfs-wicenv = "${BOOTSEAL_DEVICE}"

BOOTSEAL_DATA_ROOM ?= "512M"
BOOTSEAL_DATA_ROOM[doc] = "Free space at the end of the disk file, for the partition made on first boot"
BOOTSEAL_ALLOWLIST ?= ""
BOOTSEAL_ALLOWLIST[doc] = "File that says what the root may hold besides the usual: `bootseal disk check --allow`"
BOOTSEAL_FIRMWARE_BEFORE ?= ""
BOOTSEAL_FIRMWARE_BEFORE[doc] = "With a boot ROM: signed FIPs of the fleet, which start this release before its own are installed"
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
        keep=""
        for fip in ${BOOTSEAL_FIRMWARE_BEFORE}; do
            bootseal measure sign fit.itb --key ${BOOTSEAL_KEYS}/${BOOTSEAL_POLICY_KEY}.key \
                --u-boot "$fip" $keep -o tpm2-pcr-signature.json
            keep="--keep tpm2-pcr-signature.json"
        done
        bootseal measure sign fit.itb --key ${BOOTSEAL_KEYS}/${BOOTSEAL_POLICY_KEY}.key \
            ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'rom', '--u-boot firmware.fip', '', d)} \
            $keep -o tpm2-pcr-signature.json
    else
        echo '{}' >tpm2-pcr-signature.json
    fi
    bootseal device parts . --layout ${WKS_FULL_PATH}
    for file in ${BOOTSEAL_EXTRA_PARTS}; do
        cp --dereference "${DEPLOY_DIR_IMAGE}/$file" .
    done
}
do_bootseal_policy[doc] = "Predict and approve the measurements; lay out the boot partition"
do_bootseal_policy[file-checksums] += "${BOOTSEAL_KEY_CHECKSUMS} ${WKS_FILE_CHECKSUM}"
do_bootseal_policy[file-checksums] += "${@' '.join(f + ':True' for f in d.getVar('BOOTSEAL_FIRMWARE_BEFORE').split())}"
do_bootseal_policy[vardepsexclude] = "WKS_FULL_PATH"
do_bootseal_policy[depends] += "python3-bootseal-native:do_populate_sysroot ${BOOTSEAL_EXTRA_PARTS_DEPENDS}"
addtask bootseal_policy after do_bootseal_fit before do_image_wic

# nooelint: oelint.task.noanonpython - the task is there for some layouts only
python __anonymous() {
    # A template is a layout once it is filled in, which is done for wic alone.
    if d.getVar("BOOTSEAL_WKS").endswith(".in"):
        bb.build.addtask("do_write_wks_template", "do_bootseal_policy", "do_image", d)
}

do_bootseal_device() {
    cd ${BOOTSEAL_DEVICE}
    cp --sparse=always ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.wic disk.img
    bootseal device describe . --name ${IMAGE_BASENAME}-${MACHINE} --keys ${BOOTSEAL_KEYS} \
        --layout ${WKS_FULL_PATH} --layer ${BOOTSEAL_LAYER} \
        --manifest ${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.manifest ${BOOTSEAL_QEMU}
}
do_bootseal_device[doc] = "Write device.json, which describes the whole directory"
do_bootseal_device[file-checksums] += "${BOOTSEAL_KEY_CHECKSUMS} ${WKS_FILE_CHECKSUM}"
do_bootseal_device[vardepsexclude] = "WKS_FULL_PATH"
do_bootseal_device[depends] += "\
    erofs-utils-native:do_populate_sysroot \
    python3-bootseal-native:do_populate_sysroot \
    util-linux-native:do_populate_sysroot \
"
addtask bootseal_device after do_image_wic before do_image_complete

# The finished disk, checked as after delivery: U-Boot and each .config of it, the
# signatures, and what the root holds. Production images that offer a login end here.
do_bootseal_check() {
    # Not by bbfatal: with it bitbake would not print the log, which has the reasons.
    bootseal disk check ${BOOTSEAL_DEVICE} \
        ${@'--allow ' + d.getVar('BOOTSEAL_ALLOWLIST') if d.getVar('BOOTSEAL_ALLOWLIST') else ''} || exit 1
}
do_bootseal_check[doc] = "Refuse a disk that `bootseal disk check` refuses"
do_bootseal_check[file-checksums] += "${@'%s:True' % d.getVar('BOOTSEAL_ALLOWLIST') if d.getVar('BOOTSEAL_ALLOWLIST') else ''}"
do_bootseal_check[depends] += "\
    erofs-utils-native:do_populate_sysroot \
    python3-bootseal-native:do_populate_sysroot \
    util-linux-native:do_populate_sysroot \
"
addtask bootseal_check after do_bootseal_device before do_image_complete
