# SPDX-License-Identifier: MIT
#
# The FIT: kernel, initramfs, and a device tree for each slot that holds the root hash. Signed and
# verified in one task, so that nothing unverified can leave it.

inherit bootseal_keys

BOOTSEAL_INITRAMFS ?= "bootseal-initramfs"
BOOTSEAL_INITRAMFS[doc] = "Image recipe of the initramfs"
BOOTSEAL_KERNEL_ADDRESS ?= ""
BOOTSEAL_KERNEL_ADDRESS[doc] = "Where U-Boot unpacks the kernel; on arm64 a multiple of 2 MiB"
BOOTSEAL_UBOOT ?= "u-boot.bin"
BOOTSEAL_UBOOT[doc] = "Deployed file with U-Boot and its device tree, as it is flashed"
BOOTSEAL_BOARD_DTS ?= "${DEPLOY_DIR_IMAGE}/${@bootseal_layer.fit.device_tree(d.getVar('KERNEL_DEVICETREE'))}"
BOOTSEAL_BOARD_DTS[doc] = "Device tree of the board, source (.dts) or compiled (.dtb)"
BOOTSEAL_BOOTARGS ?= "${BOOTSEAL_LAYER}/recipes-bsp/u-boot/files/bootargs"
BOOTSEAL_BOOTARGS[doc] = "File with the kernel parameters; slot and root hash are added"
BOOTSEAL_ROLLBACK_INDEX ?= "1"
BOOTSEAL_ROLLBACK_INDEX[doc] = "Security version of the system: raise it to lock older images out"
BOOTSEAL_FIRMWARE_LOWEST ?= "${@bb.utils.contains('BOOTSEAL_REQUESTS', 'rom', d.getVar('BOOTSEAL_FIRMWARE_VERSION'), '', d)}"
BOOTSEAL_FIRMWARE_LOWEST[doc] = "With a boot ROM: lowest security version of the boot loaders that this release is approved with"

do_bootseal_fit() {
    cd ${BOOTSEAL_DEVICE}
    gzip -9nc ${DEPLOY_DIR_IMAGE}/${KERNEL_IMAGETYPE} >Image.gz
    cp ${DEPLOY_DIR_IMAGE}/${BOOTSEAL_INITRAMFS}-${MACHINE}.cpio.gz initramfs.cpio.gz
    cp ${DEPLOY_DIR_IMAGE}/${BOOTSEAL_UBOOT} u-boot.bin
    cp ${DEPLOY_DIR_IMAGE}/u-boot.dtb control.dtb
    # One, or one for each UBOOT_CONFIG.
    found=
    for config in ${DEPLOY_DIR_IMAGE}/u-boot.config ${DEPLOY_DIR_IMAGE}/u-boot-*.config; do
        if [ -e "$config" ]; then
            cp "$config" .
            found=yes
        fi
    done
    [ -n "$found" ] || bbfatal "U-Boot deployed no .config, so nothing can check it: require recipes-bsp/u-boot/u-boot-bootseal.inc in a bbappend of its recipe."

    [ -f ${BOOTSEAL_BOARD_DTS} ] || bbfatal "BOOTSEAL_BOARD_DTS is ${BOOTSEAL_BOARD_DTS}, which is not a file: set it to the device tree of the board, .dts or .dtb."
    # The layer's file names the console of its own board.
    sed 's/\<console=ttyAMA0\>/console=${BOOTSEAL_CONSOLE}/' ${BOOTSEAL_BOOTARGS} >bootargs
    bootseal device trees . --board ${BOOTSEAL_BOARD_DTS} --bootargs bootargs \
        --rollback-index ${BOOTSEAL_ROLLBACK_INDEX} \
        ${@'--firmware-version ' + d.getVar('BOOTSEAL_FIRMWARE_LOWEST') if d.getVar('BOOTSEAL_FIRMWARE_LOWEST') else ''}
    bootseal fit build --description "${IMAGE_BASENAME} ${DISTRO_VERSION} for ${MACHINE}" \
        --kernel Image.gz --ramdisk initramfs.cpio.gz --fdt a=fdt-a.dtb --fdt b=fdt-b.dtb \
        --load ${BOOTSEAL_KERNEL_ADDRESS} --hint ${BOOTSEAL_FIT_KEY} \
        --algorithm ${BOOTSEAL_FIT_ALGORITHM} -o fit.itb
    bootseal fit sign fit.itb --key ${BOOTSEAL_KEYS}/${BOOTSEAL_FIT_KEY}.key \
        --hint ${BOOTSEAL_FIT_KEY}

    # With the key of the U-Boot that will start this. Then a second opinion.
    bootseal fit verify fit.itb --dtb u-boot.bin
    uboot-fit_check_sign -f fit.itb -k control.dtb
}
do_bootseal_fit[doc] = "Assemble, sign and verify the FIT"
do_bootseal_fit[file-checksums] += "\
    ${BOOTSEAL_KEY_CHECKSUMS} \
    ${@'%s:True' % d.getVar('BOOTSEAL_BOOTARGS')} \
    ${@'%s:True' % d.getVar('BOOTSEAL_BOARD_DTS') if d.getVar('BOOTSEAL_BOARD_DTS').endswith('.dts') else ''} \
"
do_bootseal_fit[depends] += "\
    virtual/kernel:do_bootseal_config_check \
    virtual/kernel:do_deploy \
    virtual/bootloader:do_deploy \
    ${BOOTSEAL_INITRAMFS}:do_image_complete \
    dtc-native:do_populate_sysroot \
    python3-bootseal-native:do_populate_sysroot \
    u-boot-tools-native:do_populate_sysroot \
"
addtask bootseal_fit after do_bootseal_verity before do_image_complete
