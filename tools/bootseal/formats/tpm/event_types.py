# SPDX-License-Identifier: MIT
"""The names of event types in a TCG event log.

Spec: TCG PC Client Platform Firmware Profile 1.05, section 10.4.1.
"""

from __future__ import annotations

from typing import Final

_BELOW_EFI: Final = (
    "EV_PREBOOT_CERT",
    "EV_POST_CODE",
    "EV_UNUSED",
    "EV_NO_ACTION",
    "EV_SEPARATOR",
    "EV_ACTION",
    "EV_EVENT_TAG",
    "EV_S_CRTM_CONTENTS",
    "EV_S_CRTM_VERSION",
    "EV_CPU_MICROCODE",
    "EV_PLATFORM_CONFIG_FLAGS",
    "EV_TABLE_OF_DEVICES",
    "EV_COMPACT_HASH",
    "EV_IPL",
    "EV_IPL_PARTITION_DATA",
    "EV_NONHOST_CODE",
    "EV_NONHOST_CONFIG",
    "EV_NONHOST_INFO",
    "EV_OMIT_BOOT_DEVICE_EVENTS",
    "EV_POST_CODE2",
)
_EFI: Final = {
    0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
    0x80000002: "EV_EFI_VARIABLE_BOOT",
    0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
    0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
    0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
    0x80000006: "EV_EFI_GPT_EVENT",
    0x80000007: "EV_EFI_ACTION",
    0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
    0x80000009: "EV_EFI_HANDOFF_TABLES",
    0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
    0x8000000B: "EV_EFI_HANDOFF_TABLES2",
    0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
}
_NAMES: Final = dict(enumerate(_BELOW_EFI)) | _EFI
_NUMBERS: Final = {name: number for number, name in _NAMES.items()}


def name(number: int) -> str:
    """Return the name of an event type, or its number where it has none.

    >>> name(0xC), name(0xABC)
    ('EV_COMPACT_HASH', '0x00000abc')
    """
    return _NAMES.get(number, f"{number:#010x}")


def is_known(number: int) -> bool:
    """Tell whether the specification names this event type."""
    return number in _NAMES


def number(text: str) -> int:
    """Return the event type of a name that `name` gave; -1 when it is none.

    >>> number("EV_COMPACT_HASH"), number("0x00000abc"), number("EV_NONE")
    (12, 2748, -1)
    """
    known = _NUMBERS.get(text, -1)
    if known < 0 and text.startswith("0x"):
        try:
            found = int(text, 16)
        except ValueError:
            return -1
        return found if name(found) == text else -1
    return known
