# SPDX-License-Identifier: MIT
"""What the device says of a bundle, checked at the other end of the station's port."""

from __future__ import annotations

import base64
import os

import pytest

from bootseal.boot.catalogue.bench import updates
from bootseal.boot.catalogue.bench.station import Port
from bootseal.errors import VerificationRefused

STATE = "BOOT_A_LEFT=3 BOOT_B_LEFT=3 BOOT_ORDER=A B "
REQUEST = updates.Request(command="rauc install /x", said="Compatible mismatch")


def ask(request: updates.Request, code: str, said: str, logged: str, state: str) -> str:
    """Return the command that the device gets, and have it answer."""
    incoming, device_out = os.pipe()
    device_in, outgoing = os.pipe()
    try:
        lines = [code, *(base64.b64encode(t.encode()).decode() for t in (said, logged, state))]
        os.write(device_out, "".join(f"{line}\n" for line in lines).encode())
        updates.ask(Port(incoming=incoming, outgoing=outgoing), request)
        return os.read(device_in, 1000).decode()
    finally:
        for each in (incoming, device_out, device_in, outgoing):
            os.close(each)


@pytest.mark.parametrize("place", ["said", "logged"])
def test_refusal_for_the_stated_reason_passes(place: str) -> None:
    texts = {"said": "", "logged": ""} | {place: "LastError: Compatible mismatch: Expected"}
    assert ask(REQUEST, "1", texts["said"], texts["logged"], STATE) == "rauc install /x\n"


@pytest.mark.parametrize(
    ("code", "said", "state", "why"),
    [
        ("0", "Compatible mismatch", STATE, "expected refusal"),
        ("1", "No space left on device", STATE, "expected 'Compatible mismatch'"),
        ("1", "Compatible mismatch", STATE.replace("B_LEFT=3", "B_LEFT=0"), "the slot state is"),
        ("1", "Compatible mismatch", "", "the slot state is"),
    ],
)
def test_anything_else_fails(code: str, said: str, state: str, why: str) -> None:
    with pytest.raises(VerificationRefused, match=why):
        ask(REQUEST, code, said, "", state)


def test_install_that_is_refused_fails_where_it_has_to_succeed() -> None:
    with pytest.raises(VerificationRefused, match="expected success"):
        ask(
            updates.Request(command="rauc install /x", said="succeeded", accepted=True),
            *("1", "installing /x succeeded", "", STATE),
        )


def test_answer_that_is_not_base64_is_refused() -> None:
    incoming, device_out = os.pipe()
    device_in, outgoing = os.pipe()
    os.write(device_out, b"1\n!\n!\n!\n")
    with pytest.raises(VerificationRefused, match="what the device sends is malformed"):
        updates.ask(Port(incoming=incoming, outgoing=outgoing), REQUEST)
    for each in (incoming, device_out, device_in, outgoing):
        os.close(each)
