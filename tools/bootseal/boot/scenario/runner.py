# SPDX-License-Identifier: MIT
"""Run scenarios, some at a time, each on its own copy-on-write disk and its own TPM."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import bootseal
from bootseal import proc
from bootseal.boot.machine import qemu, state, swtpm
from bootseal.boot.machine.events import Ending
from bootseal.boot.machine.session import switched_on
from bootseal.boot.scenario import power_cycle
from bootseal.boot.scenario.evaluate import evaluate, expected, observed
from bootseal.boot.scenario.model import (
    Expectation,
    ExpectedStatus,
    MatrixResult,
    Outcome,
    Scenario,
    ScenarioResult,
    Step,
    StepResult,
)
from bootseal.boot.scenario.workspace import Workspace
from bootseal.errors import BootsealError, UsageError, VerificationRefused

if TYPE_CHECKING:
    from bootseal.device import Device

DIRECTORY: Final = "matrix"
FIRST_BOOT: Final = Scenario(
    id="first-boot",
    title="First boot",
    group="boot",
    about="The shipped disk comes up from slot a, with a read-only root on dm-verity, and creates "
    "the data partition, sealed to this TPM. The recovery key leaves the device once, encrypted to "
    "the vendor's escrow certificate. The system reports that root, PCRs, mounts and lockdown are "
    "as built.",
    base="shipped",
    prepare=Workspace.record_tpm,
    steps=(
        Step(
            expect=Expectation(
                ending=Ending.UP,
                console=(
                    "config-signed",
                    "kernel-handover",
                    "root-verified:a",
                    "recovery-handed-out",
                    "data-opened",
                ),
                status=ExpectedStatus(created=True),
            )
        ),
    ),
)
"""The scenario whose disk and TPM are the base of all provisioned ones."""


class Watcher(Protocol):
    """Told by worker threads how the run proceeds."""

    def started(self, scenario: Scenario) -> None:
        """Note that a scenario begins."""
        ...

    def finished(self, result: ScenarioResult) -> None:
        """Note that a scenario is over."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Base:
    """Where scenarios start from: a disk that is never written again, and a TPM to copy."""

    disk: Path
    disk_format: str
    tpm: Path


