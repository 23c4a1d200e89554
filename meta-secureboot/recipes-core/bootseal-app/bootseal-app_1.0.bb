# SPDX-License-Identifier: MIT
SUMMARY = "Runs on a secure boot device the applications that its maker signed and allows"
DESCRIPTION = "The unit that confines an application, the check before each start, the certificate that \
systemd holds their images against, and which applications may run."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://app-inside \
    file://bootseal-app \
    file://bootseal-app@.service \
    file://bootseal-apps.service \
    file://var-lib-private-bootseal.mount \
"

S = "${UNPACKDIR}"

inherit features_check systemd bootseal_keys

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

# Keys without the role for applications are as good where there are none.
# nooelint: oelint.task.noanonpython - a recipe can only be skipped while it is parsed
python __anonymous() {
    if "apps" not in (d.getVar("BOOTSEAL_REQUESTS") or "").split():
        raise bb.parse.SkipRecipe("apps was not requested: fragment bootseal/bootseal/apps")
}

BOOTSEAL_APPS ?= ""
BOOTSEAL_APPS[doc] = "Names of the applications that may run on the device, and no others"
BOOTSEAL_APP_MINIMUM[doc] = "By flag, the lowest version of an application that may run: BOOTSEAL_APP_MINIMUM[hello] = \"1.2.0\""
BOOTSEAL_APP_HEALTH[doc] = "By flag, how many seconds a new version has to run to be good, 1 to 600"
BOOTSEAL_APP_LIMITS[doc] = "By flag, what else of the unit is set for one application: MemoryMax=32M TasksMax=16"

do_install() {
    install -D -m 0755 -t ${D}${bindir} ${S}/bootseal-app
    install -D -m 0755 -t ${D}${nonarch_libdir}/bootseal ${S}/app-inside
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/*.service ${S}/*.mount
    install -D -m 0644 ${BOOTSEAL_KEYS}/${BOOTSEAL_APP_KEY}.crt ${D}${sysconfdir}/verity.d/bootseal-app.crt
}
do_install[file-checksums] += "${BOOTSEAL_APP_KEY_CHECKSUMS}"
do_install[postfuncs] += "bootseal_install_apps"
do_install[vardeps] += "BOOTSEAL_APPS BOOTSEAL_APP_MINIMUM BOOTSEAL_APP_HEALTH BOOTSEAL_APP_LIMITS"

python bootseal_install_apps() {
    names = d.getVar("BOOTSEAL_APPS").split()
    flags = {flag: d.getVarFlags(f"BOOTSEAL_APP_{flag}") or {} for flag in bootseal_layer.apps.FLAGS}
    try:
        bootseal_layer.apps.install(names, flags, d.getVar("D"))
    except bootseal_layer.apps.AppError as error:
        bb.fatal(str(error))
}
bootseal_install_apps[doc] = "Write which applications may run, and their limits"

PACKAGE_ARCH = "${MACHINE_ARCH}"

SYSTEMD_SERVICE:${PN} = "bootseal-apps.service"

FILES:${PN} += "${nonarch_libdir}/bootseal ${systemd_system_unitdir} ${sysconfdir}/verity.d"

# systemd-run, which waits for what it started, does that over D-Bus.
RDEPENDS:${PN} = "\
    bootseal-device-data \
    coreutils \
    cryptsetup \
    dbus \
    kmod \
    libdevmapper \
    systemd-analyze \
    systemd-extra-utils \
    util-linux-blockdev \
    util-linux-losetup \
    util-linux-mountpoint \
"
