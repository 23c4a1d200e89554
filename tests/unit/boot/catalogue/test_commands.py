# SPDX-License-Identifier: MIT
"""The command of the boot logic is exchanged, and nothing else in the binary."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootseal.boot.catalogue.commands import commanded
from bootseal.errors import FormatError

LOGIC = Path(__file__).parents[4] / "meta-secureboot/recipes-bsp/u-boot/files/bootseal.env"


def binary() -> bytes:
    """A binary with the layer's variable as U-Boot's build writes it: one line, NUL at the end."""
    _, _, rest = LOGIC.read_text().partition("\nslot_start=\n")
    text = " ".join(rest.partition("\n\n")[0].split())
    return b"code\0slot_start=" + text.encode() + b"\0more code\0"


def test_commanded_changes_one_variable_and_no_size() -> None:
    before = binary()
    after = commanded(before, "bootm $fit_addr")

    assert len(after) == len(before)
    assert after.startswith(b"code\0slot_start=")
    assert after.endswith(b"\0more code\0")
    assert b";bootm $fit_addr;echo" in after
    assert b"#conf-" not in after


@pytest.mark.parametrize("bios", [b"", b"code\0", b"slot_start=short\0"])
def test_commanded_without_room_is_refused(bios: bytes) -> None:
    with pytest.raises(FormatError, match="no room"):
        commanded(bios, "bootm $fit_addr")
