# SPDX-License-Identifier: MIT
SUMMARY = "Installs on a secure boot device what jobs of AWS IoT name, through RAUC"
DESCRIPTION = "The agent that takes jobs with the identity key in the TPM, the unit that confines it, and \
the units that restart the device and install applications for it. Built from the checkout that the layer itself is in."
HOMEPAGE = "https://github.com/bootseal/bootseal"
SECTION = "devel/python"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

# nooelint: oelint.vars.outofcontext,oelint.vars.fileextrapaths - the sources are the layer's own repository
FILESEXTRAPATHS:prepend := "${BOOTSEAL_SOURCE}:"
SRC_URI = "\
    file://agent.tmpfiles \
    file://agent.toml.in \
    file://app-install \
    file://app-install.tmpfiles \
    file://bootseal-agent-restart.path \
    file://bootseal-agent-restart.service \
    file://bootseal-agent.service \
    file://bootseal-app-install.path \
    file://bootseal-app-install.service \
    file://tools/bootseal_agent \
"

S = "${UNPACKDIR}"

inherit features_check python_hatchling systemd useradd

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

PEP517_SOURCE_PATH = "${S}/tools/bootseal_agent"

# It ends where these are not set, so nothing but a product that wants it builds it.
EXCLUDE_FROM_WORLD = "1"

BOOTSEAL_AGENT_HOST ?= ""
BOOTSEAL_AGENT_HOST[doc] = "Host name of the broker: aws iot describe-endpoint, iot:Data-ATS"
BOOTSEAL_AGENT_CA ?= ""
BOOTSEAL_AGENT_CA[doc] = "File with the authorities of the broker and of the servers with bundles, PEM"
BOOTSEAL_RELEASE ?= "${DISTRO_VERSION}"
BOOTSEAL_RELEASE[doc] = "Version of the release: one to four numbers, as in bootseal update bundle --version"

do_install:append() {
    [ -n "${BOOTSEAL_AGENT_HOST}" ] && [ -n "${BOOTSEAL_AGENT_CA}" ] || bbfatal "set BOOTSEAL_AGENT_HOST and BOOTSEAL_AGENT_CA"
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/bootseal-agent.service ${S}/bootseal-agent-restart.path ${S}/bootseal-agent-restart.service
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/bootseal-app-install.service ${S}/bootseal-app-install.path
    install -D -m 0644 -t ${D}${nonarch_libdir}/bootseal ${S}/agent.tmpfiles ${S}/app-install.tmpfiles
    install -D -m 0755 -t ${D}${nonarch_libdir}/bootseal ${S}/app-install
    install -D -m 0644 ${BOOTSEAL_AGENT_CA} ${D}${sysconfdir}/bootseal/cloud-ca.pem
    sed -e 's,@HOST@,${BOOTSEAL_AGENT_HOST},' -e 's,@COMPATIBLE@,${BOOTSEAL_COMPATIBLE},' \
        -e 's,@VERSION@,${BOOTSEAL_RELEASE},' ${S}/agent.toml.in > ${D}${sysconfdir}/bootseal/agent.toml
    chmod 0644 ${D}${sysconfdir}/bootseal/agent.toml
}
do_install[file-checksums] += "${@d.getVar('BOOTSEAL_AGENT_CA') + ':True' if d.getVar('BOOTSEAL_AGENT_CA') else ''}"

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --no-create-home --shell /sbin/nologin --user-group bootseal-agent"

PACKAGE_ARCH = "${MACHINE_ARCH}"

SYSTEMD_SERVICE:${PN} = "\
    bootseal-agent.service \
    bootseal-agent-restart.path \
    bootseal-app-install.path \
    bootseal-app-install.service \
"

FILES:${PN} += "${nonarch_libdir}/bootseal ${systemd_system_unitdir}/bootseal-agent-restart.service"

RDEPENDS:${PN} = "\
    ${@bb.utils.contains('BOOTSEAL_REQUESTS', 'apps', 'bootseal-app', '', d)} \
    bootseal-device-data \
    bootseal-identity \
    bootseal-update \
    coreutils \
    diffutils \
    grep \
    python3-core \
    python3-crypt \
    python3-io \
    python3-json \
    python3-logging \
    python3-netclient \
    python3-paho-mqtt \
    python3-threading \
    python3-tomllib \
    systemd-analyze \
"
