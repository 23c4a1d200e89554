# SPDX-License-Identifier: MIT
"""File capabilities; the values are those that setcap (libcap 2.66) writes, changed by hand."""

from __future__ import annotations

import pytest

from bootseal.errors import FormatError
from bootseal.formats import capability

PING = "0100000200200000000000000000000000000000"


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (PING, ("cap_net_raw",)),
        (PING + "e8030000", None),
        (PING.replace("0002", "0003", 1) + "e8030000", ("cap_net_raw",)),
        ("01000001" + "00200000" + "00002000", ("cap_net_raw", "cap_sys_admin")),
        ("00000002" + "00000000" * 2 + "80000000" + "00000080", ("cap_bpf", "cap_63")),
        ("00000002" + "00000000" * 4, ()),
        ("00000004" + "00000000" * 4, None),
        ("00000001" + "00000000" * 4, None),
        ("000002", None),
        ("", None),
    ],
)
def test_capabilities_are_named_or_refused(value: str, names: tuple[str, ...] | None) -> None:
    data = bytes.fromhex(value)
    if names is None:
        with pytest.raises(FormatError, match="not file capabilities"):
            capability.names(data)
    else:
        assert capability.names(data) == names
