# SPDX-License-Identifier: MIT
#
# For U-Boot and kernels: every setting of every fragment of this layer must stand in the finished
# .config. A setting that Kconfig dropped ends the build.

BOOTSEAL_CONFIG_FRAGMENTS ?= ""
BOOTSEAL_CONFIG_FRAGMENTS[doc] = "Files in UNPACKDIR whose settings must stand in the .config"

python do_bootseal_config_check() {
    from pathlib import Path

    unpacked = Path(d.getVar("UNPACKDIR"))
    fragments = {
        name: (unpacked / name).read_text()
        for name in (d.getVar("BOOTSEAL_CONFIG_FRAGMENTS") or "").split()
    }
    if not fragments:
        bb.fatal("BOOTSEAL_CONFIG_FRAGMENTS is empty: name the fragments that must hold")
    build = Path(d.getVar("B"))
    # U-Boot recipes with several UBOOT_CONFIG have one directory for each.
    configs = [build / ".config"] if (build / ".config").exists() else sorted(build.glob("*/.config"))
    if not configs:
        bb.fatal(f"there is no .config in {build}: nothing was configured")
    for config in configs:
        lost = bootseal_layer.kconfig.lost(config.read_text(), fragments)
        if lost:
            bb.fatal(
                f"{config} differs from the fragments of secure boot:\n  "
                + "\n  ".join(lost)
                + "\nA dependency of the symbol is off, or another fragment decides otherwise:"
                f" bitbake -c menuconfig {d.getVar('PN')} and search for it with /"
            )
}
do_bootseal_config_check[doc] = "Compare the finished .config with the fragments"
addtask bootseal_config_check after do_configure before do_compile
