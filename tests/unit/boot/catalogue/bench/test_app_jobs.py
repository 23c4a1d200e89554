# SPDX-License-Identifier: MIT
"""The bench for jobs about applications: what the device has to say, and when the power is cut."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from bootseal.boot.catalogue.bench import app_jobs
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from bootseal.boot.catalogue.bench.station import Port

HASH = "ab" * 32


@dataclass
class Saying:
    """A double of the port: a device that answers with one line."""

    line_: str
    sent: list[bytes] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def line(self) -> bytes:
        return f"{self.line_}\n".encode()


@pytest.mark.parametrize(
    ("version", "said", "right"),
    [
        ("1.1.0", f"hello 1.1.0 {HASH} running", True),
        ("1.1.0", f"hello 1.2.0 {HASH} running", False),
        ("1.1.0", f"hello 1x1.0 {HASH} running", False),
        ("1.1.0", f"hello 1.1.0 {HASH} failed: exit-code", False),
        ("1.1.0", "hello - - not installed", False),
        ("", "hello - - not installed", True),
        ("", f"hello 1.1.0 {HASH} running", False),
    ],
)
def test_what_runs_is_what_the_device_says(version: str, said: str, *, right: bool) -> None:
    port = Saying(said)
    if right:
        app_jobs.running(cast("Port", port), version)
    else:
        with pytest.raises(VerificationRefused, match=r"the device says .*: expected hello"):
            app_jobs.running(cast("Port", port), version)
    assert port.sent == [b"bootseal-app status\n"]


def test_power_is_cut_at_three_moments_of_the_work() -> None:
    assert len({*app_jobs.CUTS}) == 3
    assert all(0 < each < 10 for each in app_jobs.CUTS)


def test_every_refusal_is_for_a_reason_of_its_own() -> None:
    refused = [each for each in app_jobs._LIFE if each.status == "FAILED"]
    assert len({each.reason for each in refused}) == len(refused) == 4
    for one in refused:
        assert re.fullmatch(one.reason, "") is None
