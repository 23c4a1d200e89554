# SPDX-License-Identifier: MIT
#
# Turns an image recipe into a device: a read-only root on dm-verity, a signed FIT, a disk with two
# slots. One recipe and one chain of tasks: rootfs, verity, FIT, policy, disk, device.json.

inherit core-image features_check bootseal_verity bootseal_fit bootseal_disk

REQUIRED_DISTRO_FEATURES = "bootseal"

IMAGE_FEATURES += "read-only-rootfs"
IMAGE_LINGUAS = ""
# Packages cannot be installed on a root that never changes.
IMAGE_FEATURES:remove = "package-management"
