# SPDX-License-Identifier: MIT
SUMMARY = "D-Bus, a network service and an application, enabled in the usual ways"
LICENSE = "MIT"

inherit systemd

deltask do_fetch
deltask do_unpack
deltask do_patch
deltask do_configure
deltask do_compile
PATCHDEPENDENCY = ""
INHIBIT_DEFAULT_DEPS = "1"

# By the class; by the class, a socket that starts its service; and by a preset alone, as OE-Core's
# systemd does with systemd-networkd, whose unit is in the root already.
PACKAGES = "${PN} foreign-dbus foreign-network"
SYSTEMD_PACKAGES = "${PN} foreign-dbus"
SYSTEMD_SERVICE:${PN} = "foreign-application.service"
SYSTEMD_SERVICE:foreign-dbus = "dbus.service dbus.socket"

do_install() {
    install -d ${D}${systemd_system_unitdir} ${D}${systemd_unitdir}/system-preset
    cat >${D}${systemd_system_unitdir}/foreign-application.service <<EOF
[Service]
ExecStart=/bin/true

[Install]
WantedBy=multi-user.target
EOF
    cat >${D}${systemd_system_unitdir}/dbus.service <<EOF
[Unit]
Requires=dbus.socket

[Service]
ExecStart=/bin/true
EOF
    cat >${D}${systemd_system_unitdir}/dbus.socket <<EOF
[Socket]
ListenStream=/run/dbus/system_bus_socket

[Install]
WantedBy=sockets.target
EOF
    echo 'enable systemd-networkd.service' >${D}${systemd_unitdir}/system-preset/91-foreign.preset
}

FILES:${PN} = "${systemd_system_unitdir}/foreign-application.service"
FILES:foreign-dbus = "${systemd_system_unitdir}/dbus.*"
FILES:foreign-network = "${systemd_unitdir}/system-preset/91-foreign.preset"
