# SPDX-License-Identifier: MIT
"""U-Boot itself reads and writes the two copies of the slot state as the host's model says."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final

import pytest

from bootseal import device as devices
from bootseal.boot.attacks.state import BOOTSTATE
from bootseal.boot.catalogue.bench import after
from bootseal.boot.machine.events import Ending
from bootseal.boot.machine.session import switched_on
from bootseal.boot.scenario import power_cycle
from bootseal.boot.scenario.evaluate import evaluate
from bootseal.boot.scenario.model import Expectation, Outcome, Step
from bootseal.boot.scenario.workspace import Tpm, Workspace
from bootseal.formats.uboot import slot_state
from bootseal.formats.uboot.environment import emit_environment
from bootseal.units import SECTOR

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.device, pytest.mark.timeout(600)]

NOISE = random.Random(7).randbytes(SECTOR)  # noqa: S311 - the same in each run
OLD = emit_environment({"BOOT_ORDER": "A B", "BOOT_A_LEFT": "2", "BOOT_B_LEFT": "1"})
NEW = emit_environment({"BOOT_ORDER": "B A", "BOOT_A_LEFT": "2", "BOOT_B_LEFT": "3"})
# What each state leads to: the slot, and what is written before it is started.
TRIED: Final = {
    OLD: ("a", after.slot_state_is("A B", a=1, b=1)),
    NEW: ("b", after.slot_state_is("B A", a=2, b=2)),
    None: ("a", after.slot_state_is("A B", a=2, b=3)),
}
SAID: Final = {0: "state-read", 1: "state-copy", None: "state-default"}


def torn(sector: int, before: bytes, now: bytes) -> bytes:
    """Return what a write leaves that ends in a sector."""
    place = sector * SECTOR
    return now[:place] + NOISE + before[place + SECTOR :]


@pytest.mark.parametrize(
    "copies",
    [
        pytest.param((OLD, OLD), id="whole"),
        pytest.param((OLD, torn(0, OLD, NEW)), id="second torn"),
        pytest.param((OLD, NEW), id="between the writes"),
        pytest.param((torn(0, OLD, NEW), NEW), id="first torn"),
        pytest.param((torn(31, OLD, NEW), NEW), id="first torn in its last sector"),
        pytest.param((torn(0, OLD, NEW), bytes(len(OLD))), id="one copy, torn"),
        pytest.param((torn(0, OLD, NEW), torn(16, OLD, NEW)), id="both torn"),
    ],
)
def test_u_boot_reads_the_copy_that_counts_and_writes_it_last(
    directory: Path, tmp_path: Path, copies: tuple[bytes, bytes]
) -> None:
    device = devices.load(directory)
    workspace = Workspace(device, directory, directory / "keys", tmp_path)
    workspace.set_up(device.artefact(directory, "disk"), "raw", tmp_path, Tpm.FRESH)
    partition = device.partition(BOOTSTATE)
    places = slot_state.places(partition.size)
    for place, copy in zip(places, copies, strict=True):
        workspace.disk.write(BOOTSTATE, place, copy)
    trace = tmp_path / "trace"
    workspace.add_qemu("-trace", "enable=virtio_blk_handle_write", "-D", str(trace))
    counts = slot_state.counts(copies)
    slot, check = TRIED[None if counts is None else copies[counts]]
    step = Step(
        expect=Expectation(
            ending=Ending.CONSOLE,
            console=(SAID[counts], f"slot-tried:{slot}"),
            forbidden=("state-not-saved", *({*SAID.values()} - {SAID[counts]})),
        ),
        until="slot-tried",
        timeout=120,
    )

    with switched_on(workspace.machine(), tmp_path / "serial.log") as session:
        ended = power_cycle.run(session, step)
    result = evaluate(step, ended, device, "serial.log")

    assert result.verdict is Outcome.PASSED, result.reason
    check(workspace)
    written = re.findall(r"sector (\d+) nsectors (\d+)", trace.read_text())
    order = places if counts == 1 else places[::-1]
    assert written == [
        (str((partition.offset + place) // SECTOR), str(slot_state.SIZE // SECTOR))
        for place in order
    ]
