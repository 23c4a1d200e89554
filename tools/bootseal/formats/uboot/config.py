# SPDX-License-Identifier: MIT
"""What a finished `.config` of U-Boot may have, by families of symbols.

A board's defconfig, or a newer U-Boot, brings symbols that nobody here has heard of. What matters
is what they would be: another place for the environment, another command, another file system,
another network.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from bootseal.formats import kconfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bootseal.formats.kconfig import Setting

# Commands that neither start, load nor copy anything but what the compiled-in boot logic asks for,
# and change nothing but variables and the parts of a board. REMOTEPROC starts another processor:
# boards of i.MX 8M select it, so that it cannot be off, and nothing in the boot logic calls it.
_COMMANDS: Final = frozenset({
    "BDI", "BLOCK_CACHE", "BOOTCOUNT", "BOOTM", "CLK", "CLS", "CONSOLE", "CPU", "CYCLIC", "DATE",
    "DM", "ECHO", "ENV_EXISTS", "EXPORTENV", "GPIO", "HELP", "IMPORTENV", "ITEST", "LED", "MEMINFO",
    "MEMINFO_MAP", "MMC", "PART", "PINMUX", "PMIC", "POWEROFF", "REGULATOR", "REMOTEPROC",
    "RNG", "RUN", "SETEXPR", "SLEEP", "TIME", "TIMER", "TPM", "TPM_V1", "TPM_V2", "VIRTIO", "WDT",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Symbols of one purpose, which are off.

    Attributes:
        patterns: Their names without `CONFIG_`; `*` matches anything.
        reason: What a symbol of it would do.
        allowed: Names that may be on all the same.
        spl: Whether SPL's symbol of the same name, which selects it, allows it: SPL reads U-Boot
            from there before this U-Boot runs, which has no command for it.
    """

    patterns: tuple[str, ...]
    reason: str
    allowed: frozenset[str] = frozenset()
    spl: bool = False


FAMILIES: Final = (
    Family(
        patterns=("*ENV_IS_IN_*", "ENV_IMPORT_FDT"),
        reason="the boot command would be read from where anyone can write it",
    ),
    Family(
        patterns=("CMD_*",),
        reason="a command outside of the allow-list",
        allowed=frozenset(f"CMD_{name}" for name in _COMMANDS),
    ),
    Family(
        patterns=("FS_*",), reason="a file system would be parsed before it is verified", spl=True
    ),
    Family(
        patterns=(
            "NET",
            "NET_LWIP",
            "NETDEVICES",
            "NETCONSOLE",
            "PROT_*",
            "IPV6",
            "DNS",
            "WGET",
        ),
        reason="the network would reach U-Boot",
    ),
    Family(
        patterns=(
            "DFU",
            "DFU_*",
            "FASTBOOT",
            "SEMIHOSTING",
            "QFW",
            "UDP_FUNCTION_*",
            "USB_FUNCTION_*",
        ),
        reason="something outside of the device could load or write",
    ),
    Family(
        patterns=(
            "ANDROID_BOOT_IMAGE",
            "BOOTMETH_*",
            "BOOTM_EFI",
            "BOOTM_NETBSD",
            "BOOTM_PLAN9",
            "BOOTM_RTEMS",
            "BOOTM_VXWORKS",
            "BOOTSTD",
            "DISTRO_DEFAULTS",
            "EFI_LOADER",
            "LEGACY_IMAGE_FORMAT",
            "SUPPORT_RAW_INITRD",
        ),
        reason="something else than a signed configuration of a FIT could start",
    ),
    Family(
        patterns=("FIT_BEST_MATCH", "FIT_SIGNATURE_IGNORE", "OF_BOARD"),
        reason="what is verified, or with which key, would not be U-Boot's own choice",
    ),
)

_VERIFIED: Final = "without it nothing is verified"
WANTED: Final[Mapping[str, str]] = {
    "FIT": _VERIFIED,
    "FIT_SIGNATURE": _VERIFIED,
    "FIT_FULL_CHECK": "without it a malformed FIT gets past the gate",
    "RSA_VERIFY": _VERIFIED,
    "ENV_IS_NOWHERE": "without it the environment is not the one that is compiled in",
}
"""Symbols that are on, without `CONFIG_`, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A symbol that a U-Boot of a bootseal device does not have, or lacks.

    Attributes:
        symbol: With its prefix `CONFIG_`.
        expected: `y` or `n`.
        reason: What is wrong with it otherwise.
    """

    symbol: str
    expected: str
    reason: str


def violations(settings: Mapping[str, Setting]) -> Iterator[Violation]:
    """Yield what is wrong with a finished configuration, wanted symbols first.

    >>> from bootseal.formats.kconfig import Setting
    >>> [v.symbol for v in violations({"CONFIG_CMD_GO": Setting("y", 1)})][-1]
    'CONFIG_CMD_GO'
    """
    for name, reason in WANTED.items():
        found = settings.get(f"{kconfig.PREFIX}{name}")
        if found is None or found.value != kconfig.ON:
            yield Violation(symbol=f"{kconfig.PREFIX}{name}", expected=kconfig.ON, reason=reason)
    for symbol, setting in settings.items():
        if setting.value == kconfig.ON and (reason := forbidden(symbol, settings)):
            yield Violation(symbol=symbol, expected=kconfig.OFF, reason=reason)


def forbidden(symbol: str, settings: Mapping[str, Setting]) -> str:
    """Return why a symbol, with its prefix, must be off; empty when it need not be.

    Args:
        symbol: The symbol.
        settings: The configuration, or what is known of it: SPL's symbols allow some.
    """
    name = symbol.removeprefix(kconfig.PREFIX)
    for family in FAMILIES:
        if name in family.allowed or not any(fnmatchcase(name, p) for p in family.patterns):
            continue
        spl = settings.get(f"{kconfig.PREFIX}SPL_{name}")
        if family.spl and spl is not None and spl.value == kconfig.ON:
            continue
        return family.reason
    return ""
