# SPDX-License-Identifier: MIT
"""Boot a device as its owner would: the disk and the TPM keep their state from run to run."""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.boot.catalogue.bench import cloud, station
from bootseal.boot.machine import qemu, state, swtpm
from bootseal.boot.machine.events import Ending
from bootseal.boot.machine.session import switched_on
from bootseal.boot.scenario import power_cycle
from bootseal.boot.scenario.evaluate import evaluate
from bootseal.boot.scenario.model import Expectation, ExpectedStatus, Outcome, Step, StepResult
from bootseal.boot.scenario.workspace import Workspace
from bootseal.errors import UsageError
from bootseal.files import read_bounded

if TYPE_CHECKING:
    from bootseal.device import Device
    from bootseal.progress import Progress

SCHEMA: Final = "bootseal.boot-run/2"
STATE: Final = "state"
TPM: Final = "tpm"
LOGS: Final = "logs"
_ORIGIN: Final = "origin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One boot of the device's own state.

    Attributes:
        number: Counts the boots since the state was made.
        result: What the boot came to.
        connected: The name that a broker saw when the device connected; "" when it did not.
    """

    number: int
    result: StepResult
    connected: str = ""

    def document(self) -> dict[str, object]:
        """Return the JSON document (schema `bootseal.boot-run/2`)."""
        return {"schema": SCHEMA, "boot": self.number, **dataclasses.asdict(self.result)}


def forget(directory: Path) -> None:
    """Forget the device's state: the next boot is its first, with a new TPM."""
    for name in (STATE, TPM, LOGS):
        state.remove(directory / name)


def machine(device: Device, directory: Path, progress: Progress) -> qemu.Machine:
    """Return the device's machine; make its disk overlay and its TPM when there are none yet.

    Raises:
        UsageError: The state belongs to another build of the device, or leads out of the directory,
            or the device is for a board that QEMU does not have.
        ToolError: qemu-img or swtpm_setup failed.
    """
    emulated = qemu.of_device(device)
    state.check_files(directory, (STATE, TPM, LOGS))
    disk = directory / STATE / "disk.qcow2"
    origin = directory / STATE / _ORIGIN
    shipped = device.artefact(directory, "disk")
    digest = device.artefacts["disk"].sha256
    if not disk.exists():
        qemu.create_overlay(disk, shipped, backing_format="raw")
        origin.write_text(digest + "\n")
    else:
        if not origin.exists() or read_bounded(origin).decode(errors="replace").strip() != digest:
            raise UsageError(
                f"{disk} was made from another build of {shipped}",
                hint=f"bootseal boot run --reset {directory}",
            )
        state.check_overlay(disk, shipped, directory)
    if not (directory / TPM).exists():
        with progress.step("manufacture a TPM"):
            swtpm.manufacture(directory / TPM)
    return qemu.Machine(
        qemu=emulated,
        bios=device.first_code(directory),
        disk=disk,
        tpm=directory / TPM,
    )


def boot(
    device: Device,
    directory: Path,
    *,
    timeout: float,
    progress: Progress,
    certify: Path | None = None,
) -> Run:
    """Boot the device until it is up, refuses to start or time is up; then power it off.

    Args:
        device: What was built.
        directory: Its build directory, which keeps the state.
        timeout: Seconds from power-on.
        progress: Told what is being done.
        certify: Key directory of its maker: enrol the device, certify its identity key, and have it
            connect once to a broker. That needs a shell on its console.

    Raises:
        UsageError: The state belongs to another build of the device, or there are no keys.
        ToolError: QEMU, the TPM emulator or the broker did not start.
    """
    board = machine(device, directory, progress)
    number = 1 + len(list((directory / LOGS).glob("boot-*.raw")))
    log = directory / LOGS / f"boot-{number:03}.log"
    expect = Expectation(ending=Ending.UP, status=ExpectedStatus(slot=""))
    step = Step(title=f"boot {number}", expect=expect, timeout=timeout)
    with tempfile.TemporaryDirectory(prefix="bootseal-") as scratch, ExitStack() as held:
        workspace = None
        if certify is not None:
            workspace = Workspace(device, directory, certify, Path(scratch))
            workspace.tpm = directory / TPM
            held.enter_context(workspace.held)
            cloud.serve(workspace)
            board = dataclasses.replace(workspace.machine(), disk=board.disk)
            step = dataclasses.replace(step, actions=(cloud.CERTIFY,))
        with switched_on(board, log) as session:
            with progress.step(f"boot {number} of {device.name}"):
                ended = power_cycle.run(session, step, workspace=workspace)
            result = evaluate(step, ended, device, str(log.relative_to(directory)))
            if ended.ending is Ending.UP:
                with progress.step("power it off"):
                    power_cycle.shut_down(session, login=device.login)
    seen = workspace is not None and result.verdict is Outcome.PASSED
    return Run(number=number, result=result, connected=station.NAME if seen else "")


def shell(device: Device, directory: Path, progress: Progress) -> int:
    """Boot the device with its console on the user's terminal; return QEMU's exit code.

    Raises:
        UsageError: The state belongs to another build of the device.
        ToolError: QEMU or the TPM emulator did not start.
    """
    board = machine(device, directory, progress)
    with tempfile.TemporaryDirectory(prefix="bootseal-") as name:
        scratch = Path(name)
        tpm = scratch / "tpm"
        wiring = qemu.Wiring(
            serial="stdio,mux=on,signal=off",
            # The shell starts when its status was taken, which `null` never does.
            status=f"file,path={scratch / 'status'}",
            escrow="",
            qmp="",
            tpm=tpm,
        )
        monitor = ["-mon", "chardev=serial,mode=readline"]
        with swtpm.powered(directory / TPM, tpm, scratch / "tpm.log"):
            return proc.interactive(board.qemu.system, [*qemu.arguments(board, wiring), *monitor])
