# SPDX-License-Identifier: MIT
require foreign-image.bb

SUMMARY = "A product's image that ends up with an empty root password, which no variable tells"

DEBHOST_COMMANDS += "open_root"

open_root() {
    sed -i 's/^root:[^:]*:/root::/' ${IMAGE_ROOTFS}${sysconfdir}/passwd
}
