# SPDX-License-Identifier: MIT
"""Places from which code, or what decides about code, is taken by name."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(
    r"(usr/|usr/local/)?(bin|sbin|lib|lib32|lib64|libx32|libexec)(/.*)?|usr|usr/local|boot(/.*)?"
    r"|usr/share/(perl|dbus-1|polkit-1|systemd|java|node|php|ruby|lua|p11-kit|glvnd|vulkan|xsessions"
    r"|wayland-sessions|applications|initramfs-tools|python|bash-completion|vim)[^/]*(/.*)?"
    r"|opt/[^/]+/(bin|sbin|lib|lib64|libexec)(/.*)?|root(/\.(ssh|profile|bash|zsh|config|local|pam).*)?"
    r"|etc|etc/(alternatives|systemd|init\.d|inittab|rc|cron|anacron|profile|bash|zsh|csh|environment"
    r"|udev|ld\.so|pam|security|modprobe|modules|depmod|dbus-1|NetworkManager/(dispatcher|conf)|network"
    r"|networkd-dispatcher|xdg|ssh|sudoers|doas|polkit-1|tmpfiles|sysusers|binfmt|sysctl|ppp|dhcp|acpi"
    r"|apm|update-motd|X11|kernel|passwd|shadow|group|fstab|crypttab|default|conf\.d|login\.defs|inetd"
    r"|xinetd|logrotate|opt|extensions|ssl/openssl|skel|nsswitch|apt|mdev|hotplug|runit|sv|s6|local\.d"
    r"|portables|nspawn|machines)[^/]*(/.*)?"
    r"|var/lib/(extensions|confexts|machines|portables)(/.*)?|var/spool/cron(/.*)?"
    r"|run/(systemd|udev|modprobe\.d|tmpfiles\.d|sysusers\.d|NetworkManager|extensions|confexts)(/.*)?"
)


def is_code(path: str) -> bool:
    """Tell whether a path without leading slash is where programs or their configuration are."""
    return _CODE.fullmatch(path.rstrip("/")) is not None
