# SPDX-License-Identifier: MIT
"""What is known of a release, as data for reports."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import bootseal

if TYPE_CHECKING:
    from bootseal.boot.scenario.model import MatrixResult, Outcome
    from bootseal.check.document import DiskReport
    from bootseal.device import Device
    from bootseal.evidence.verify import Verdict
    from bootseal.findings.model import Finding
    from bootseal.measure.approved import Release

SCHEMA: Final = "bootseal.release-report/1"


class Standing(StrEnum):
    """Whether something was verified; the worst last."""

    GOOD = "verified"
    UNKNOWN = "not verified"
    ABSENT = "absent"
    REFUSED = "refused"


class Course(StrEnum):
    """How a scenario ended, compared with the release before."""

    BROKEN = "no longer passes"
    OTHER = "does not pass, otherwise than before"
    GONE = "no longer run"
    REPAIRED = "passes now"
    NEW = "new"
    SAME = "as before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of the release.

    Attributes:
        path: Relative to the directory.
        sha256: Of the bytes that were read, lower-case hex.
        listed: Whether evidence whose signature was verified names exactly these bytes.
    """

    path: str
    sha256: str
    listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the release, its standing, and why, in a sentence."""

    title: str
    standing: Standing
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of the chain.

    Attributes:
        name: Unique among the stages.
        title: What it is.
        holds: What is in it, in short.
        how: What must hold for it to be used.
        standing: Whether that was verified here.
        behind: Names of the stages that verify it.
        level: Its place in the chain, from 0.
        aside: Whether it is of the way to the data, next to the way to the root.
    """

    name: str
    title: str
    holds: str
    how: str
    standing: Standing
    behind: tuple[str, ...] = ()
    level: int
    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """A public key, and what it signed.

    Attributes:
        role: Its role in the key hierarchy.
        fingerprint: SHA-256 of the SubjectPublicKeyInfo, lower-case hex.
        held: Why it is trusted: what holds it.
        signed: What its signature is on.
        standing: Whether all these signatures were verified with it here.
    """

    role: str
    fingerprint: str
    held: str
    signed: tuple[str, ...]
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMeasures:
    """What a slot measures, and whether that is approved.

    Attributes:
        slot: Its name.
        root_hash: dm-verity root hash, lower-case hex.
        pcrs: SHA-256 PCR values that `device.json` predicts, by index, lower-case hex.
        found: The values computed from the disk; empty where they could not be.
        policy: Whether a signed policy on the disk approves them.
        approved: Names of the releases on the approved list that they are of.
    """

    slot: str
    root_hash: str
    pcrs: dict[str, str]
    found: dict[str, str]
    policy: Standing
    approved: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedList:
    """The approved list; `current` names the releases in it that have the FIT of this one."""

    source: Source
    releases: tuple[Release, ...]
    current: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A scenario in two runs; None for a run without it."""

    id: str
    title: str
    course: Course
    before: Outcome | None
    now: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The boot matrix.

    Attributes:
        source: The file.
        result: What it says, without the power cycles.
        left_out: Scenarios of the catalogue for such a device that were not run.
        history: The scenarios, compared with the release before; None without one.
        before: That one's file.
    """

    source: Source
    result: MatrixResult
    left_out: tuple[str, ...]
    history: tuple[Change, ...] | None = None
    before: Source | None = None

    def count(self, course: Course) -> int:
        """Return how many scenarios took one course."""
        return sum(each.course is course for each in self.history or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package or file of a bill of materials."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill of materials.

    Attributes:
        source: The file.
        kinds: How many elements it has of each type of SPDX.
        packages: The packages in it.
    """

    source: Source
    kinds: dict[str, int]
    packages: tuple[Package, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """A release.

    Attributes:
        device: Its description.
        disk: What was found about its disk.
        stages: The chain of trust.
        keys: The keys, and what each of them signed.
        slots: What each slot measures.
        approved: The approved list; None without one.
        matrix: The boot matrix; None without one.
        bills: Bills of materials.
        unnamed: Paths of artefacts that no bill names.
        evidence: What was found about the evidence; None where it is absent or no key was given.
        signer: Fingerprint of the key the evidence was verified with; empty without one.
        statements: How many statements there are, verified or not.
        findings: What was found about matrix, approved list and bills.
    """

    device: Device
    disk: DiskReport
    stages: tuple[Stage, ...]
    keys: tuple[KeyUse, ...]
    slots: tuple[SlotMeasures, ...]
    approved: ApprovedList | None
    matrix: Matrix | None
    bills: tuple[Bill, ...]
    unnamed: tuple[str, ...]
    evidence: Verdict | None
    signer: str
    statements: int
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    @property
    def standing(self) -> Standing:
        """That of the whole: refused if a part is, and verified only if each is."""
        order = list(Standing)
        worst = max((each.standing for each in self.parts), key=order.index, default=Standing.GOOD)
        return Standing.UNKNOWN if worst is Standing.ABSENT else worst

    def document(self) -> dict[str, object]:
        """Return the JSON document (schema `bootseal.release-report/1`)."""
        evidence = self.evidence
        release = None if evidence is None or evidence.release is None else evidence.release
        matrix = self.matrix
        return {
            "schema": SCHEMA,
            "tool": bootseal.__version__,
            "standing": self.standing,
            "device": self.device.name,
            "profile": self.device.profile,
            "release": release and release.predicate.name,
            "signer": self.signer,
            "parts": [dataclasses.asdict(each) for each in self.parts],
            "chain": [dataclasses.asdict(each) for each in self.stages],
            "keys": [dataclasses.asdict(each) for each in self.keys],
            "slots": [dataclasses.asdict(each) for each in self.slots],
            "approved": self.approved
            and {
                "source": dataclasses.asdict(self.approved.source),
                "releases": [each.name for each in self.approved.releases],
                "current": list(self.approved.current),
            },
            "matrix": matrix
            and {
                "source": dataclasses.asdict(matrix.source),
                "verdict": matrix.result.verdict,
                "scenarios": {each.id: each.verdict for each in matrix.result.results},
                "left_out": list(matrix.left_out),
                "history": matrix.history and [dataclasses.asdict(each) for each in matrix.history],
            },
            "bills": [
                {
                    "source": dataclasses.asdict(each.source),
                    "kinds": each.kinds,
                    "packages": len(each.packages),
                }
                for each in self.bills
            ],
            "unnamed": list(self.unnamed),
            "findings": [dataclasses.asdict(each) for each in self.findings],
        }
