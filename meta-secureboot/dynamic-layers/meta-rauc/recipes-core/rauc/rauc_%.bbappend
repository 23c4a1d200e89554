# SPDX-License-Identifier: MIT
#
# By RAUC's own policy anyone on the bus may install bundles and mark slots; bootseal-update has
# another one, of the same name. And a slot is good when bootseal-good.service says so: once its data is
# open, not as soon as RAUC can be asked.

do_install:append:class-target() {
    rm -f ${D}${datadir}/dbus-1/system.d/de.pengutronix.rauc.conf
}

RRECOMMENDS:${PN}:remove:class-target = "${PN}-mark-good"
