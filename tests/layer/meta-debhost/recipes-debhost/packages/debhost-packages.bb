# SPDX-License-Identifier: MIT
SUMMARY = "One empty package under the names of those the reference device holds"
LICENSE = "MIT"

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

PACKAGES = "${PN}"
ALLOW_EMPTY:${PN} = "1"
RPROVIDES:${PN} = " \
    busybox coreutils cryptsetup dbus e2fsprogs-mke2fs kmod libdevmapper libubootenv-bin openssl-bin systemd \
    systemd-analyze systemd-crypt systemd-extra-utils tpm2-tools util-linux-blkdiscard util-linux-blockdev \
    util-linux-flock util-linux-losetup util-linux-lsblk util-linux-mount util-linux-mountpoint \
"
