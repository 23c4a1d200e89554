# SPDX-License-Identifier: MIT
#
# For U-Boot and kernels: the finished .config must have every setting of every fragment. What
# Kconfig dropped ends the build, and so does a fragment of the board that contradicts the layer's. Of
# U-Boot, whole families are off: places for the environment, commands, file systems, networks.

BOOTSEAL_CONFIG_DIR ?= ""
BOOTSEAL_CONFIG_DIR[doc] = "Directory of the layer with the required fragments"
BOOTSEAL_CONFIG_REQUIRED ?= ""
BOOTSEAL_CONFIG_REQUIRED[doc] = "The layer's fragments, whose settings must hold"
BOOTSEAL_CONFIG_BOARD ?= ""
BOOTSEAL_CONFIG_BOARD[doc] = "The board's fragments, in UNPACKDIR; they may only add settings"
BOOTSEAL_CONFIG_OPTIONS ?= ""
BOOTSEAL_CONFIG_OPTIONS[doc] = "Further options of `bootseal device config`"

# The required fragments are read where the layer has them: a file of the same name, found earlier
# in FILESPATH, does not take their place in the check.
do_bootseal_config_check() {
    set -- ${BOOTSEAL_CONFIG_OPTIONS}
    for fragment in ${BOOTSEAL_CONFIG_REQUIRED}; do
        set -- "$@" --required "${BOOTSEAL_CONFIG_DIR}/$fragment"
    done
    for fragment in ${BOOTSEAL_CONFIG_BOARD}; do
        set -- "$@" --board "${UNPACKDIR}/$fragment"
    done
    # U-Boot recipes with several UBOOT_CONFIG have one directory for each.
    checked=
    for config in ${B}/.config ${B}/*/.config; do
        if [ -e "$config" ]; then
            # Not by bbfatal: with it bitbake would not print the log, which has the reasons.
            if ! bootseal device config "$@" "$config"; then
                echo "To look at the symbols: bitbake -c menuconfig ${PN}"
                exit 1
            fi
            checked=yes
        fi
    done
    [ -n "$checked" ] || bbfatal "There is no .config in ${B}: nothing was configured."
}
do_bootseal_config_check[doc] = "Compare the finished .config with the fragments"
do_bootseal_config_check[file-checksums] += "\
    ${@' '.join('${BOOTSEAL_CONFIG_DIR}/' + f + ':True' for f in d.getVar('BOOTSEAL_CONFIG_REQUIRED').split())} \
"
do_bootseal_config_check[depends] += "python3-bootseal-native:do_populate_sysroot"
addtask bootseal_config_check after do_configure before do_compile
