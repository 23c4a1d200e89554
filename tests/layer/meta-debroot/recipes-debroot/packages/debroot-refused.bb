# SPDX-License-Identifier: MIT
SUMMARY = "Packages that no image with a read-only root may have"
LICENSE = "MIT"

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

do_install() {
    install -d ${D}${sysconfdir}
    echo 'data /dev/vda1 - luks' >${D}${sysconfdir}/crypttab
}

# The same file as in a package of the layer; and a script that wants to run on the device.
PACKAGES = "refused-file refused-script"
FILES:refused-file = "${sysconfdir}/crypttab"
ALLOW_EMPTY:refused-script = "1"
pkg_postinst_ontarget:refused-script() {
    touch /etc/refused
}