def choose(catalogue: Sequence[Scenario], ids: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the scenarios with the given ids in catalogue order; all of them for no ids.

    Raises:
        UsageError: There is no scenario of that id.
    """
    known = {scenario.id for scenario in catalogue} | {FIRST_BOOT.id}
    if unknown := [name for name in ids if name not in known]:
        raise UsageError(
            f"there is no scenario {', '.join(map(repr, unknown))}",
            hint="bootseal boot matrix DIR --list",
        )
    return tuple(s for s in catalogue if not ids or s.id in ids)


def fitting(
    scenarios: Sequence[Scenario], device: Device, ids: Sequence[str]
) -> tuple[Scenario, ...]:
    """Return the scenarios for this kind of device, with or without a boot ROM.

    Args:
        scenarios: What was chosen.
        device: What was built.
        ids: What was asked for by name.

    Raises:
        UsageError: One of these is for the other kind.
    """
    with_rom = device.firmware is not None
    found = tuple(s for s in scenarios if s.rom in {None, with_rom})
    if left := [name for name in ids if name not in {s.id for s in found}]:
        kind = "without" if with_rom else "with"
        raise UsageError(f"{', '.join(left)}: for a device {kind} a boot ROM")
    return found


def needs_first_boot(scenarios: Sequence[Scenario]) -> bool:
    """Return whether any of the scenarios is the first boot, or starts from its disk and TPM."""
    return any(s.base == "provisioned" or s.id == FIRST_BOOT.id for s in scenarios)


def count(scenarios: Sequence[Scenario]) -> int:
    """Return how many scenarios are run: the first boot comes on top where others need it."""
    names = {scenario.id for scenario in scenarios}
    return len(names | {FIRST_BOOT.id} if needs_first_boot(scenarios) else names)


class Runner:
    """One run of scenarios on one device.

    Args:
        device: What was built.
        directory: Its build directory; results go to its `matrix` directory.
        watcher: Told how it proceeds.
        keys: Key directory of its maker.
        patience: Factor for every time limit, for slow machines.
    """

    def __init__(
        self,
        device: Device,
        directory: Path,
        watcher: Watcher,
        *,
        keys: Path,
        patience: float = 1.0,
    ) -> None:
        self._device = device
        self._directory = directory
        self._keys = keys
        self._watcher = watcher
        self._patience = patience
        self._stop = threading.Event()

    def run(self, scenarios: Sequence[Scenario], *, jobs: int) -> MatrixResult:
        """Run scenarios, `jobs` at a time.

        The first boot is made once, when any of them builds on it, next to those that start from
        the shipped disk. A scenario that cannot be carried out is inconclusive and does not stop
        the others.

        Raises:
            ToolError: There is no QEMU or no TPM emulator.
        """
        started, clock = datetime.now(UTC), time.monotonic()
        versions = self._versions()
        state.remove(self._directory / DIRECTORY)
        with tempfile.TemporaryDirectory(prefix="bootseal-matrix-") as scratch:
            swtpm.manufacture(Path(scratch) / "tpm")
            shipped = _Base(
                disk=self._device.artefact(self._directory, "disk"),
                disk_format="raw",
                tpm=Path(scratch) / "tpm",
            )
            results = self._all(scenarios, shipped, jobs)
        order = [FIRST_BOOT.id, *(s.id for s in scenarios)]
        return MatrixResult(
            device=self._device.name,
            profile=self._device.profile,
            roots={slot.name: slot.root_hash for slot in self._device.slots},
            started=started.isoformat(timespec="seconds"),
            duration=time.monotonic() - clock,
            versions=versions,
            results=tuple(results[name] for name in dict.fromkeys(order) if name in results),
        )

    def _all(
        self, scenarios: Sequence[Scenario], shipped: _Base, jobs: int
    ) -> dict[str, ScenarioResult]:
        work = self._directory / DIRECTORY / FIRST_BOOT.id
        provisioned = _Base(disk=work / "disk.qcow2", disk_format="qcow2", tpm=work / "tpm")
        running: dict[str, Future[ScenarioResult]] = {}
        results = {}
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            try:
                if first := needs_first_boot(scenarios):
                    running[FIRST_BOOT.id] = pool.submit(self._one, FIRST_BOOT, shipped, keep=True)
                rest = _longest_first(s for s in scenarios if s.id != FIRST_BOOT.id)
                for scenario in (s for s in rest if s.base == "shipped"):
                    running[scenario.id] = pool.submit(self._one, scenario, shipped, keep=False)
                usable = first and running[FIRST_BOOT.id].result().verdict is Outcome.PASSED
                for scenario in (s for s in rest if s.base == "provisioned"):
                    if usable:
                        running[scenario.id] = pool.submit(
                            self._one, scenario, provisioned, keep=False
                        )
                    else:
                        reason = f"its base {FIRST_BOOT.id} did not pass"
                        results[scenario.id] = self._report(scenario, [], reason, 0.0)
                return results | {name: future.result() for name, future in running.items()}
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one(self, scenario: Scenario, base: _Base, *, keep: bool) -> ScenarioResult:
        self._watcher.started(scenario)
        clock = time.monotonic()
        steps: list[StepResult] = []
        reason = ""
        work = self._directory / DIRECTORY / scenario.id
        work.mkdir(parents=True)
        workspace = Workspace(
            self._device, self._directory, self._keys, work, patience=self._patience
        )
        try:
            with workspace.held:
                workspace.set_up(base.disk, base.disk_format, base.tpm, scenario.tpm)
                if scenario.prepare is not None:
                    scenario.prepare(workspace)
                for number, step in enumerate(scenario.steps, 1):
                    last = number == len(scenario.steps) and not keep
                    steps.append(self._step(workspace, step, number, last=last))
                    if steps[-1].verdict is not Outcome.PASSED:
                        break
        except BootsealError as error:
            reason = f"could not be carried out: {error.message}"
        except OSError as error:
            reason = f"could not be carried out: {error}"
        result = self._report(scenario, steps, reason, time.monotonic() - clock)
        # What failed is kept for inspection; the rest would only fill the disk.
        if result.verdict is Outcome.PASSED and not keep:
            _clear(work)
        return result

    def _step(self, workspace: Workspace, step: Step, number: int, *, last: bool) -> StepResult:
        if step.prepare is not None:
            step.prepare(workspace)
        step = replace(step, timeout=step.timeout * self._patience)
        log = workspace.work / f"step-{number}.log"
        with switched_on(workspace.machine(), log) as session:
            ended = power_cycle.run(session, step, workspace=workspace, stop=self._stop)
            name = str(log.relative_to(self._directory))
            result = evaluate(step, ended, workspace.device, name)
            if ended.ending is Ending.UP and not last:
                power_cycle.shut_down(session, login=self._device.login)
        if step.check is not None and result.verdict is Outcome.PASSED:
            try:
                step.check(workspace)
            except VerificationRefused as error:
                return replace(result, verdict=Outcome.FAILED, reason=error.message)
        return result

    def _report(
        self, scenario: Scenario, steps: list[StepResult], reason: str, duration: float
    ) -> ScenarioResult:
        verdict = Outcome.INCONCLUSIVE if reason else steps[-1].verdict
        result = ScenarioResult(
            id=scenario.id,
            title=scenario.title,
            group=scenario.group,
            about=scenario.about,
            verdict=verdict,
            expected=", then ".join(expected(step.expect) for step in scenario.steps),
            observed=", then ".join(map(observed, steps)) or "not run",
            reason=reason or steps[-1].reason,
            duration=duration,
            steps=tuple(steps),
        )
        self._watcher.finished(result)
        return result

    def _versions(self) -> dict[str, str]:
        said = proc.run("swtpm", ["--version"], timeout=30).stdout.decode(errors="replace")
        words = said.partition(",")[0].split()
        return {
            "bootseal": bootseal.__version__,
            "qemu": qemu.version(qemu.of_device(self._device).system),
            "swtpm": words[-1] if words else "",
        }


def _longest_first(scenarios: Iterable[Scenario]) -> list[Scenario]:
    """Sort by what the time limits say, so that no long one runs alone at the end."""
    return sorted(scenarios, key=lambda s: -sum(step.timeout for step in s.steps))


def _clear(work: Path) -> None:
    """Remove everything but the logs and recordings of the steps."""
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith("step-"):
            path.unlink()
