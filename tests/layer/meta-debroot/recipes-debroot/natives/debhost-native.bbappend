# SPDX-License-Identifier: MIT
FILESEXTRAPATHS:prepend := "${THISDIR}/files:"

PROVIDES += "autoconf-native automake-native gettext-native gnu-config-native libtool-cross libtool-native shadow-native"

DEBHOST_TOOLS += "\
    aclocal apt-cache apt-ftparchive apt-get autoconf autoheader autom4te automake autoreconf \
    dpkg-query dpkg-split dpkg-trigger libtoolize start-stop-daemon \
"

DEBROOT_FILES := "${THISDIR}/files"

do_install:append() {
    rm ${D}${bindir}/dpkg
    install -m 0755 ${DEBROOT_FILES}/dpkg ${DEBROOT_FILES}/update-alternatives ${D}${bindir}
    for program in groupadd groupmems groupmod useradd usermod; do
        install -m 0755 ${DEBROOT_FILES}/account ${D}${bindir}/$program
    done
    printf '#!/bin/sh\n' >${D}${bindir}/ldconfig
    chmod 0755 ${D}${bindir}/ldconfig

    install -d ${D}${sysconfdir}/apt ${D}${localstatedir}/lib/apt/lists/partial
    install -d ${D}${localstatedir}/cache/apt/archives/partial ${D}${localstatedir}/log/apt
    sed 's,@NATIVE@,${STAGING_DIR_NATIVE},' ${DEBROOT_FILES}/apt.conf.sample >${D}${sysconfdir}/apt/apt.conf.sample

    # busybox has none in its tree, and takes the kernel's.
    tar -xOf ${DEBHOST_KERNEL} linux-source-6.12/scripts/kconfig/merge_config.sh >${D}${bindir}/merge_config.kernel.sh
    sed -i 's,^exec sh,[ -e "$directory/source/scripts/kconfig/merge_config.sh" ] || exec sh "$(dirname "$0")/merge_config.kernel.sh" "$@"\n&,' \
        ${D}${bindir}/merge_config.sh
}
do_install[file-checksums] += "${@' '.join(f'${DEBROOT_FILES}/{n}:True' for n in ('account', 'apt.conf.sample', 'dpkg', 'update-alternatives'))}"

DEBHOST_KERNEL ?= "/usr/src/linux-source-6.12.tar.xz"
