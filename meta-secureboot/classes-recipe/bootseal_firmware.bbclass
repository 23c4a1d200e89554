# SPDX-License-Identifier: MIT
#
# For boards with a boot ROM of this layer: the boot loader as a firmware image package, signed and
# verified in one task, so that nothing unverified can leave it.

BOOTSEAL_FIRMWARE_VERSION ?= "1"
BOOTSEAL_FIRMWARE_VERSION[doc] = "Security version of the boot loader: raise it to lock older ones out"

do_bootseal_firmware() {
    cd ${BOOTSEAL_DEVICE}
    cp ${DEPLOY_DIR_IMAGE}/trusted-firmware-a/bl1.bin rom.bin
    cp ${DEPLOY_DIR_IMAGE}/trusted-firmware-a/bl2.bin ${DEPLOY_DIR_IMAGE}/trusted-firmware-a/bl31.bin .
    bootseal firmware build --image tb-fw=bl2.bin --image soc-fw=bl31.bin --image nt-fw=u-boot.bin \
        -o firmware.fip
    bootseal firmware sign firmware.fip --keys ${BOOTSEAL_KEYS} \
        --counter ${BOOTSEAL_FIRMWARE_VERSION} --nt-counter ${BOOTSEAL_FIRMWARE_VERSION}
    # With the key whose hash is in the ROM.
    bootseal firmware verify firmware.fip --mrk ${BOOTSEAL_KEYS}/${BOOTSEAL_MRK_KEY}.pub
}
do_bootseal_firmware[doc] = "Assemble, sign and verify the firmware image package"
do_bootseal_firmware[file-checksums] += "${BOOTSEAL_FIRMWARE_KEY_CHECKSUMS}"
do_bootseal_firmware[depends] += "\
    python3-bootseal-native:do_populate_sysroot \
    trusted-firmware-a:do_deploy \
"
addtask bootseal_firmware after do_bootseal_fit before do_bootseal_policy
