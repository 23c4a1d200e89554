# SPDX-License-Identifier: MIT
"""What a boot scenario expects, and its result: data only, shared by every boot module.

A scenario is a list of steps; one step is one power cycle of the virtual device, from power-on
until its named ending. Scenarios are in `bootseal.boot.catalogue.scenarios.SCENARIOS`;
`bootseal.boot.scenario.runner` runs them, and `bootseal.report` renders a `MatrixResult`.

Console text is named by `bootseal.boot.machine.console.PATTERNS`. Wherever a pattern is asked for
it may carry a detail, `slot-refused:a`: the line must match `slot-refused` with `a` as what the
pattern captured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

from bootseal.boot.scenario.workspace import Tpm, Workspace

if TYPE_CHECKING:
    from bootseal.boot.machine.events import Ending, Phase, Sighting
    from bootseal.findings.model import Finding

MATRIX_SCHEMA: Final = "bootseal.matrix/3"

ALWAYS_FORBIDDEN: Final = ("u-boot-prompt", "attacker-code", "emergency-shell")
"""Nobody ever gets a boot loader prompt or an emergency shell, or runs their own code."""

STEP_TIMEOUT: Final = 600.0
"""Seconds that a power cycle has, unless its step says otherwise."""

POWER_ON: Final = "power-on"
STATUS: Final = "status"
"""Names that triggers may use besides those of console patterns: the start of the power cycle, and
the arrival of the device's status line on its port."""


class Outcome(StrEnum):
    """How a scenario went; a timeout is never a pass."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Do(StrEnum):
    """What an action does to the running device."""

    TYPE = "type"
    """Type `text` on the serial console."""
    RESET = "reset"
    """Press the reset button: warm reset of the whole board; RAM keeps its contents."""
    CUT = "cut"
    """Pull the plug. Ends the step with `Ending.CUT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    r"""Something done to the device while it runs.

    Actions on `power-on` are simply timed. The others take turns: a trigger counts only once the
    previous action is done, and one sighting triggers one action.

    Attributes:
        do: What to do.
        when: Pattern name, `power-on` or `status`.
        delay: Seconds between the trigger and the action.
        text: What to type; `\r` is the enter key.
        call: What talks with the device from then on, next to the console; raises
            VerificationRefused when something is wrong.
        repeat: How many times to do it.
        interval: Seconds between two repeats.
    """

    do: Do
    when: str = POWER_ON
    delay: float = 0.0
    text: str = ""
    call: Callable[[Workspace], None] | None = None
    repeat: int = 1
    interval: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedStatus:
    """What the status line must say when the device is up.

    Attributes:
        slot: The slot it runs from.
        created: Whether the data partition was made in this very boot; None when either is right.
        findings: Ids of the findings of `bootseal.boot.scenario.device_findings` that must be
            there. Any other error is a failure, so the empty default asks for the fully proven
            state.
        reason: Regular expression that `data.reason` must match when data is closed.
        identity: Regular expression that what `IdentityStatus.text` says must match; "" for any.
        applications: Regular expression that what `ApplicationStatus.text` says of each must match,
            one after the other; "" for any.
        state: `kept` or `volatile`: where all of the product's state must be; "" for anywhere.
    """

    slot: str = "a"
    created: bool | None = None
    findings: tuple[str, ...] = ()
    reason: str = ""
    identity: str = ""
    applications: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How a power cycle must end, and what the console must show on the way.

    Attributes:
        ending: The only right ending.
        console: Patterns that must be seen in this order; others may come between.
        forbidden: Patterns that must not be seen, in addition to `ALWAYS_FORBIDDEN`.
        allowed: Members of `ALWAYS_FORBIDDEN` that may be seen here.
        status: What the status line must say; only with `Ending.UP`.
    """

    ending: Ending
    console: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    status: ExpectedStatus = field(default=ExpectedStatus())


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One power cycle.

    Attributes:
        title: Short, for reports: "first boot", "after the power cut".
        expect: How it must end.
        actions: What is done to the device meanwhile.
        until: With `Ending.CONSOLE`, the pattern that ends the step.
        prepare: Changes the device, which is off, before this power cycle.
        check: Examines the device, which is off again, once this power cycle came to its expected
            end; raises VerificationRefused when something is wrong.
        timeout: Seconds without the ending after which the step is inconclusive.
    """

    expect: Expectation
    title: str = "boot"
    actions: tuple[Action, ...] = ()
    until: str = ""
    prepare: Callable[[Workspace], None] | None = None
    check: Callable[[Workspace], None] | None = None
    timeout: float = STEP_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing done to a device, and the exact refusal or success it must end in.

    Attributes:
        id: Stable, lower case with dashes: `kernel-byte-flipped`.
        title: One line for tables.
        group: Heading of the report: `boot`, `fit`, `root`, `data`, `power`, ...
        about: For the report: why this is worth trying, and what stops it.
        base: Start from the disk as shipped, or from one that went through its first boot.
        tpm: The TPM it boots with.
        rom: Whether it is for devices with a boot ROM or for those without; None for all.
        prepare: Changes the overlay (never the base) before the first step.
        steps: The power cycles.
    """

    id: str
    title: str
    group: str
    about: str = ""
    base: Literal["shipped", "provisioned"] = "provisioned"
    tpm: Tpm = Tpm.OWN
    rom: bool | None = None
    prepare: Callable[[Workspace], None] | None = None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One power cycle that is over.

    Attributes:
        title: The step's title.
        ending: What it ended in.
        verdict: Whether that and everything else is as expected.
        reason: Why not; "" when passed.
        duration: Seconds from power-on to the ending.
        resets: How many times the machine was reset on the way.
        seen: Named console lines in order.
        findings: What is wrong with the status line.
        status: The status document, {} when none came.
        phases: The time line.
        log: Path of the serial log relative to the build directory.
    """

    title: str
    ending: Ending
    verdict: Outcome
    reason: str
    duration: float
    resets: int
    seen: tuple[Sighting, ...]
    findings: tuple[Finding, ...]
    status: dict[str, object]
    phases: tuple[Phase, ...]
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """One scenario that is over; `expected` and `observed` are one line each, for tables."""

    id: str
    title: str
    group: str
    about: str
    verdict: Outcome
    expected: str
    observed: str
    reason: str
    duration: float
    steps: tuple[StepResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixResult:
    """All scenarios of one run, in catalogue order.

    Attributes:
        device: Name of the device.
        profile: Of its keys.
        roots: Root hash of the release in each slot, by the slot's name; hexadecimal.
        started: When, by ISO 8601.
        duration: Seconds.
        versions: The programs used, and their versions.
        results: One for each scenario.
    """

    device: str
    profile: str
    roots: dict[str, str]
    started: str
    duration: float
    versions: dict[str, str]
    results: tuple[ScenarioResult, ...]

    def count(self, outcome: Outcome) -> int:
        """Return how many scenarios went one way."""
        return sum(result.verdict is outcome for result in self.results)

    @property
    def verdict(self) -> Outcome:
        """How the whole went: any failure fails, anything unproven is inconclusive."""
        if self.count(Outcome.FAILED):
            return Outcome.FAILED
        if self.count(Outcome.INCONCLUSIVE) or not self.results:
            return Outcome.INCONCLUSIVE
        return Outcome.PASSED

    def document(self) -> dict[str, object]:
        """Return the JSON document (schema `bootseal.matrix/3`): the fields as they are named."""
        return {"schema": MATRIX_SCHEMA, **dataclasses.asdict(self)}
