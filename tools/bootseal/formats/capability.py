# SPDX-License-Identifier: MIT
"""File capabilities: those that the extended attribute `security.capability` grants.

Spec: Linux include/uapi/linux/capability.h (v6.12), `struct vfs_ns_cap_data`; little-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from bootseal.errors import FormatError

ATTRIBUTE: Final = "security.capability"

# By version, in the highest byte: how many words each set has, and what is behind the sets.
_FORMS: Final = {1: (1, 0), 2: (2, 0), 3: (2, 4)}
_NAMES: Final = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
    "setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
    "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
    "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
    "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip


def names(value: bytes) -> tuple[str, ...]:
    """Return the capabilities that a program has, or hands on, by the value of its attribute.

    Raises:
        FormatError: The kernel would refuse such a value.

    >>> names(bytes.fromhex("0100000200200000000000000000000000000000"))
    ('cap_net_raw',)
    """
    version = value[3] if len(value) > 3 else 0  # noqa: PLR2004 - the highest byte of the first word
    words, rest = _FORMS.get(version, (0, 0))
    if not words or len(value) != 4 + 8 * words + rest:
        raise FormatError(f"{len(value)} bytes of version {version} are not file capabilities")
    found = struct.unpack_from(f"<{2 * words}I", value, 4)
    both = sum((found[2 * i] | found[2 * i + 1]) << 32 * i for i in range(words))
    return tuple(
        f"cap_{_NAMES[bit] if bit < len(_NAMES) else bit}"
        for bit in range(32 * words)
        if both >> bit & 1
    )
