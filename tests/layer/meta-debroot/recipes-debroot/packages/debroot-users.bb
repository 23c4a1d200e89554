# SPDX-License-Identifier: MIT
SUMMARY = "The users that OE-Core's recipes of systemd, D-Bus and the TPM's tools make"
LICENSE = "MIT"

deltask do_fetch
deltask do_unpack
deltask do_patch
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

inherit useradd

# It stands for OE-Core's programs, which are the host's here.
DEPENDS:remove = "shadow"

do_configure() {
    :
}
do_compile() {
    :
}
do_install() {
    install -d ${D}
}

ALLOW_EMPTY:${PN} = "1"
PACKAGES = "${PN}"
INSANE_SKIP:${PN} = "build-deps"
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "-r systemd-journal; -r render; -r tss"
USERADD_PARAM:${PN} = "\
    --system -d / -M --shell /sbin/nologin -U systemd-network; \
    --system -d / -M --shell /sbin/nologin -U systemd-timesync; \
    --system -d /run/dbus -M --shell /sbin/nologin -U messagebus; \
    --system -d /var/lib/tpm -M --shell /bin/false -g tss tss; \
"
