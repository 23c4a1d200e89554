# SPDX-License-Identifier: MIT
"""What a boot scenario asks for and what came out of it: data only, shared by every boot module.

A scenario is a list of steps; one step is one power cycle of the virtual device, from power-on
until its named ending. Scenarios are in `bootseal.boot.catalogue.scenarios.SCENARIOS`;
`bootseal.boot.scenario.runner` runs them; the command line hands `MatrixResult.document()` (schema
`bootseal.matrix/1`) to the reports, which know this document and not this package.

Console text is named by `bootseal.boot.machine.console.PATTERNS`. Wherever a pattern is asked for
it may carry a detail, `slot-refused:a`: the line must match `slot-refused` with `a` as what the
pattern captured.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.boot.machine.events import Ending, Phase, Sighting
    from bootseal.device import Device, Slot
    from bootseal.events import Finding

MATRIX_SCHEMA: Final = "bootseal.matrix/1"

ALWAYS_FORBIDDEN: Final = ("u-boot-prompt", "attacker-code", "emergency-shell")
"""Nobody ever gets a boot loader prompt, runs his own code or drops to an emergency shell."""

POWER_ON: Final = "power-on"
STATUS: Final = "status"
"""Names that triggers may use beside those of console patterns: the start of the power cycle, and
the arrival of the device's status line on its port."""


class Tpm(StrEnum):
    """Which TPM a scenario boots with."""

    OWN = "own"
    """The one of the scenario's base."""
    FRESH = "fresh"
    """Another, newly manufactured chip."""
    CLEARED = "cleared"
    """The base's own chip after `TPM2_Clear` through the platform hierarchy."""
    OTHER_BANK = "other-bank"
    """The base's own chip with SHA-1 PCRs in the place of the SHA-256 ones."""
    LOCKED_OUT = "locked-out"
    """The base's own chip in lockout, as after too many wrong guesses."""
    FULL = "full"
    """The base's own chip without room for another NV index."""
    NONE = "none"
    """No chip at all."""


class Verdict(StrEnum):
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

    Actions on `power-on` are simply timed. The others take turns: a trigger counts only when it
    comes after the action before was done, and one sighting triggers one action.

    Attributes:
        do: What to do.
        when: Pattern name, `power-on` or `status`.
        delay: Seconds between the trigger and the action.
        text: What to type; `\r` is the enter key.
        repeat: How many times to do it.
        interval: Seconds between two repeats.
    """

    do: Do
    when: str = POWER_ON
    delay: float = 0.0
    text: str = ""
    repeat: int = 1
    interval: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What the status line must say when the device is up.

    Attributes:
        slot: The slot it runs from.
        created: Whether the data partition was made in this very boot; None when either is right.
        findings: Ids of the findings of `bootseal.boot.scenario.device_findings` that must be
            there. Any other error is a failure, so the empty default asks for the fully proven
            state.
        reason: Regular expression that `data.reason` must match when data is closed.
    """

    slot: str = "a"
    created: bool | None = None
    findings: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How a power cycle has to end, and what the console has to show on the way.

    Attributes:
        ending: The only ending that is right.
        console: Patterns that must be seen in this order; others may come between.
        forbidden: Patterns that must not be seen, beside `ALWAYS_FORBIDDEN`.
        allowed: Members of `ALWAYS_FORBIDDEN` that are right here.
        system: What the status line must say; only with `Ending.UP`.
    """

    ending: Ending
    console: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    system: System = field(default=System())


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One power cycle.

    Attributes:
        title: Short, for reports: "first boot", "after the power cut".
        expect: How it has to end.
        actions: What is done to the device meanwhile.
        until: With `Ending.CONSOLE`, the pattern that ends the step.
        prepare: Changes the device, which is off, before this power cycle.
        check: Looks at the device, which is off again, after this power cycle came to its expected
            end; raises VerificationRefused when something is not as it must be.
        timeout: Seconds without the ending after which the step is inconclusive.
    """

    expect: Expectation
    title: str = "boot"
    actions: tuple[Action, ...] = ()
    until: str = ""
    prepare: Callable[[Lab], None] | None = None
    check: Callable[[Lab], None] | None = None
    timeout: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One thing done to a device, and the exact refusal or success it must end in.

    Attributes:
        id: Stable, lower case with dashes: `kernel-byte-flipped`.
        title: One line for tables.
        group: Heading of the report: `boot`, `fit`, `root`, `data`, `power`, ...
        about: Why it matters: who could do this and what stops him, for the report.
        base: Start from the disk as shipped, or from one that went through its first boot.
        tpm: The TPM it boots with.
        prepare: Changes the overlay (never the base) before the first step.
        steps: The power cycles.
    """

    id: str
    title: str
    group: str
    about: str = ""
    base: Literal["shipped", "provisioned"] = "provisioned"
    tpm: Tpm = Tpm.OWN
    prepare: Callable[[Lab], None] | None = None
    steps: tuple[Step, ...]


class Disk(Protocol):
    """The scenario's own disk, by partition name; "" is the whole disk. Offsets in bytes.

    The partitions are those of the disk's own GPT at the time of the first use, so `data` is there
    once the device went through its first boot.
    """

    def size(self, partition: str) -> int:
        """Return the size of a partition."""
        ...

    def read(self, partition: str, offset: int, size: int) -> bytes:
        """Read bytes; FormatError when the range leaves the partition."""
        ...

    def write(self, partition: str, offset: int, data: bytes) -> None:
        """Write bytes; FormatError when the range leaves the partition."""
        ...


class Lab(Protocol):
    """What a scenario's `prepare` may use. The device is off."""

    @property
    def device(self) -> Device:
        """The device's description."""
        ...

    @property
    def directory(self) -> Path:
        """The build directory with the artefacts; read only by agreement."""
        ...

    @property
    def keys(self) -> Path:
        """The key directory of the device's maker; UsageError when it is not at hand."""
        ...

    @property
    def work(self) -> Path:
        """The scenario's own directory, for files it makes."""
        ...

    @property
    def tpm(self) -> Path:
        """The state directory of the scenario's TPM."""
        ...

    @property
    def disk(self) -> Disk:
        """The scenario's disk."""
        ...

    def add_qemu(self, *arguments: str) -> None:
        """Add QEMU arguments to every later power cycle, such as `-append` or a second disk."""
        ...

    def replace_bios(self, content: bytes) -> None:
        """Start another boot loader in every later power cycle."""
        ...

    def replace_slot(self, slot: Slot) -> None:
        """Take note that a slot holds another release, which `device` describes from now on."""
        ...

    def record_tpm(self) -> None:
        """Keep all that goes to the TPM and back, beside the log of every later power cycle."""
        ...


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
        findings: What the judge of the status line found.
        status: The status document, {} when none came.
        phases: The time line.
        log: Path of the serial log relative to the build directory.
    """

    title: str
    ending: Ending
    verdict: Verdict
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
    verdict: Verdict
    expected: str
    observed: str
    reason: str
    duration: float
    steps: tuple[StepResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixResult:
    """All scenarios of one run, in catalogue order; `versions` names the programs used."""

    device: str
    profile: str
    started: str
    duration: float
    versions: dict[str, str]
    results: tuple[ScenarioResult, ...]

    def document(self) -> dict[str, object]:
        """Return the JSON document (schema `bootseal.matrix/1`): the fields as they are named."""
        return {"schema": MATRIX_SCHEMA, **dataclasses.asdict(self)}
