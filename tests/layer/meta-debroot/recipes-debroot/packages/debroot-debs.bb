# SPDX-License-Identifier: MIT
SUMMARY = "Debian's systemd and what else the device needs that this build does not compile"
LICENSE = "MIT"

PROVIDES = "systemd"

DEBROOT_WANTED = "\
    coreutils cryptsetup-bin dbus dmsetup dropbear-bin e2fsprogs kmod libsystemd-dev libtss2-tcti-device0t64 libubootenv-tool \
    mount openssl passwd systemd systemd-cryptsetup systemd-repart systemd-sysv systemd-timesyncd tpm2-tools udev util-linux \
"
DEBROOT_ELSEWHERE = "libc6 libcrypt1 libgcc-s1"
# The check of the disk knows by their names which programs may be setuid.
DEBROOT_RENAMED = "mount:util-linux passwd:shadow su:util-linux umount:util-linux"

# For its list of programs. Without do_configure, nobody else asks for them.
DEPENDS = "busybox virtual/libc"
addtask do_prepare_recipe_sysroot before do_install

require debroot-debs.inc
inherit update-alternatives
ALTERNATIVE_PRIORITY = "100"

# Debian's packages name each other.
SKIP_FILEDEPS = "1"

# OE-Core's names of what the packages hold.
RPROVIDES:cryptsetup-bin = "cryptsetup"
RPROVIDES:dmsetup = "libdevmapper"
RPROVIDES:e2fsprogs = "e2fsprogs-e2fsck e2fsprogs-mke2fs"
RPROVIDES:libubootenv-tool = "libubootenv-bin"
RPROVIDES:mount = "util-linux-mount"
RPROVIDES:openssl = "openssl-bin"
RPROVIDES:passwd = "shadow shadow-base"
RPROVIDES:systemd-cryptsetup = "systemd-crypt"
RPROVIDES:util-linux = "util-linux-blkdiscard util-linux-flock util-linux-lsblk"
RDEPENDS:systemd = "debroot-users kmod systemd-repart systemd-sysv systemd-timesyncd udev"
RDEPENDS:dbus-daemon = "debroot-users"
RDEPENDS:tpm2-tools = "debroot-users libtss2-tcti-device0t64"
