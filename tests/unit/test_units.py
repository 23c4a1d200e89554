# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.errors import UsageError
from bootseal.units import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("010", 10), ("0x10", 16), ("4K", 4096), ("16MiB", 16 << 20), (" 1 GB ", 1 << 30)],
)
def test_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1.5M", "0b1", "1_0", "\u0661", "1" * 5000, "0x" + "f" * 17]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not understood"):
        parse_size(text)
