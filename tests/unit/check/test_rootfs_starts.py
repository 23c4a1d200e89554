# SPDX-License-Identifier: MIT
"""Paths from a signed root to programs and logins that nothing signs, kind by kind."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.check.rootfs import root_samples

from bootseal import state
from bootseal.check.rootfs.check import offers_login
from bootseal.check.rootfs.starts import check as starts
from bootseal.check.rootfs.starts import logins
from bootseal.findings.model import Finding, Severity

if TYPE_CHECKING:
    from tests.unit.check.rootfs.root_samples import Files

    from bootseal.check.rootfs.starts.tree import Tree

LAYER = Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-device/files"
APPS = LAYER.parents[1] / "bootseal-app/files"
UNIT = "usr/lib/systemd/system/app.service"
TTY = "[Service]\nStandardInput=tty\nTTYPath=/dev/ttyAMA0\n"
WANTED = "etc/systemd/system/multi-user.target.wants"

BASE: Files = {
    "bin": "->usr/bin",
    "etc/fstab": (LAYER / "fstab").read_text(),
    "etc/passwd": "root:*:0:0:root:/root:/bin/sh\napp:*:99:99::/data/app:/usr/sbin/nologin\n",
    "usr/bin/sh": "->busybox",
    "usr/bin/busybox": b"\x7fELF",
    "usr/bin/app": b"\x7fELF",
}


def tree(tmp_path: Path, files: Files) -> Tree:
    return root_samples.tree(tmp_path, BASE | files)


def elf_program(
    *, interpreter: str = "/lib/ld.so", needed: str = "libc.so", runpath: str = ""
) -> bytes:
    """Return a 64-bit program that is nothing but its headers."""
    strings = b"\0" + needed.encode() + b"\0" + runpath.encode() + b"\0"
    loader = interpreter.encode() + b"\0"
    at = 64 + 3 * 56
    tags = [(1, 1), (29, len(needed) + 2), (5, at), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    body = strings + dynamic + loader
    head = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 3, 183, 1, 0, 64, 0, 0, 64, 56, 3, 0, 0, 0
    )
    second = at + len(strings)
    third = second + len(dynamic)
    places = ((1, at, len(body)), (2, second, len(dynamic)), (3, third, len(loader)))
    table = (struct.pack("<IIQQQQQQ", kind, 4, o, o, o, size, size, 8) for kind, o, size in places)
    return head + b"".join(table) + body


def check(tmp_path: Path, files: Files, *, production: bool = True) -> list[Finding]:
    found = tree(tmp_path, files)
    return [
        *starts.check(found, "root-a"),
        *logins.check(found, "root-a", production=production),
    ]


def service(*lines: str) -> Files:
    return {UNIT: "[Service]\n" + "\n".join(lines) + "\n"}


PROGRAMS: dict[str, Files] = {
    "exec": service("ExecStart=/data/app/run"),
    "exec-prefix": service("ExecStartPre=-+/data/app/run --x"),
    "exec-second": service("ExecStart=/usr/bin/app ; /data/app/run"),
    "exec-continued": service("ExecStop=/usr/bin/env \\", "  /data/app/run"),
    "exec-dots": service("ExecStart=/usr/../data/./app"),
    "exec-other-root": service("ExecStart=/proc/self/root/data/app"),
    "exec-tmp": service("ExecStart=/tmp/app"),
    "exec-quoted": service('ExecStart="/data/my app"'),
    "shell-script": service("ExecStart=/bin/sh /data/run.sh"),
    "shell-option": service("ExecStart=/bin/sh -e -u /data/run.sh"),
    "shell-line": service("ExecStart=/bin/sh -c 'exec /data/app/run'"),
    "shell-sourced": service("ExecStart=/bin/sh -c '. /data/env; exec /usr/bin/app'"),
    "shell-and": service("ExecStart=/bin/sh -c 'test -x /data/x && /data/x'"),
    "shell-stdin": service("ExecStart=/bin/sh -c 'sh < /data/x'"),
    "shell-piped": service("ExecStart=/bin/sh -c 'cat /data/x | sh'"),
    "shell-for": service("ExecStart=/bin/sh -c 'for f in /data/d/*; do . $f; done'"),
    "shell-variable": service("ExecStart=/bin/sh -c 'D=/data/app; $D/run'"),
    "shell-inner": service("ExecStart=/bin/sh -c 'echo $(/data/app)'"),
    "python": service("ExecStart=/usr/bin/python3.11 -u /data/app/main.py"),
    "python-line": service("ExecStart=/usr/bin/python3 -c 'exec(open(\"/data/x\").read())'"),
    "java": service("ExecStart=/usr/bin/java -cp /data/app.jar Main"),
    "node": service("ExecStart=/usr/bin/node --require /data/x.js /usr/lib/app.js"),
    "perl-library": service("ExecStart=/usr/bin/perl -I/data/lib /usr/bin/x.pl"),
    "wrapped": service("ExecStart=/usr/bin/nice -n 5 /usr/bin/timeout 10 /data/app"),
    "chroot": service("ExecStart=/usr/sbin/chroot /data/root /bin/sh"),
    "container": service("ExecStart=/usr/bin/systemd-nspawn -D /data/container"),
    "loader": service("ExecStart=/lib/ld-linux-aarch64.so.1 /data/app"),
    "module": service("ExecStart=/sbin/insmod /data/x.ko"),
    "busybox": service("ExecStart=/bin/busybox sh /data/x"),
    "start-stop-daemon": service("ExecStart=/sbin/start-stop-daemon -S --exec /data/app"),
    "user": service("ExecStart=/bin/su app -c '/data/app/run'"),
    "find": service("ExecStart=/usr/bin/find /data/hooks -type f -exec {} ;"),
    "run-parts": service("ExecStart=/bin/run-parts /data/hooks"),
    "mount": service("ExecStart=/bin/mount --bind /data/etc /etc"),
    "directory": service("WorkingDirectory=/data/app", "ExecStart=/bin/sh run.sh"),
    "search-path": service("ExecSearchPath=/data/bin:/usr/bin", "ExecStart=app"),
    "root-directory": service("RootDirectory=/data/root", "ExecStart=/usr/bin/app"),
    "root-image": service("RootImage=/data/root.raw", "ExecStart=/usr/bin/app"),
    "root-image-of-two-policies": service(
        "RootImage=/data/root.raw",
        "RootImagePolicy=root=signed",
        "RootImagePolicy=root=signed+verity",
    ),
    "root-image-of-another-unit": service(
        "RootImage=/data/apps/%i.raw.v", "RootImagePolicy=root=signed", "ExecStart=/usr/bin/app"
    ),
    "root-image-verity": service("RootImage=/data/root.raw", "RootImagePolicy=root=verity"),
    "root-image-more": service("RootImage=/data/r.raw", "RootImagePolicy=root=signed:usr=verity"),
    "mounted-image": service("MountImages=/data/x.raw:/usr", "RootImagePolicy=root=signed"),
    "downloads-program": {"etc/app.conf": "downloads_command = /data/x\n"},
    "extension": service("ExtensionDirectories=/data/ext"),
    "bound": service("BindReadOnlyPaths=/data/lib:/usr/lib"),
    "environment-path": service("Environment=PATH=/data/bin:/usr/bin"),
    "environment-preload": service('Environment="A=b" "LD_PRELOAD=/data/x.so"'),
    "environment-file": service("EnvironmentFile=-/data/env"),
    "environment-python": service("Environment=PYTHONPATH=/data/lib"),
    "environment-argument": service("Environment=X=/data/x", "ExecStart=/bin/sh ${X}"),
    "drop-in": {"etc/systemd/system/app.service.d/x.conf": "[Service]\nExecStart=/data/x\n"},
    "socket": {"etc/systemd/system/a.socket": "[Socket]\nExecStartPost=/data/x\n"},
    "user-unit": {"usr/lib/systemd/user/a.service": "[Service]\nExecStart=/data/x\n"},
    "manager": {"etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=LD_AUDIT=/data/a.so\n"},
    "link": {"usr/bin/tool": "->/data/tool"},
    "link-relative": {"usr/lib/x.so": "->../../data/x.so"},
    "link-chain": {"usr/bin/tool": "->../lib/tool", "usr/lib/tool": "->/data/tool"},
    "link-directory": {"usr/local": "->/data/local"},
    "link-unit": {"etc/systemd/system/x.service": "->/data/x.service"},
    "link-generator": {"usr/lib/systemd/system-generators/x": "->/data/x"},
    "link-through": service("ExecStart=/opt/app/run") | {"opt": "->/data/opt"},
    "udev-run": {"etc/udev/rules.d/9.rules": 'SUBSYSTEM=="usb", RUN+="/data/x $kernel"\n'},
    "udev-program": {"usr/lib/udev/rules.d/9.rules": 'PROGRAM=="/bin/sh -c /data/x"\n'},
    "udev-import": {"usr/lib/udev/rules.d/9.rules": 'IMPORT{program}="/data/x"\n'},
    "preload": {"etc/ld.so.preload": "/data/x.so\n"},
    "libraries": {"etc/ld.so.conf.d/x.conf": "/data/lib\n"},
    "libraries-include": {"etc/ld.so.conf": "include /data/ld/*.conf\n"},
    "profile": {"etc/profile": 'PATH="/data/bin:$PATH"\nexport PATH\n'},
    "profile-script": {"etc/profile.d/x.sh": "[ -r /data/rc ] && . /data/rc\n"},
    "root-profile": {"root/.profile": "source /data/rc\n"},
    "environment": {"etc/environment": "LD_PRELOAD=/data/x.so\n"},
    "environment.d": {"usr/lib/environment.d/x.conf": "PATH=/data/bin:$PATH\n"},
    "pam-environment": {"etc/security/pam_env.conf": "LD_PRELOAD DEFAULT=/data/x.so\n"},
    "login.defs": {"etc/login.defs": "ENV_PATH PATH=/usr/bin:/data/bin\n"},
    "default": {"etc/default/app": "DAEMON=/data/app\n"},
    "crontab": {"etc/crontab": "* * * * * root /data/x\n"},
    "cron.d": {"etc/cron.d/x": "PATH=/usr/bin\n@reboot root cd /tmp && /data/x\n"},
    "cron-path": {"etc/cron.d/x": "PATH = /data/bin\n"},
    "cron.daily": {"etc/cron.daily/x": "#!/bin/sh\n/data/x\n"},
    "anacron": {"etc/anacrontab": "1 5 job /data/x\n"},
    "dbus": {"usr/share/dbus-1/system-services/a.service": "[D-BUS Service]\nExec=/data/x\n"},
    "dbus-directory": {"etc/dbus-1/system.conf": "<servicedir>/data/dbus</servicedir>\n"},
    "modprobe": {"etc/modprobe.d/x.conf": "install usb-storage /bin/sh -c /data/x\n"},
    "binfmt": {"etc/binfmt.d/x.conf": ":x:M::MZ::/data/x:\n"},
    "tmpfiles": {"etc/tmpfiles.d/x.conf": "L+ /etc/cron.d/x - - - - /data/x\n"},
    "tmpfiles-unit": {"etc/tmpfiles.d/x.conf": "C /run/systemd/system/x.service - - - - /data/x\n"},
    "tmpfiles-kernel": {
        "usr/lib/tmpfiles.d/x.conf": "w /proc/sys/kernel/core_pattern - - - - |/data/x\n"
    },
    "sysctl": {"etc/sysctl.d/x.conf": "kernel.core_pattern = |/data/x %p\n"},
    "sysctl-modprobe": {"etc/sysctl.conf": "kernel.modprobe=/data/x\n"},
    "polkit": {"etc/polkit-1/rules.d/x.rules": 'polkit.spawn(["/data/x"]);\n'},
    "pam-exec": {"etc/pam.d/login": "session optional pam_exec.so /data/x\n"},
    "pam-module": {"etc/pam.d/login": "auth sufficient /data/x.so\n"},
    "sudoers": {"etc/sudoers.d/x": "app ALL=(root) NOPASSWD: /data/x\n"},
    "shell-of-account": {"etc/passwd": "app:*:99:99::/:/data/sh\n"},
    "root-home": {"etc/passwd": "root:*:0:0::/data/root:/bin/sh\n"},
    "inittab": {"etc/inittab": "x:5:respawn:/data/x\n"},
    "init-script": {"etc/init.d/x": "#!/bin/sh\nD=/data/app\nstart() {\n  exec $D/run\n}\n"},
    "rc.local": {"etc/rc.local": "/data/x &\n"},
    "interfaces": {"etc/network/interfaces": "iface eth0 inet dhcp\n  post-up /data/x\n"},
    "if-up": {"etc/network/if-up.d/x": "#!/bin/sh\n/data/x\n"},
    "dispatcher": {"etc/NetworkManager/dispatcher.d/x": "#!/bin/sh\nexec /data/x\n"},
    "autostart": {"etc/xdg/autostart/x.desktop": "[Desktop Entry]\nExec=/data/x\n"},
    "interpreter": {"usr/bin/x": "#!/data/sh\n"},
    "interpreter-env": {"usr/bin/x": "#!/usr/bin/env /data/python\n"},
    "python-script": {"usr/bin/x": "#!/usr/bin/python3\nsys.path.insert(0, '/data/lib')\n"},
    "script-late": {"usr/bin/x": "#!/bin/sh\nsh /tmp/a\n\nif true; then\n  /data/x\nfi\n"},
    "pth": {"usr/lib/python3/x.pth": "/data/lib\n"},
    "elf-interpreter": {"usr/bin/x": elf_program(interpreter="/data/ld.so")},
    "elf-needed": {"usr/bin/x": elf_program(needed="/data/x.so")},
    "elf-runpath": {"usr/bin/x": elf_program(runpath="/usr/lib:/data/lib")},
    "elf-origin": {"usr/bin/x": elf_program(runpath="$ORIGIN/../../data")},
    "logrotate": {"etc/logrotate.d/x": "/var/log/x {\n postrotate\n  /data/x\n endscript\n}\n"},
    "openssl": {"etc/ssl/openssl.cnf": "dynamic_path = /data/x.so\n"},
    "unknown-config": {"etc/keepalived.conf": 'notify_master "/data/x"\n'},
    "other-mount": {
        "etc/fstab": "/dev/sda1 /srv ext4 nosuid,nodev,noexec 0 0\n",
        UNIT: "[Service]\nExecStart=/srv/x\n",
    },
    "read-only-mount": {
        "etc/fstab": "/dev/sda1 /srv squashfs ro,nosuid,nodev,noexec 0 0\n",
        UNIT: "[Service]\nExecStart=/srv/x\n",
    },
    "mount-unit": {
        "etc/systemd/system/srv.mount": "[Mount]\nWhat=/dev/sda1\nWhere=/srv\n",
        UNIT: "[Service]\nExecStart=/srv/x\n",
    },
    "mount-below-tmpfs": {
        "etc/fstab": "tmpfs /var tmpfs nosuid,nodev\n/dev/sda1 /var/lib ext4 nosuid,nodev,noexec\n",
        "usr/bin/x": "#!/bin/sh\n/var/lib/x\n",
    },
}

DATA: dict[str, Files] = {
    "accounts-before": {"etc/passwd-": "backup:x:34:34:b:/var/backups:/usr/sbin/nologin\n"},
    "nothing": {},
    "application": service(
        "StateDirectory=app",
        "ReadWritePaths=/data/app",
        "WorkingDirectory=/data/app",
        "Environment=APP_STATE=/data/app/state HOME=/data/app",
        "ExecStartPre=/bin/mkdir -p /data/app/cache",
        "ExecStart=/usr/bin/app --state /data/app/state.db --log=/data/app/log",
        "ExecStartPost=/bin/sh -c 'touch /data/app/started; echo /data/app > /run/x'",
        "PIDFile=/run/app.pid",
        "BindPaths=/data/app:/var/lib/app",
        "ConditionPathExists=/data/app",
        "LoadCredential=x:/data/app/x",
    ),
    "python-application": service("ExecStart=/usr/bin/python3 /usr/lib/app/main.py /data/app"),
    "python-module": service("ExecStart=/usr/bin/python3 -m http.server --directory /data/www"),
    "java-application": service("ExecStart=/usr/bin/java -jar /usr/lib/app.jar --data /data/app"),
    "wrapped": service("ExecStart=/usr/bin/nice -n 5 /usr/bin/app /data/app"),
    "environment-argument": service("ExecStart=/usr/bin/env STATE=/data/app /usr/bin/app"),
    "as-user": service("ExecStart=/usr/sbin/runuser -u app -- /usr/bin/app /data/app"),
    "lock": service("ExecStart=/usr/bin/flock /data/lock /usr/bin/app"),
    "daemon": service("ExecStart=/sbin/start-stop-daemon -S -p /data/pid --exec /usr/bin/app"),
    "shell-test": service("ExecStart=/bin/sh -c 'test -f /data/x || cp /usr/share/x /data/x'"),
    "script": {"usr/bin/x": "#!/bin/sh\nD=/data/app\nmkdir -p $D\ncat $D/y | grep z > $D/t\n"},
    "script-temporary": {"usr/bin/x": "#!/bin/sh\nT=${TMPDIR:-/tmp}/x\nsh $T\n"},
    "link-of-data": {"home": "->/data/home", "usr/share/app/state": "->/data/app"},
    "signed-image": {
        "usr/lib/systemd/system/bootseal-app@.service": (APPS / "bootseal-app@.service").read_text()
    },
    "link-configuration": {"etc/app.conf": "->/data/app.conf", "etc/hostname": "->/data/hostname"},
    "tmpfiles": {
        "etc/tmpfiles.d/x.conf": "d /data/app 0755 app app -\nL /var/app - - - - /data/app\n"
    },
    "core-files": {"etc/sysctl.d/x.conf": "kernel.core_pattern=/data/cores/%e\n"},
    "cron": {"etc/cron.d/x": "0 3 * * * app /usr/bin/app --backup /data/app\n"},
    "udev": {"etc/udev/rules.d/9.rules": 'RUN+="/usr/bin/app /data/app"\n'},
    "config": {
        "etc/app.conf": "data_dir = /data/app\npath = /usr/share/app\nlog = /data/app/log\n"
        "downloads = /data/app/downloads\n"
    },
    "host-keys": {"etc/ssh/sshd_config": "HostKey /data/ssh/host\nPermitRootLogin no\n"},
    "pam-record": {"etc/pam.d/login": "auth required pam_faillock.so dir=/data/faillock\n"},
    "masked": {
        "usr/lib/systemd/system/debug-shell.service": TTY + "ExecStart=/bin/sh\n",
        "etc/systemd/system/debug-shell.service": "->/dev/null",
        f"{WANTED}/debug-shell.service": "->/usr/lib/systemd/system/debug-shell.service",
    },
    "not-enabled": {"usr/lib/systemd/system/debug-shell.service": TTY + "ExecStart=/bin/sh\n"},
    "getty": {
        "usr/lib/systemd/system/serial-getty@.service": (
            "[Service]\nExecStart=-/sbin/agetty -o '-p -- \\\\u' --keep-baud %I $TERM\n"
            "StandardInput=tty\nTTYPath=/dev/%I\n"
        )
    },
    "rescue": {
        "usr/lib/systemd/system/rescue.service": (
            "[Service]\nExecStart=-/usr/lib/systemd/systemd-sulogin-shell rescue\n"
            "StandardInput=tty\n"
        )
    },
    "pam-debian": {
        "etc/pam.d/common-auth": "auth [success=1 default=ignore] pam_unix.so\n"
        "auth requisite pam_deny.so\nauth required pam_permit.so\n"
    },
    "sshd": {"usr/sbin/sshd": b"\x7fELF", "etc/ssh/sshd_config": "UsePAM yes\n"},
}

SHELLS: dict[str, Files] = {
    "autologin": {
        "etc/systemd/system/serial-getty@ttyAMA0.service.d/x.conf": (
            "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --keep-baud %I\n"
        )
    },
    "autologin-short": {
        "etc/systemd/system/getty@.service": "[Service]\nExecStart=/sbin/agetty -a root tty1\n"
    },
    "getty-shell": {
        "etc/systemd/system/getty@.service": "[Service]\nExecStart=/sbin/getty -n -l /bin/sh 0\n"
    },
    "login": {"etc/systemd/system/getty@.service": "[Service]\nExecStart=/bin/login -f root\n"},
    "debug-shell": {
        "usr/lib/systemd/system/debug-shell.service": TTY + "ExecStart=/bin/sh\n",
        "etc/systemd/system/sysinit.target.wants/debug-shell.service": (
            "->/usr/lib/systemd/system/debug-shell.service"
        ),
    },
    "debug-shell-wanted": {
        "usr/lib/systemd/system/debug-shell.service": TTY + "ExecStart=/bin/sh\n",
        "etc/systemd/system/multi-user.target.d/x.conf": "[Unit]\nWants=debug-shell.service\n",
    },
    "debug-shell-preset": {"etc/systemd/system-preset/0.preset": "enable debug-shell.service\n"},
    "terminal": {
        "etc/systemd/system/x.service": TTY + "ExecStart=-/bin/bash --login\n",
        f"{WANTED}/x.service": "->/etc/systemd/system/x.service",
    },
    "connection": {
        "etc/systemd/system/x.socket": "[Socket]\nListenStream=23\nAccept=yes\n",
        "etc/systemd/system/x@.service": "[Service]\nExecStart=-/bin/sh\nStandardInput=socket\n",
        "etc/systemd/system/sockets.target.wants/x.socket": "->/etc/systemd/system/x.socket",
    },
    "telnet": {
        "etc/systemd/system/x.service": "[Service]\nExecStart=/bin/busybox telnetd -l /bin/sh\n",
        f"{WANTED}/x.service": "->/etc/systemd/system/x.service",
    },
    "netcat": {
        "etc/systemd/system/x.service": "[Service]\nExecStart=/bin/nc -l -p 99 -e /bin/sh\n",
        f"{WANTED}/x.service": "->/etc/systemd/system/x.service",
    },
    "sulogin": {
        "etc/systemd/system/emergency.service.d/x.conf": (
            "[Service]\nEnvironment=SYSTEMD_SULOGIN_FORCE=1\n"
        )
    },
    "inittab": {"etc/inittab": "ttyAMA0::askfirst:-/bin/sh\n"},
    "inittab-getty": {"etc/inittab": "1:5:respawn:/sbin/agetty --autologin root tty1\n"},
    "inetd": {"etc/inetd.conf": "telnet stream tcp nowait root /usr/sbin/in.telnetd in.telnetd\n"},
    "empty-passwords": {"etc/ssh/sshd_config": "PermitEmptyPasswords yes\n"},
    "pam": {"etc/pam.d/login": "auth sufficient pam_permit.so\n"},
}

LOGINS: dict[str, Files] = {
    "keys": {"etc/ssh/sshd_config": "AuthorizedKeysFile /data/keys/%u\n"},
    "keys-second": {"etc/ssh/sshd_config": "AuthorizedKeysFile .ssh/k /data/keys\n"},
    "keys-command": {"etc/ssh/sshd_config.d/x.conf": "AuthorizedKeysCommand /data/x %u\n"},
    "authorities": {"etc/ssh/sshd_config": "TrustedUserCAKeys=/data/ca.pub\n"},
    "include": {"etc/ssh/sshd_config": "Include /data/sshd/*.conf\n"},
    "home": {
        "usr/sbin/sshd": b"\x7fELF",
        "etc/passwd": "app:*:99:99::/data/app:/bin/sh\n",
    },
    "home-link": {
        "etc/ssh/sshd_config": "AuthorizedKeysFile %h/.ssh/authorized_keys\n",
        "etc/passwd": "app:*:99:99::/home/app:/bin/sh\n",
        "home": "->/data/home",
    },
    "dropbear": {"etc/dropbear": "->/data/dropbear"},
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_program_on_a_writable_file_system_is_an_error(tmp_path: Path, case: str) -> None:
    found = check(tmp_path, PROGRAMS[case])

    errors = {each.id for each in found if each.severity is Severity.ERROR}
    assert errors == {"disk.root-unsigned-program"}
    targets = {each.observed.split("/")[1] for each in found if each.severity is Severity.ERROR}
    assert targets <= {"data", "srv", "tmp", "var"}


@pytest.mark.parametrize("case", DATA)
def test_data_on_a_writable_file_system_is_no_finding(tmp_path: Path, case: str) -> None:
    assert [(each.where, each.message) for each in check(tmp_path, DATA[case])] == []


@pytest.mark.parametrize("case", SHELLS)
def test_way_to_a_shell_is_an_error(tmp_path: Path, case: str) -> None:
    found = check(tmp_path, SHELLS[case])

    assert {each.id for each in found} == {"disk.root-shell"}
    assert {each.severity for each in found} == {Severity.ERROR}


@pytest.mark.parametrize("case", SHELLS)
def test_root_with_a_way_to_a_shell_is_described_with_a_login(tmp_path: Path, case: str) -> None:
    assert offers_login(tree(tmp_path, SHELLS[case]).nodes)


@pytest.mark.parametrize("case", ["masked", "not-enabled", "getty", "rescue", "pam-debian", "sshd"])
def test_root_without_one_is_not(tmp_path: Path, case: str) -> None:
    assert not offers_login(tree(tmp_path, DATA[case]).nodes)


@pytest.mark.parametrize("case", LOGINS)
def test_login_that_unsigned_files_decide_is_an_error(tmp_path: Path, case: str) -> None:
    found = check(tmp_path, LOGINS[case])

    assert "disk.root-login-unsigned" in {each.id for each in found}
    assert {each.severity for each in found} == {Severity.ERROR}


def test_development_image_may_have_both(tmp_path: Path) -> None:
    files = SHELLS["terminal"] | LOGINS["keys"]

    found = check(tmp_path, files, production=False)

    assert {each.severity for each in found} == {Severity.INFO, Severity.WARNING}


@pytest.mark.parametrize("where", ["/usr", "/etc", "/usr/lib/app", "/root", "/lib"])
def test_mount_over_signed_files_is_an_error(tmp_path: Path, where: str) -> None:
    found = check(tmp_path, {"etc/fstab": f"/data/x {where} none bind 0 0\n"})

    assert "disk.root-mount" in {each.id for each in found if each.severity is Severity.ERROR}


def test_declared_state_is_as_it_should_be(tmp_path: Path) -> None:
    root = tmp_path / "root"
    state.install("/etc/machine-id /etc/systemd/network /var/lib/app /var/log", root)
    made = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    files: Files = {str(path.relative_to(root)): path.read_text() for path in made}

    assert check(tmp_path, files) == []


@pytest.mark.parametrize("where", ["/etc/systemd/system", "/etc/pam.d", "/var/lib/extensions"])
def test_state_where_code_is_taken_from_is_an_error(tmp_path: Path, where: str) -> None:
    root = tmp_path / "root"
    state.install("/var/lib/app", root)
    unit = (root / state.UNITS / "var-lib-app.mount").read_text()
    text = unit.replace("/var/lib/app", where)
    (found,) = check(tmp_path, {"usr/lib/systemd/system/x.mount": text})

    assert (found.id, found.severity) == ("disk.root-state", Severity.ERROR)
    assert found.message.startswith(f"keeps {where} on the data partition: what is there could")


def test_mount_over_a_place_for_state_from_elsewhere_is_an_error(tmp_path: Path) -> None:
    found = check(tmp_path, {"etc/fstab": "/data/x /etc/systemd/network none bind 0 0\n"})

    assert "disk.root-mount" in {each.id for each in found}


def test_mount_without_care_is_a_warning(tmp_path: Path) -> None:
    (found,) = check(tmp_path, {"etc/fstab": "/dev/sda1 /srv ext4 nodev 0 0\n"})

    assert (found.id, found.severity) == ("disk.root-mount-options", Severity.WARNING)
    assert found.message == "mounts /srv without noexec, nosuid"


def test_finding_names_file_line_and_target(tmp_path: Path) -> None:
    (found,) = check(tmp_path, PROGRAMS["python"])

    assert found.where == f"root-a:/{UNIT}"
    assert found.message == (
        "line 2 leads to /data/app/main.py, which is not signed, for a program or what one loads"
    )


DAMAGED = {
    "quote": "'",
    "quotes": "\"'" * 9999,
    "substitution": "$((",
    "backtick": "`",
    "brace": "a=${",
    "case": "case x in",
    "backslash": "\\",
    "long": "x" * 90_000,
    "parentheses": "((" * 30_000,
    "braces": "${" * 9_999,
    "variables": '"' + "${a" * 30_000 + '"',
    "wrappers": "env " * 9999,
    "evals": "eval " * 9999,
    "finds": "find / -exec " * 200,
    "keys": "run" * 30_000,
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("path", ["usr/bin/x", "etc/x.conf", "etc/cron.d/x", UNIT])
def test_hostile_text_ends(tmp_path: Path, case: str, path: str) -> None:
    text = f"#!/bin/sh\n{DAMAGED[case]}\nExecStart={DAMAGED[case]}"

    assert check(tmp_path, {path: text}) == []
