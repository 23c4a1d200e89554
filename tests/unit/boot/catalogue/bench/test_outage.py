# SPDX-License-Identifier: MIT
"""What counts as a device that was connected until its power was cut, and as its return."""

from __future__ import annotations

import base64
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import pytest

from bootseal.boot.catalogue.bench import outage, station
from bootseal.boot.catalogue.bench.cloud import ACCEPTED
from bootseal.boot.catalogue.bench.station import NAME, Port
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bootseal.boot.scenario.workspace import Workspace

SINCE: Final = 1000.0
HELD: Final = "990: New client connected from 127.0.0.1:5 as held (p2, c1, k0, u'{}').\n"
OTHER: Final = "1020: New client connected from 127.0.0.1:6 as auto-1 (p2, c1, k60, u'{}').\n"
LOCAL: Final = "           |-- {}\n              /32 host LOCAL\n"


@dataclass
class Place:
    """What `outage` needs of a workspace, and what the broker says when the device has spoken."""

    work: Path
    kept: dict[str, object] = field(default_factory=dict)

    def broker(self, text: str) -> None:
        with (self.work / "servers/broker.log").open("a") as log:
            log.write(text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers/server.pem").write_text("-----END CERTIFICATE-----\n")
    return Place(tmp_path)


def talk(monkeypatch: pytest.MonkeyPatch, place: Place, lines: list[bytes], log: str = "") -> None:
    """Have the device say lines, and the broker something once it is asked."""
    ours, theirs = os.pipe()
    os.write(theirs, b"".join(lines))
    os.close(theirs)
    sink = os.open(os.devnull, os.O_WRONLY)

    @contextmanager
    def opened(_workspace: Workspace) -> Iterator[Port]:
        place.broker(log)
        yield Port(incoming=ours, outgoing=sink)

    monkeypatch.setattr(station, "opened", opened)
    monkeypatch.setattr(station, "certify", lambda _workspace: None)


def said(output: bytes) -> list[bytes]:
    return [b"0\n%s\n\n" % base64.b64encode(output)]


def table(address: str) -> bytes:
    text = LOCAL.format(address) + LOCAL.format("127.0.0.1")
    return base64.b64encode(f"Main:\n{text}Local:\n{text}".encode()) + b"\n"


@pytest.mark.parametrize(
    ("output", "log", "refusal"),
    [
        (ACCEPTED, HELD.format(NAME), ""),
        (b"", HELD.format(NAME), "does not accept"),
        (ACCEPTED, HELD.format("device-2"), "does not see"),
        (ACCEPTED, OTHER.format(NAME), "does not see"),
    ],
)
def test_connection_is_one_that_the_broker_sees(
    monkeypatch: pytest.MonkeyPatch, place: Place, output: bytes, log: str, refusal: str
) -> None:
    talk(monkeypatch, place, said(output), log)
    workspace = cast("Workspace", place)
    if refusal:
        with pytest.raises(VerificationRefused, match=refusal):
            outage.stays_connected(workspace)
    else:
        outage.stays_connected(workspace)
    assert bool(place.kept) is not bool(refusal)


@pytest.mark.parametrize(
    ("log", "good"),
    [
        ("1012: Client held closed its connection.\n", True),
        ("1003: Client held closed its connection.\n", False),
        ("1012: Client auto-1 closed its connection.\n", False),
    ],
)
def test_connection_lasts_until_the_power_cut(
    monkeypatch: pytest.MonkeyPatch, place: Place, log: str, *, good: bool
) -> None:
    monkeypatch.setattr(outage, "_PATIENCE", 0.3)
    place.kept["followed"] = SINCE
    place.broker(HELD.format(NAME) + log)
    if good:
        outage.was_connected(cast("Workspace", place))
    else:
        with pytest.raises(VerificationRefused, match="its connection ended at"):
            outage.was_connected(cast("Workspace", place))


@pytest.mark.parametrize(
    ("addresses", "output", "log", "refusal"),
    [
        (("10.0.2.15", "10.0.2.77"), ACCEPTED, OTHER.format(NAME), ""),
        (("10.0.2.15", "10.0.2.15"), ACCEPTED, OTHER.format(NAME), "not 10.0.2.77"),
        (("10.0.2.77", "10.0.2.77"), ACCEPTED, OTHER.format(NAME), "not 10.0.2.15"),
        (("10.0.2.15", "10.0.2.77"), b"", OTHER.format(NAME), "does not accept"),
        (("10.0.2.15", "10.0.2.77"), ACCEPTED, "", "the broker saw"),
    ],
)
def test_device_is_back_at_another_address(
    monkeypatch: pytest.MonkeyPatch,
    place: Place,
    addresses: tuple[str, str],
    output: bytes,
    log: str,
    refusal: str,
) -> None:
    place.broker(HELD.format(NAME))
    talk(monkeypatch, place, [*map(table, addresses), *said(output)], log)
    if refusal:
        with pytest.raises(VerificationRefused, match=refusal):
            outage.is_back(cast("Workspace", place))
    else:
        outage.is_back(cast("Workspace", place))


def test_malformed_addresses_are_refused(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    place.broker("")
    talk(monkeypatch, place, [b"***\n"])
    with pytest.raises(VerificationRefused, match="malformed"):
        outage.is_back(cast("Workspace", place))
