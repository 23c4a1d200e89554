# SPDX-License-Identifier: MIT
"""What must hold before a secure-boot build starts."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from bootseal_layer import keys, state

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CAPABILITIES: Final = {
    "verified-boot": "U-Boot has a device tree of its own, and something checks U-Boot",
    "slots": "the boot logic of this layer runs on the board",
    "tpm2": "a TPM 2.0 that U-Boot and Linux have drivers for",
    "rom": "what starts the board is made here, and verifies Trusted Firmware-A's BL2",
}
_ALWAYS: Final = ("slots", "verified-boot")
# What has no default, because it is another on every machine.
MACHINE_VARIABLES: Final = ("BOOTSEAL_KERNEL_ADDRESS", "BOOTSEAL_UBOOT_BOARD_DIR")
PROFILES: Final = ("dev", "production")
ARCHITECTURE: Final = "aarch64"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a request needs of the machine, of the product's other requests, and of other layers."""

    capabilities: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


REQUESTS: Final = {
    "measured-boot": Needs(capabilities=("tpm2",)),
    "encrypted-data": Needs(capabilities=("tpm2",), requests=("measured-boot",)),
    "rom": Needs(capabilities=("rom", "tpm2"), requests=("measured-boot",), layers=("meta-arm",)),
    "greengrass": Needs(requests=("encrypted-data",), layers=("meta-aws",)),
    "updates": Needs(requests=("encrypted-data",), layers=("rauc",)),
    "apps": Needs(requests=("encrypted-data",)),
    "modules": Needs(),
}


class DataStore(Protocol):
    """What is used of bitbake's data store."""

    def getVar(self, name: str) -> str | None:  # noqa: N802 - bitbake's name
        """Return the expanded value of a variable."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The variables that the check looks at."""

    machine: str
    architecture: str
    init_manager: str
    capabilities: frozenset[str]
    requests: frozenset[str]
    profile: str
    keys: str
    layers: frozenset[str] = frozenset()
    unset: tuple[str, ...] = ()
    state: str = ""
    source: str = ""
    watchdog: str = ""

    @classmethod
    def read(cls, data: DataStore) -> Configuration:
        """Take them from bitbake's data store."""

        def value(name: str) -> str:
            return data.getVar(name) or ""

        return cls(
            machine=value("MACHINE"),
            architecture=value("TARGET_ARCH"),
            init_manager=value("INIT_MANAGER"),
            capabilities=frozenset(value("BOOTSEAL_CAPABILITIES").split()),
            requests=frozenset(value("BOOTSEAL_REQUESTS").split()),
            profile=value("BOOTSEAL_PROFILE"),
            keys=value("BOOTSEAL_KEYS"),
            layers=frozenset(value("BBFILE_COLLECTIONS").split()),
            state=value("BOOTSEAL_STATE"),
            source=value("BOOTSEAL_SOURCE"),
            watchdog=value("BOOTSEAL_WATCHDOG"),
            unset=tuple(name for name in MACHINE_VARIABLES if not value(name)),
        )


def configuration(given: Configuration) -> list[str]:
    """Return every reason not to build, each with what to do about it."""
    if given.architecture != ARCHITECTURE:
        # Nothing else is worth saying: what is missing cannot be declared.
        reason = (
            f"the machine {given.machine} is {given.architecture}: this layer secures 64-bit ARM"
            " boards that start with U-Boot. For PCs with UEFI, see systemd-boot and uki.bbclass of"
            " OE-Core"
        )
        return [reason]
    problems = _unknown("BOOTSEAL_CAPABILITIES", given.capabilities, CAPABILITIES)
    problems += _unknown("BOOTSEAL_REQUESTS", given.requests, REQUESTS)
    problems += _unmet(given)
    problems += [
        f"{name} is not set: set it in conf/machine/include/bootseal-{given.machine}.inc"
        for name in given.unset
    ]
    if given.init_manager != "systemd":
        problems.append(
            f"INIT_MANAGER is {given.init_manager!r}: the device's units need"
            ' INIT_MANAGER = "systemd"'
        )
    if problem := _keys(given):
        problems.append(problem)
    return problems + _product(given)


def _product(given: Configuration) -> list[str]:
    """Return what is wrong with how the product wants its devices to run."""
    problems = []
    if given.state.split() and "encrypted-data" not in given.requests:
        problems.append(
            "BOOTSEAL_STATE needs encrypted-data: use the fragment bootseal/bootseal/encrypted-data"
            " as well"
        )
    if problem := state.problem(given.state, given.source):
        problems.append(problem)
    if given.watchdog and not re.fullmatch("[1-9][0-9]{0,3}", given.watchdog):
        problems.append(
            f"BOOTSEAL_WATCHDOG is {given.watchdog!r}: expected seconds, 1 to 9999, or nothing"
        )
    return problems


def _unknown(variable: str, words: Collection[str], known: Mapping[str, object]) -> list[str]:
    problems = []
    for word in sorted(set(words) - known.keys()):
        near = difflib.get_close_matches(word, known, n=1)
        hint = f", did you mean {near[0]}?" if near else f": known are {', '.join(known)}"
        problems.append(f"{variable} names {word!r}{hint}")
    return problems


def _unmet(given: Configuration) -> list[str]:
    """Compare what is asked for with what the machine declares."""
    problems = []
    needed = dict.fromkeys(_ALWAYS, "bootseal")
    for request in sorted(given.requests & REQUESTS.keys()):
        needs = REQUESTS[request]
        needed |= {name: request for name in needs.capabilities if name not in needed}
        problems += [
            f"{request} needs {other}: use the fragment bootseal/bootseal/{other} as well"
            for other in needs.requests
            if other not in given.requests
        ]
        problems += [
            f"{request} needs the layer {layer}: bitbake-layers add-layer, with the path of it"
            for layer in needs.layers
            if layer not in given.layers
        ]
    problems += [
        f"{request} was requested, and the machine {given.machine} does not declare {name}"
        f" ({CAPABILITIES[name]}). If that is so, say it in BOOTSEAL_CAPABILITIES of"
        f" conf/machine/include/bootseal-{given.machine}.inc"
        for name, request in needed.items()
        if name not in given.capabilities
    ]
    return problems


def _keys(given: Configuration) -> str:
    if given.profile not in PROFILES:
        return (
            f"BOOTSEAL_PROFILE is {given.profile!r}. Use one of the fragments"
            " bootseal/bootseal/dev-keys and bootseal/bootseal/production"
        )
    try:
        roles: tuple[str, ...] = keys.ROLES
        roles += keys.FIRMWARE_ROLES if "rom" in given.requests else ()
        roles += keys.UPDATE_ROLES if "updates" in given.requests else ()
        roles += keys.APP_ROLES if "apps" in given.requests else ()
        roles += keys.MODULES_ROLES if "modules" in given.requests else ()
        development = keys.manifest(given.keys, roles).development
    except keys.KeyDirectoryError as error:
        return str(error)
    if development and given.profile == "production":
        return (
            f"BOOTSEAL_PROFILE is production, and {given.keys} holds development keys. Set"
            " BOOTSEAL_KEYS to a directory made with `bootseal keys generate --profile production`"
        )
    if not development and given.profile == "dev":
        return (
            f"BOOTSEAL_PROFILE is dev, and {given.keys} holds production keys, which must not sign"
            " development images. Use the fragment bootseal/bootseal/production"
        )
    return ""
