# SPDX-License-Identifier: MIT
"""Check what a power cycle did against what its step expects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from bootseal.boot.machine.console import phases
from bootseal.boot.machine.events import Ending, Sighting
from bootseal.boot.scenario import device_status
from bootseal.boot.scenario.device_findings import check
from bootseal.boot.scenario.model import Expectation, ExpectedStatus, Outcome, Step, StepResult
from bootseal.boot.scenario.power_cycle import Cycle, forbidden
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, errors
from bootseal.text import visible

if TYPE_CHECKING:
    from bootseal.boot.scenario.device_status import Status
    from bootseal.device import Device

_INTERESTING: Final = frozenset(
    {"bad-hash", "no-signature", "bad-signature", "signature-refused", "unit-address"}
    | {
        "bad-format",
        "no-image",
        "bad-hint",
        "gate-refused",
        "boot-refused",
        "bus-error",
        "tpm-silent",
        "no-key",
        "no-prompt",
    }
    | {"bank-malformed", "bl2-refused", "image-refused", "bank-refused", "tpm-failed"}
    | {"no-boot-loader"}
    | {"slot-refused", "all-refused", "last-resort"}
    | {
        "state-copy",
        "state-default",
        "verity-corruption",
        "verity-restart",
        "root-refused",
        "panic",
    }
    | {"rollback-refused", "data-closed", "tpm-lockout"}
    | {"u-boot-prompt", "emergency-shell", "attacker-code"}
)

# A device that restarts over and over must not fill the table.
_SHOWN: Final = 12
_LONGEST: Final = 200


def evaluate(step: Step, ended: Cycle, device: Device, log: str) -> StepResult:
    """Evaluate one power cycle.

    Args:
        step: What is expected.
        ended: What the power cycle ended in.
        device: What was built.
        log: Path of the serial log, for the result.
    """
    document: dict[str, object] = {}
    findings: list[Finding] = []
    system = None
    if ended.ending is Ending.UP:
        try:
            document = device_status.parse(ended.status)
            system = device_status.load(document)
            findings = check(system, device)
        except FormatError as error:
            findings = [finding("status.malformed", "status", error.message)]
    objections = _objections(step, ended, system, findings)
    verdict, reason = next(objections, (Outcome.PASSED, ""))
    return StepResult(
        title=step.title,
        ending=ended.ending,
        verdict=verdict,
        reason=visible(reason),
        duration=ended.duration,
        resets=ended.resets,
        seen=ended.seen,
        findings=tuple(findings),
        status=document,
        phases=phases(ended.seen, ended.duration, up=ended.ending is Ending.UP),
        log=log,
    )


def expected(expect: Expectation) -> str:
    """Say in one line what is expected."""
    if expect.ending is Ending.UP:
        system = expect.status
        how = f"up from slot {system.slot}" if system.slot else "up"
        how += f" with {', '.join(system.findings)}" if system.findings else ""
    else:
        how = str(expect.ending)
    return _after(expect.ending, how, expect.console)


def observed(result: StepResult) -> str:
    """Say in one line what happened."""
    how = str(result.ending)
    if result.ending is Ending.UP:
        how += f" from slot {visible(str(result.status.get('slot', '?')))}"
        if result.findings:
            how += f" with {', '.join(f.id for f in result.findings)}"
    labels = [_label(s) for s in result.seen if s.name in _INTERESTING]
    changes = [n for n, before in zip(labels, ["", *labels], strict=False) if n != before]
    return _after(result.ending, how, changes[-_SHOWN:])


def _after(ending: Ending, how: str, names: Sequence[str]) -> str:
    if not names:
        return how
    return f"{'console shows' if ending is Ending.CONSOLE else f'{how} after'} {', '.join(names)}"


def _label(sighting: Sighting) -> str:
    short = sighting.detail if len(sighting.detail.split()) == 1 else ""
    return f"{sighting.name}:{short}" if short else sighting.name


def _objections(
    step: Step,
    ended: Cycle,
    system: Status | None,
    findings: list[Finding],
) -> Iterator[tuple[Outcome, str]]:
    """Yield the reasons why it did not pass, the most serious first."""
    expect = step.expect
    for sighting in ended.seen:
        if any(sighting.matches(name) for name in forbidden(step)):
            yield Outcome.FAILED, f"{_label(sighting)} must not be seen: {sighting.line}"
    yield from ((Outcome.INCONCLUSIVE, reason) for reason in _unproven(step, ended))
    if ended.objection:
        yield Outcome.FAILED, ended.objection
    if expect.status.state and system is not None and system.state is None:
        yield Outcome.INCONCLUSIVE, "the device keeps no state: BOOTSEAL_STATE declares none"
    if ended.ending is not expect.ending:
        yield Outcome.FAILED, f"ended {ended.ending}: expected {expect.ending}"
    if ended.undone:
        yield Outcome.INCONCLUSIVE, f"{ended.undone} actions were never triggered"
    if missing := _missing(expect.console, ended.seen):
        yield Outcome.FAILED, f"the console did not show {missing} in the expected order"
    if ended.ending is Ending.UP:
        yield from ((Outcome.FAILED, r) for r in _status(expect.status, system, findings))


def _unproven(step: Step, ended: Cycle) -> Iterator[str]:
    """Yield why a power cycle proves nothing."""
    # U-Boot's driver waits 750 ms, and an emulator on a busy machine can take longer. Whatever
    # follows, a refusal or a wrong PCR, is then not the scenario's doing.
    if any(sighting.name == "tpm-silent" for sighting in ended.seen):
        yield "the TPM emulator did not answer U-Boot in time"
    if ended.ending is Ending.TIMEOUT:
        yield _overdue(step, ended)
    if ended.ending is Ending.CRASHED:
        yield "QEMU or the TPM emulator exited by itself"


def _overdue(step: Step, ended: Cycle) -> str:
    reason = f"not over within {step.timeout:g} s: expected {expected(step.expect)}"
    if ended.last is None:
        return f"{reason}; the console showed nothing"
    return f"{reason}; its last line, at {ended.last.time:.0f} s: {ended.last.text[:_LONGEST]}"


def _missing(wanted: tuple[str, ...], seen: tuple[Sighting, ...]) -> str:
    """Return the first pattern that did not come in its order, "" when all came."""
    rest = iter(seen)
    for name in wanted:
        if not any(sighting.matches(name) for sighting in rest):
            return name
    return ""


def _status(
    expect: ExpectedStatus, system: Status | None, findings: list[Finding]
) -> Iterator[str]:
    wrong = {each.id: each.message for each in errors(findings)}
    for name, message in wrong.items():
        if name not in expect.findings:
            yield f"{name}: {message}"
    if absent := [name for name in expect.findings if name not in wrong]:
        yield f"the system does not report {', '.join(absent)}: expected it to"
    if system is None:
        yield "the status line cannot be read"
        return
    if expect.slot and system.slot != expect.slot:
        yield f"runs from slot {system.slot}: expected {expect.slot}"
    if expect.created is not None and system.data.created is not expect.created:
        found = "made in this boot" if system.data.created else "found again"
        yield f"the data partition was {found}: expected the opposite"
    if expect.reason and not re.search(expect.reason, system.data.reason):
        yield f"data is closed because {system.data.reason!r}: expected {expect.reason!r}"
    elsewhere = [p for p, where in (system.state or {}).items() if where != expect.state]
    if expect.state and elsewhere:
        yield f"not {expect.state}: {', '.join(elsewhere)}"
    identity = system.identity.text() if system.identity else "not installed"
    if expect.identity and not re.search(expect.identity, identity):
        yield f"the identity is {identity!r}: expected {expect.identity!r}"
    yield from _applications(expect, system)


def _applications(expect: ExpectedStatus, system: Status) -> Iterator[str]:
    said = "; ".join(each.text() for each in system.applications or ())
    if expect.applications and not re.search(expect.applications, said):
        yield f"the applications are {said!r}: expected {expect.applications!r}"
