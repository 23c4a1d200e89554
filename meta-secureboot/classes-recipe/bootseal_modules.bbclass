# SPDX-License-Identifier: MIT
#
# For image recipes: the kernel modules in the root file system are signed once it is complete, those
# of other recipes than the kernel's as well. By then all of them are stripped.

inherit bootseal_keys

bootseal_modules_sign() {
    modules=${IMAGE_ROOTFS}${nonarch_base_libdir}/modules
    # An initramfs often has none.
    if [ -n "$(find "$modules" -type f -name '*.ko*' 2>/dev/null | head -n 1)" ]; then
        bootseal modules sign "$modules" --keys ${BOOTSEAL_KEYS}
        # As the kernel will.
        bootseal modules check "$modules" --keys ${BOOTSEAL_KEYS}
    fi
}
bootseal_modules_sign[doc] = "Sign the kernel modules of a root file system"

ROOTFS_POSTPROCESS_COMMAND:append = " bootseal_modules_sign"
do_rootfs[file-checksums] += "${BOOTSEAL_MODULES_KEY_CHECKSUMS}"
do_rootfs[depends] += "python3-bootseal-native:do_populate_sysroot"
