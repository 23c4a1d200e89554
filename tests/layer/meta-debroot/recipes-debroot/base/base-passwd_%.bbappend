# SPDX-License-Identifier: MIT
#
# With Debian's autoconf: OE-Core's class gives options that only its own patched programs know.
do_configure() {
    cp -r ${S}/. ${B}
    (cd ${B} && autoreconf -fi && ./configure --build=${BUILD_SYS} --host=${HOST_SYS} --prefix=${prefix} --sbindir=${sbindir} ${EXTRA_OECONF})
}
