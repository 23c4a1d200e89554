# SPDX-License-Identifier: MIT
"""Puts together what is known of a release: its disk is checked, its evidence verified."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bootseal import device as devices
from bootseal.check import disk as disk_check
from bootseal.check import document, expected
from bootseal.disk import partitions
from bootseal.disk.image import opened
from bootseal.dossier import chain, files
from bootseal.dossier.chain import Checked
from bootseal.dossier.files import Release
from bootseal.dossier.model import Dossier, KeyUse, Part, SlotMeasures, Standing
from bootseal.evidence import companions, listing
from bootseal.evidence import verify as evidence
from bootseal.findings.model import Severity, errors

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.check.document import DiskReport
    from bootseal.dossier.model import ApprovedList, Bill, Matrix
    from bootseal.evidence.verify import Verdict, Wanted
    from bootseal.findings.model import Finding
    from bootseal.progress import Progress

_KEYS: Final = "keys"
_UNLISTED: Final = "no verified evidence names this file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a dossier is made of.

    Attributes:
        directory: The release: the directory of a device.
        wanted: What its evidence is held against; None where no key is known.
        before: Directory of the release before; None without one.
    """

    directory: Path
    wanted: Wanted | None
    before: Path | None = None


def collect(asked: Asked, progress: Progress) -> Dossier:
    """Check a release, and return what is known of it.

    Raises:
        UsageError: The directory holds no built device, or lacks its disk.
        FormatError: `device.json`, or the matrix of the release before, is malformed.
        ToolError: A program that the check needs is not installed.
    """
    device = devices.load(asked.directory)
    verdict = None
    there = listing.of(asked.directory).statements
    if asked.wanted is not None and there:
        with progress.step("every file and statement of the evidence"):
            verdict = evidence.verify(asked.directory, asked.wanted)
    checked, disk = _disk(asked.directory, device, progress)
    release = Release(directory=asked.directory, device=device, evidence=verdict)
    findings: list[Finding] = []
    matrix = files.matrix(release, _before(asked), findings)
    approved = files.approved_list(release, findings)
    bills, unnamed = files.bills(release, findings)
    signer = "" if asked.wanted is None else asked.wanted.key.fingerprint()
    return Dossier(
        device=device,
        disk=disk,
        stages=chain.stages(checked),
        keys=(*chain.keys(checked), *_attestation(verdict, signer)),
        slots=_slots(checked, approved),
        approved=approved,
        matrix=matrix,
        bills=bills,
        unnamed=unnamed,
        evidence=verdict,
        signer=signer,
        statements=len(there),
        parts=(
            _of_disk(disk),
            _of_evidence(verdict, there=bool(there), asked=asked),
            _of_matrix(matrix, findings),
            _of_approved(approved, findings),
            _of_bills(bills, findings),
        ),
        findings=tuple(findings),
    )


def _before(asked: Asked) -> Release | None:
    if asked.before is None:
        return None
    verdict = None
    if asked.wanted is not None and listing.of(asked.before).statements:
        verdict = evidence.verify(asked.before, replace(asked.wanted, release=""))
    return Release(directory=asked.before, device=devices.load(asked.before), evidence=verdict)


def _disk(
    directory: Path, device: devices.Device, progress: Progress
) -> tuple[Checked, DiskReport]:
    target = expected.of_device(directory)
    source = f"the directory {_KEYS}"
    with opened(target.image) as disk:
        found: list[Finding] = []
        if target.policy_key is None:
            table = partitions.read(disk, disk.size)
            inner = tuple(entry for entry in table.entries if entry.end <= disk.size)
            key, found = disk_check.policy_key(disk, target, replace(table, entries=inner))
            target, source = replace(target, policy_key=key), "the root, which enrols the data"
        verdict = disk_check.check(disk, target, progress)
        verdict = replace(verdict, findings=(*verdict.findings, *found))
        checked = Checked(device=device, target=target, verdict=verdict, policy_from=source)
        return checked, document.report(disk, target, verdict)


def _slots(checked: Checked, approved: ApprovedList | None) -> tuple[SlotMeasures, ...]:
    releases = () if approved is None else approved.releases
    found = []
    for slot in checked.target.slots:
        predictions = checked.verdict.chain.predictions.get(slot.name, ())
        values = predictions[0].pcrs if predictions else {}
        found.append(
            SlotMeasures(
                slot=slot.name,
                root_hash=slot.root_hash,
                pcrs=slot.pcrs,
                found={str(index): value.hex() for index, value in values.items()},
                policy=checked.policy(slot.name),
                approved=tuple(e.name for e in releases if companions.approves(e, slot)),
            )
        )
    return tuple(found)


