# SPDX-License-Identifier: MIT
"""What the device's scripts share, for a software TPM behind a socket and a disk in a file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES: Final = Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-device/files"
_DEVICE: Final = "3<>/dev/tpmrm0"


def library(directory: Path, changes: Mapping[str, object] | None = None) -> Path:
    """Return a copy of the library in which commands go by tpm2_send, to TPM2TOOLS_TCTI.

    Args:
        directory: Where it is made.
        changes: By text of the copy what takes its place, such as the path of the disk.
    """
    made = directory / "library"
    made.mkdir(exist_ok=True)
    text = (FILES / "tpm").read_text()
    assert _DEVICE in text
    tpm = f'{text}\ntransmit() {{\n\tunhex "$@" | tpm2_send | hex\n}}\n'
    luks2 = (FILES / "luks2").read_text()
    for old, new in (changes or {}).items():
        assert old in luks2
        luks2 = luks2.replace(old, str(new))
    (made / "tpm").write_text(tpm)
    (made / "luks2").write_text(luks2)
    shutil.copy(FILES / "check-header", made)
    (made / "check-header").chmod(0o755)
    return made
