# SPDX-License-Identifier: MIT
"""Which applications may run on a device, as its verified root has it.

Spec: docs/applications.md of bootseal.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RULES: Final = "usr/lib/bootseal/apps.d"
UNITS: Final = "usr/lib/systemd/system"
MINIMUM, HEALTH, LIMITS = FLAGS = ("MINIMUM", "HEALTH", "LIMITS")
"""Of the variables BOOTSEAL_APP_..., which have one value for each application."""
# As `bootseal-app` on the device reads them.
_NAME: Final = re.compile("[a-z][a-z0-9-]{0,26}")
_VERSION: Final = re.compile("[0-9A-Za-z][0-9A-Za-z.-]{0,31}")
_HEALTH: Final = re.compile("[1-9]|[1-9][0-9]|[1-5][0-9][0-9]|600")
_LIMIT: Final = re.compile('[A-Z][A-Za-z]+=[^"\\\\\n]*')


class AppError(Exception):
    """The variables do not describe applications; the message says which, and what to set."""


def install(names: Sequence[str], flags: Mapping[str, Mapping[str, str]], root: str) -> None:
    """Write what the release says of its applications.

    Args:
        names: BOOTSEAL_APPS.
        flags: By the last word of BOOTSEAL_APP_MINIMUM, _HEALTH and _LIMITS, values by name.
        root: Where the image is put together.

    Raises:
        AppError: A name, version, number or limit is not one, or is missing.
    """
    for flag in FLAGS:
        if unknown := sorted(flags.get(flag, {}).keys() - {*names, "doc"}):
            raise AppError(
                f"BOOTSEAL_APP_{flag}[{unknown[0]}] is for an application that BOOTSEAL_APPS does"
                " not name"
            )
    for name, content in files(names, flags).items():
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o644)


def files(names: Sequence[str], flags: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the files by their place in the image, as `install` writes them."""
    made = {}
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise AppError(f"BOOTSEAL_APPS names {name!r}: expected {_NAME.pattern}")

        def value(flag: str, form: re.Pattern[str], name: str = name) -> str:
            found = flags.get(flag, {}).get(name, "")
            if form.fullmatch(found) is None:
                raise AppError(f"BOOTSEAL_APP_{flag}[{name}] is {found!r}: expected {form.pattern}")
            return found

        rules = f"MINIMUM={value(MINIMUM, _VERSION)}\nHEALTH={value(HEALTH, _HEALTH)}\n"
        made[f"{RULES}/{name}.conf"] = rules
        limits = flags.get(LIMITS, {}).get(name, "").split()
        for limit in limits:
            if _LIMIT.fullmatch(limit) is None:
                raise AppError(f"BOOTSEAL_APP_LIMITS[{name}] has {limit!r}: expected Setting=value")
        if limits:
            lines = "".join(f"{line}\n" for line in ("[Service]", *limits))
            made[f"{UNITS}/bootseal-app@{name}.service.d/limits.conf"] = lines
    return made
