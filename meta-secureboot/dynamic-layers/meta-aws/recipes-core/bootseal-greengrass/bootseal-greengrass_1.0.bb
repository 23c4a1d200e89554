# SPDX-License-Identifier: MIT
SUMMARY = "AWS IoT Greengrass nucleus lite on a secure boot device"
DESCRIPTION = "Its configuration, which names the key in the TPM and no secret; its state on the \
encrypted data partition; and what its units need to use the key, and no more."
HOMEPAGE = "https://github.com/bootseal/bootseal"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

SRC_URI = "\
    file://80-bootseal-greengrass.preset \
    file://bootseal-greengrass.service \
    file://config.yaml \
    file://ggconfigd.conf \
    file://gghealthd.conf \
    file://greengrass \
    file://key.conf \
    file://service.conf \
    file://socket.conf \
"

S = "${UNPACKDIR}"

inherit features_check systemd

REQUIRED_DISTRO_FEATURES = "bootseal systemd usrmerge"

# It ends where the variables below are not set, so nothing but a product that wants it builds it.
EXCLUDE_FROM_WORLD = "1"

# The account of the fleet; `bootseal identity greengrass` checks what comes of them.
BOOTSEAL_GREENGRASS_REGION ?= ""
BOOTSEAL_GREENGRASS_REGION[doc] = "AWS region of the fleet"
BOOTSEAL_GREENGRASS_DATA_ENDPOINT ?= ""
BOOTSEAL_GREENGRASS_DATA_ENDPOINT[doc] = "Host name: aws iot describe-endpoint, iot:Data-ATS"
BOOTSEAL_GREENGRASS_CREDENTIALS_ENDPOINT ?= ""
BOOTSEAL_GREENGRASS_CREDENTIALS_ENDPOINT[doc] = "Host name: likewise, iot:CredentialProvider"
BOOTSEAL_GREENGRASS_ROLE_ALIAS ?= ""
BOOTSEAL_GREENGRASS_ROLE_ALIAS[doc] = "Role alias of the fleet, as in bootseal identity export"

# Of greengrass-lite 2.5: the services that start, those of them that use the key, and the sockets.
SERVICES = "\
    ggl.core.gg-fleet-statusd \
    ggl.core.ggconfigd \
    ggl.core.gghealthd \
    ggl.core.ggipcd \
    ggl.core.ggpubsubd \
    ggl.core.iotcored \
    ggl.core.tesd \
"
KEY_SERVICES = "ggl.core.iotcored ggl.core.tesd"
SOCKETS = "\
    ggl.aws_iot_mqtt \
    ggl.aws_iot_tes \
    ggl.gg-ipc.socket \
    ggl.gg_config \
    ggl.gg_fleet_status \
    ggl.gg_health \
    ggl.gg_pubsub \
    ggl.ipc_component \
"

do_install() {
    for value in "${BOOTSEAL_GREENGRASS_REGION}" "${BOOTSEAL_GREENGRASS_DATA_ENDPOINT}" \
        "${BOOTSEAL_GREENGRASS_CREDENTIALS_ENDPOINT}" "${BOOTSEAL_GREENGRASS_ROLE_ALIAS}"; do
        [ -n "$value" ] || bbfatal "set all four of BOOTSEAL_GREENGRASS_REGION, _DATA_ENDPOINT, _CREDENTIALS_ENDPOINT and _ROLE_ALIAS"
    done
    install -D -m 0755 -t ${D}${nonarch_libdir}/bootseal ${S}/greengrass
    install -D -m 0644 -t ${D}${systemd_system_unitdir} ${S}/bootseal-greengrass.service
    install -D -m 0644 -t ${D}${systemd_unitdir}/system-preset ${S}/80-bootseal-greengrass.preset
    install -D -m 0644 -t ${D}${sysconfdir}/greengrass ${S}/config.yaml
    sed -i \
        -e 's:@REGION@:${BOOTSEAL_GREENGRASS_REGION}:' \
        -e 's:@DATA_ENDPOINT@:${BOOTSEAL_GREENGRASS_DATA_ENDPOINT}:' \
        -e 's:@CREDENTIALS_ENDPOINT@:${BOOTSEAL_GREENGRASS_CREDENTIALS_ENDPOINT}:' \
        -e 's:@ROLE_ALIAS@:${BOOTSEAL_GREENGRASS_ROLE_ALIAS}:' \
        ${D}${sysconfdir}/greengrass/config.yaml
    for name in ${SERVICES}; do
        install -D -m 0644 ${S}/service.conf ${D}${systemd_system_unitdir}/$name.service.d/bootseal.conf
    done
    for name in ${KEY_SERVICES}; do
        install -m 0644 ${S}/key.conf ${D}${systemd_system_unitdir}/$name.service.d/bootseal-key.conf
    done
    install -m 0644 ${S}/ggconfigd.conf ${D}${systemd_system_unitdir}/ggl.core.ggconfigd.service.d/bootseal-config.conf
    install -m 0644 ${S}/gghealthd.conf ${D}${systemd_system_unitdir}/ggl.core.gghealthd.service.d/bootseal-user.conf
    for name in ${SOCKETS}; do
        install -D -m 0644 ${S}/socket.conf ${D}${systemd_system_unitdir}/$name.socket.d/bootseal.conf
    done
}

PACKAGE_ARCH = "${MACHINE_ARCH}"

SYSTEMD_SERVICE:${PN} = "bootseal-greengrass.service"

FILES:${PN} += "${nonarch_libdir}/bootseal ${systemd_unitdir}"

RDEPENDS:${PN} = "bootseal-device-data bootseal-identity coreutils greengrass-lite openssl-bin util-linux-mount"
