# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from bootseal.boot.machine import escrow
from bootseal.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = "f0b726cd-a576-4e1a-85f5-112b752b2846"


def line(**changes: object) -> bytes:
    cms = base64.b64encode(b"CMS").decode()
    document = {"schema": escrow.SCHEMA, "volume": VOLUME, "cms": cms} | changes
    return json.dumps(document).encode()


def test_what_comes_in_pieces_is_stored_once_and_answered(tmp_path: Path) -> None:
    log = tmp_path / "step-1.log"
    desk = escrow.Station(log)
    whole = line() + b"\n"

    assert desk.take(whole[:20]) == b""
    assert desk.take(whole[20:]) == f"stored {VOLUME}\n".encode()
    assert escrow.handed_out(log) == (escrow.Escrow(volume=VOLUME, cms=b"CMS"),)


def test_nothing_handed_out_is_nothing_stored(tmp_path: Path) -> None:
    log = tmp_path / "step-1.log"

    assert escrow.Station(log).take(line()) == b""
    assert escrow.handed_out(log) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b'"text"',
        b"{}",
        line(schema="bootseal.escrow/2"),
        line(more=1),
        line(cms="!"),
        line(cms=7),
        line(volume=7),
        line(volume="\x1b[2J"),
    ],
)
def test_anything_else_is_refused_and_not_stored(tmp_path: Path, data: bytes) -> None:
    log = tmp_path / "step-1.log"

    assert escrow.Station(log).take(data + b"\n") == b"refused\n"
    assert escrow.handed_out(log) == ()
    with pytest.raises(FormatError, match="the escrow line"):
        escrow.parse(data)
