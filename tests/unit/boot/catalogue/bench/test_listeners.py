# SPDX-License-Identifier: MIT
"""What the kernel's tables of sockets say about listeners."""

from __future__ import annotations

import pytest

from bootseal.boot.catalogue.bench.listeners import listening

HEADERS = """\
tcp:  sl  local_address rem_address   st
tcp6:  sl  local_address                         remote_address                        st tx_queue
udp:   sl  local_address rem_address   st
udp6:  sl  local_address                         remote_address                        st tx_queue
udplite:   sl  local_address rem_address   st
udplite6:  sl  local_address                         remote_address
raw:  sl  local_address rem_address   st
raw6:  sl  local_address                         remote_address                        st tx_queue
packet:sk               RefCnt Type Proto  Iface R Rmem   User   Inode
"""
NOBODY = "00000000:0000"


def test_empty_tables_have_nothing() -> None:
    assert listening(HEADERS) == []


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (f"tcp:   0: 0F02000A:0016 {NOBODY} 0A 00000000:00000000", ["tcp 10.0.2.15:22"]),
        ("tcp:   1: 0F02000A:C4D2 6402000A:22B3 01 00000000:00000000", []),
        (
            f"tcp6:   0: {'0' * 32}:1151 {'0' * 32}:0000 0A 00000000:00000000",
            ["tcp6 [::]:4433"],
        ),
        (
            f"tcp6:   0: 000080FE00000000FF005450563412FE:1151 {'0' * 32}:0000 0A 0",
            ["tcp6 [fe80::5054:ff:fe12:3456]:4433"],
        ),
        (f"udp:  107: 0F02000A:0044 {NOBODY} 07 00000000:00000000", ["udp 10.0.2.15:68"]),
        (f"udp6:  1: {'0' * 32}:14EB {'0' * 32}:0000 07 0:0", ["udp6 [::]:5355"]),
        (f"udplite:  1: 00000000:0035 {NOBODY} 07 0:0", ["udplite 0.0.0.0:53"]),
        (f"raw:   1: 00000000:0001 {NOBODY} 07 00000000:00000000", ["raw 0.0.0.0:1"]),
        (f"raw6:  58: {'0' * 32}:003A {'0' * 32}:0000 07 0:0", ["raw6 [::]:58"]),
        ("packet:ffff0000c0de0000 3      3    88cc   2     1 0      993    4711", None),
    ],
)
def test_socket_is_found(row: str, found: list[str] | None) -> None:
    expected = [row.replace(":", " ", 1)] if found is None else found
    assert listening(f"{HEADERS}{row}\n") == expected


@pytest.mark.parametrize("name", ["tcp", "udp6", "raw", "packet"])
def test_missing_table_is_not_an_empty_one(name: str) -> None:
    less = "".join(line for line in HEADERS.splitlines(True) if not line.startswith(f"{name}:"))  # noqa: FBT003
    with pytest.raises(ValueError, match=f"no table {name}"):
        listening(less)
