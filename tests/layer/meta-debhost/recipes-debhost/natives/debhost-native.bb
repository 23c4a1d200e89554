# SPDX-License-Identifier: MIT
SUMMARY = "Debian's programs as the native tools of a build"
LICENSE = "MIT"

inherit native

# Every native recipe that a program of Debian stands in for, with the packages they come from
# (README.md). Nothing is compiled: the sysroot gets links to what the host has.
PROVIDES = " \
    apt-native bc-native bison-native bmaptool-native bzip2-replacement-native cryptsetup-native \
    dosfstools-native dpkg-native dtc-native e2fsprogs-native erofs-utils-native flex-native \
    gnutls-native gptfdisk-native gzip-native kern-tools-native kmod-native ldconfig-native makedevs-native \
    mtools-native openssl-native parted-native pigz-native pkgconf-native pseudo-native python3-native \
    quilt-native swig-native systemd-systemctl-native tar-replacement-native util-linux-native virtual/fakeroot-native cpio-native cross-localedef-native depmodwrapper-cross ncurses-native patch-replacement-native \
    virtual/update-alternatives-native update-rc.d-native xz-native zstd-native rpm-native \
    dwarfsrcfiles-native opkg-utils-native \
    python3-annotated-doc-native python3-build-native python3-cryptography-native python3-core-native python3-json-native python3-logging-native python3-misc-native \
    python3-hatchling-native python3-installer-native python3-jinja2-native \
    python3-pyelftools-native python3-rich-native python3-setuptools-native \
    python3-shellingham-native python3-typer-native python3-wheel-native \
"

PACKAGES = "${PN}"
RPROVIDES:${PN} = "${@' '.join(n for n in d.getVar('PROVIDES').split() if '/' not in n)}"

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

# The name in the sysroot, and the program where the names differ.
DEBHOST_TOOLS = " \
    bc bison bmaptool cpio debugfs depmod dpkg dpkg-deb dtc e2fsck fdtget fdtput fdtdump flex fsck.erofs gzip \
    m4 mcopy mdir mkdosfs mke2fs mkfs.erofs mkfs.ext4 mkfs.vfat mmd openssl parted \
    patch pkg-config quilt resize2fs sgdisk swig tune2fs veritysetup xz zstd \
"

do_install() {
    install -d ${D}${bindir}/python3-native
    for tool in ${DEBHOST_TOOLS}; do
        for directory in /usr/bin /usr/sbin /bin /sbin; do
            if [ -x $directory/$tool ]; then
                ln -sf $directory/$tool ${D}${bindir}/$tool
                break
            fi
        done
        [ -e ${D}${bindir}/$tool ] || bbfatal "Debian's $tool is missing: see tests/layer/README.md"
    done

    # The interpreter sees this sysroot's packages first, then the pinned ones.
    cat >${D}${bindir}/nativepython3 <<EOF
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
PYTHONPATH=\$here/../lib/python3.11/site-packages:${DEBHOST_SITE_PACKAGES}\${PYTHONPATH:+:\$PYTHONPATH}
export PYTHONPATH
unset PYTHONHOME _PYTHON_SYSCONFIGDATA_NAME
case "\$1 \$2" in
"-m installer")
    shift 2
    set -- "\$here/install_wheel.py" "\$@"
    ;;
esac
exec /usr/bin/python3 "\$@"
EOF
    cat >${D}${bindir}/pyproject-build <<EOF
#!/bin/sh
exec nativepython3 -m build "\$@"
EOF
    chmod 0755 ${D}${bindir}/nativepython3 ${D}${bindir}/pyproject-build
    ln -s ../nativepython3 ${D}${bindir}/python3-native/python3
    ln -s ../nativepython3 ${D}${bindir}/python3-native/python
    install -m 0644 ${THISDIR}/files/install_wheel.py ${D}${bindir}/

    # wic names the sector size, for which Debian's is too old: 512 bytes, as it takes by itself.
    cat >${D}${bindir}/sfdisk <<'EOF'
#!/bin/sh
[ "$1 $2" != "--sector-size 512" ] || shift 2
exec /usr/sbin/sfdisk "$@"
EOF
    chmod 0755 ${D}${bindir}/sfdisk

    # pseudo 1.9.0 aborts on the names that systemctl opens: it runs without, and what it made is
    # given to root afterwards.
    cat >${D}${bindir}/systemctl <<'EOF'
#!/bin/sh
env -u LD_PRELOAD -u PSEUDO_PREFIX PSEUDO_UNLOAD=1 /usr/bin/systemctl "$@" || exit
for option; do
    case $option in
    --root=*) chown -R -h 0:0 "${option#--root=}/etc/systemd" ;;
    esac
done
EOF
    chmod 0755 ${D}${bindir}/systemctl

    # Packaging asks these two for what a file needs and where its sources are.
    install -d ${D}${libdir}/rpm
    ln -s /usr/lib/rpm/rpmdeps ${D}${libdir}/rpm/rpmdeps
    printf '#!/bin/sh\n' >${D}${bindir}/dwarfsrcfiles
    chmod 0755 ${D}${bindir}/dwarfsrcfiles

    # python_hatchling looks for something in here.
    install -d ${D}${libdir}/python3.11/site-packages
    echo 'Debian and a virtual environment hold the packages.' >${D}${libdir}/python3.11/site-packages/debhost.txt

    # U-Boot's own, out of the tree that is being configured: a build directory links to it, and is
    # named by -O where it is not the current one.
    cat >${D}${bindir}/merge_config.sh <<'EOF'
#!/bin/sh
directory=.
previous=
for word; do
    [ "$previous" != -O ] || directory=$word
    previous=$word
done
exec sh "$directory/source/scripts/kconfig/merge_config.sh" "$@"
EOF
    chmod 0755 ${D}${bindir}/merge_config.sh
}
do_install[file-checksums] += "${THISDIR}/files/install_wheel.py:True"
do_install[vardeps] += "DEBHOST_SITE_PACKAGES DEBHOST_TOOLS"
