# SPDX-License-Identifier: MIT
#
# Turns an image recipe into a device: a read-only root on dm-verity, a signed FIT, a disk with two
# slots. One recipe and one chain of tasks: rootfs, verity, FIT, policy, disk, device.json.

inherit core-image features_check bootseal_verity bootseal_fit bootseal_disk
inherit_defer ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'rom', 'bootseal_firmware', '', d)}
inherit_defer ${@'bootseal_sbom' if bb.data.inherits_class('create-spdx-3.0', d) else ''}
inherit_defer ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'modules', 'bootseal_modules', '', d)}

REQUIRED_DISTRO_FEATURES = "bootseal"

IMAGE_FEATURES += "read-only-rootfs"
IMAGE_LINGUAS = ""
# Packages cannot be installed on a root that never changes.
IMAGE_FEATURES:remove = "package-management"

# nooelint: oelint.task.noanonpython - a recipe can only be skipped while it is parsed
python __anonymous() {
    # The image itself is looked at when it is finished, by do_bootseal_check; this is sooner.
    if d.getVar("BOOTSEAL_PROFILE") != "production":
        return
    logins = bootseal_layer.image.logins(
        d.getVar("IMAGE_FEATURES").split(), d.getVar("IMAGE_INSTALL").split()
    )
    if logins:
        raise bb.parse.SkipRecipe(
            f"BOOTSEAL_PROFILE is production, and the image offers a login: {', '.join(logins)}"
        )
}