def _attestation(verdict: Verdict | None, signer: str) -> tuple[KeyUse, ...]:
    if verdict is None:
        return ()
    good = verdict.release is not None and not verdict.errors
    signed = [*verdict.statements, *([listing.RELEASE] if verdict.release is not None else [])]
    return (
        KeyUse(
            role="attestation",
            fingerprint=signer,
            held="given for this report, with --key",
            signed=tuple(f"statement {name}" for name in sorted(signed)),
            standing=Standing.GOOD if good else Standing.REFUSED,
        ),
    )


def _of_disk(disk: DiskReport) -> Part:
    wrong = errors(disk.findings)
    if wrong:
        says = f"{len(wrong)} errors; the first: {wrong[0].message}"
        return Part(title="Disk", standing=Standing.REFUSED, says=says)
    warnings = sum(each.severity is Severity.WARNING for each in disk.findings)
    says = f"checked: no errors, {warnings} warnings"
    return Part(title="Disk", standing=Standing.GOOD, says=says)


def _of_evidence(verdict: Verdict | None, *, there: bool, asked: Asked) -> Part:
    standing, says = Standing.ABSENT, "there are no signed statements"
    if there and verdict is None:
        standing, says = Standing.UNKNOWN, "there, and no public key was given to verify it with"
    elif verdict is not None and verdict.errors:
        standing = Standing.REFUSED
        says = f"{len(verdict.errors)} errors; the first: {verdict.errors[0].message}"
    elif verdict is not None and verdict.release is not None:
        files_ = len(verdict.release.subject)
        standing = Standing.GOOD
        says = f"{files_} files and {len(verdict.statements) + 1} statements are those signed"
        if asked.wanted is not None and not asked.wanted.release:
            standing = Standing.UNKNOWN
            says += "; which release it must be was not given, and an older one is as genuine"
    return Part(title="Evidence", standing=standing, says=says)


def _of_matrix(matrix: Matrix | None, findings: list[Finding]) -> Part:
    title = "Boot matrix"
    about = [each for each in findings if each.where == companions.MATRIX]
    if wrong := errors(about):
        return Part(title=title, standing=Standing.REFUSED, says=wrong[0].message)
    if matrix is None:
        return Part(title=title, standing=Standing.ABSENT, says=f"no {companions.MATRIX}")
    count = f"{len(matrix.result.results)} scenarios passed"
    if about:
        return Part(title=title, standing=Standing.UNKNOWN, says=about[0].message)
    if not matrix.source.listed:
        return Part(title=title, standing=Standing.UNKNOWN, says=f"{count}, and {_UNLISTED}")
    says = f"{count}, by a file that the evidence names"
    return Part(title=title, standing=Standing.GOOD, says=says)


def _of_approved(approved: ApprovedList | None, findings: list[Finding]) -> Part:
    title = "Approved list"
    wrong = [each for each in findings if each.where == companions.APPROVED]
    if wrong:
        return Part(title=title, standing=Standing.REFUSED, says=wrong[0].message)
    if approved is None:
        return Part(title=title, standing=Standing.ABSENT, says=f"no {companions.APPROVED}")
    says = f"approves what each slot measures, as {', '.join(approved.current)}"
    if not approved.source.listed:
        return Part(title=title, standing=Standing.UNKNOWN, says=f"{says}, and {_UNLISTED}")
    return Part(title=title, standing=Standing.GOOD, says=says)


def _of_bills(bills: tuple[Bill, ...], findings: list[Finding]) -> Part:
    title = "Bill of materials"
    wrong = [each for each in findings if each.id == "evidence.sbom"]
    if wrong:
        says = f"{len(wrong)} errors; the first: {wrong[0].where}: {wrong[0].message}"
        return Part(title=title, standing=Standing.REFUSED, says=says)
    if not bills:
        return Part(title=title, standing=Standing.ABSENT, says="none")
    says = "names every artefact with its digest"
    if not all(each.source.listed for each in bills):
        return Part(title=title, standing=Standing.UNKNOWN, says=f"{says}, and {_UNLISTED}")
    return Part(title=title, standing=Standing.GOOD, says=says)
