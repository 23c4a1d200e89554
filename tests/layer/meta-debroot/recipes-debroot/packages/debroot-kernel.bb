# SPDX-License-Identifier: MIT
SUMMARY = "The modules of the reference device's kernel, with which these images start"
LICENSE = "GPL-2.0-only"

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"
PACKAGE_ARCH = "${MACHINE_ARCH}"

do_install() {
    fsck.erofs --extract=${B}/root --force ${DEBHOST_DEVICE}/root.erofs
    install -d ${B}/initramfs ${D}${nonarch_libdir} ${D}${sysconfdir} ${D}${libexecdir}
    (cd ${B}/initramfs && gzip -dc ${DEBHOST_DEVICE}/initramfs.cpio.gz | cpio -idm)
    cp -r --no-preserve=ownership ${B}/root/usr/lib/modules ${D}${nonarch_libdir}
    # The initramfs loads them by a list, before there is any other program.
    cp -r --no-preserve=ownership ${B}/initramfs/usr/lib/modules ${D}${libexecdir}
    sed 's,^\(/usr\)\?/lib/modules,${libexecdir}/modules,' ${B}/initramfs/etc/modules >${D}${sysconfdir}/modules
}
do_install[cleandirs] += "${B}/root ${B}/initramfs"
do_install[depends] += "erofs-utils-native:do_populate_sysroot"
do_install[file-checksums] += "${DEBHOST_DEVICE}/root.erofs:True ${DEBHOST_DEVICE}/initramfs.cpio.gz:True"
do_install[vardepsexclude] = "DEBHOST_DEVICE"

PACKAGES = "kernel-base debroot-initramfs-modules"
FILES:kernel-base = "${nonarch_libdir}/modules"
FILES:debroot-initramfs-modules = "${libexecdir}/modules ${sysconfdir}/modules"
do_package_qa[noexec] = "1"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"
