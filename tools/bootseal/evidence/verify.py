# SPDX-License-Identifier: MIT
"""Verifies the evidence of a release, without a network: who signed it, and every file.

Nothing of a statement is looked at before its signature, and nothing of `device.json` before the
list has its digest. The list, which is signed last, closes the set: it names every file and every
other statement, so what is missing, changed, superfluous or of another release is told apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bootseal import device as devices
from bootseal.errors import BootsealError, FormatError, VerificationRefused
from bootseal.evidence import companions, envelope, facts, listing, sbom, statement
from bootseal.files import read_bounded
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from bootseal.device import Device
    from bootseal.evidence.listing import Listing
    from bootseal.evidence.statement import Facts, ProvenanceStatement, ReleaseStatement
    from bootseal.keys.public import PublicKey

DISK, FIT, FIRMWARE, BUNDLE, SBOM = "disk", "fit", "firmware", "bundle", "sbom"
BUNDLES: Final = ".raucb"
_ROLES: Final = {
    DISK: ("disk",),
    FIT: ("fit", "policy"),
    FIRMWARE: ("bios", "control-dtb", *devices.ROM_ROLES),
}
"""Artefacts that each statement is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What evidence is held against.

    Attributes:
        key: The key with the role `attestation`.
        release: Name that the release must have; empty takes any.
        device: Name that its device must have; empty takes any.
    """

    key: PublicKey
    release: str = ""
    device: str = ""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What was found.

    Attributes:
        findings: Everything.
        release: The list; None where nothing vouches for it.
        statements: The other statements that the key signed and the list names, by name.
    """

    findings: list[Finding] = field(default_factory=list)
    release: ReleaseStatement | None = None
    statements: dict[str, ProvenanceStatement] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that refuse the release."""
        return errors(self.findings)


def bundle_files(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the update bundles among the files of a release."""
    return tuple(sorted(path for path in paths if path.endswith(BUNDLES)))


def subjects(device: Device, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the files that each statement about a device is about, by its name.

    Args:
        device: The device.
        paths: The files of the release.
    """
    found = {
        name: tuple(sorted(device.artefacts[r].path for r in roles if r in device.artefacts))
        for name, roles in _ROLES.items()
    }
    found[BUNDLE] = bundle_files(paths)
    found[SBOM] = tuple(sorted(path for path in paths if path.endswith(sbom.SUFFIX)))
    return {name: files for name, files in found.items() if files}


def verify(directory: Path, wanted: Wanted) -> Verdict:
    """Verify the evidence of a release.

    Args:
        directory: The release, with its evidence.
        wanted: What it is held against.

    Raises:
        UsageError: There is no such directory, or the key is not one for envelopes.
        FormatError: The directory has more files, or is deeper, than a release has.
    """
    envelope.algorithm(wanted.key)
    found = listing.of(directory)
    verdict = Verdict()
    payload = _opened(listing.RELEASE, found, wanted.key, verdict.findings)
    if payload is None:
        return verdict
    what = _place(listing.RELEASE)
    try:
        release = statement.parse_release(payload, what)
    except FormatError as error:
        verdict.findings.append(finding("evidence.form", what, error.message))
        return verdict
    verdict.release = release
    verdict.findings += _names(release, wanted)
    verdict.findings += _files(directory, release, found)
    _statements(release, found, wanted.key, verdict)
    if devices.FILE_NAME in release.files:
        verdict.findings += _device(directory, verdict, release)
    else:
        message = "the list does not name it, so it is not that of a built device"
        verdict.findings.append(finding("evidence.incomplete", devices.FILE_NAME, message))
    for name in found.working:
        verdict.findings.append(
            finding("evidence.outside", name, "it was not looked at: it is not part of a release")
        )
    return verdict


def _place(name: str) -> str:
    return f"{listing.FOLDER}/{name}{listing.SUFFIX}"


def _opened(name: str, found: Listing, key: PublicKey, findings: list[Finding]) -> bytes | None:
    """Return the payload of an envelope that the key signed; else say what is wrong."""
    where = _place(name)
    if name not in found.statements:
        if where not in found.others:
            findings.append(finding("evidence.missing", where, "the statement is not there"))
        else:
            findings.append(finding("evidence.kind", where, f"it is {found.others[where]}"))
        return None
    try:
        data = read_bounded(found.statements[name], limit=envelope.MAX_SIZE)
        read = envelope.parse(data, where)
    except FormatError as error:
        findings.append(finding("evidence.form", where, error.message))
        return None
    if read.keyid != key.fingerprint():
        findings.append(
            finding(
                "evidence.key",
                where,
                f"it names the key {read.keyid[:64]!r}: expected {key.fingerprint()}",
                expected=key.fingerprint(),
                observed=read.keyid[:64],
            )
        )
        return None
    try:
        envelope.verify(read, key)
    except VerificationRefused as error:
        findings.append(finding("evidence.signature", where, error.message))
        return None
    return read.payload


def _names(release: ReleaseStatement, wanted: Wanted) -> Iterator[Finding]:
    for what, expected, observed in (
        ("release", wanted.release, release.predicate.name),
        ("device", wanted.device, release.predicate.device),
    ):
        if expected and expected != observed:
            yield finding(
                "evidence.release",
                _place(listing.RELEASE),
                f"it is of the {what} {observed!r}: expected {expected!r}",
                expected=expected,
                observed=observed,
            )


def _files(directory: Path, release: ReleaseStatement, found: Listing) -> Iterator[Finding]:
    """Compare every file with the list."""
    sizes = release.predicate.sizes
    for path, digest in release.files.items():
        if path in found.others:
            continue
        if path not in found.files:
            yield finding("evidence.missing", path, "the list names it, and it is not there")
        elif found.files[path] != sizes[path]:
            yield finding(
                "evidence.changed",
                path,
                f"it has {found.files[path]} bytes: the list gives {sizes[path]}",
                expected=str(sizes[path]),
                observed=str(found.files[path]),
            )
        elif (observed := devices.digest_file(directory / path)) != digest:
            yield finding(
                "evidence.changed",
                path,
                f"it has SHA-256 {observed}: the list gives {digest}",
                expected=digest,
                observed=observed,
            )
    for path in found.files.keys() - release.files.keys():
        yield finding("evidence.extra", path, "the list does not name it")
    listed = {_place(listing.RELEASE), *map(_place, release.predicate.statements)}
    for path, kind in found.others.items():
        if path not in listed:
            yield finding("evidence.kind", path, f"it is {kind}: a release has files alone")


def _statements(
    release: ReleaseStatement, found: Listing, key: PublicKey, verdict: Verdict
) -> None:
    """Verify the other statements: each is one that the list names."""
    named = release.predicate.statements
    for name in sorted(found.statements.keys() - named.keys() - {listing.RELEASE}):
        message = "the list does not name this statement"
        verdict.findings.append(finding("evidence.extra", _place(name), message))
    for name, digest in named.items():
        payload = _opened(name, found, key, verdict.findings)
        if payload is None:
            continue
        where = _place(name)
        try:
            read = statement.parse_provenance(payload, where)
        except FormatError as error:
            verdict.findings.append(finding("evidence.form", where, error.message))
            continue
        observed = hashlib.sha256(payload).hexdigest()
        if observed != digest:
            of = read.predicate.buildDefinition.externalParameters.release
            verdict.findings.append(
                finding(
                    "evidence.foreign",
                    where,
                    f"the key signed it, for the release {of!r}, and the list of "
                    f"{release.predicate.name!r} names another",
                    expected=digest,
                    observed=observed,
                )
            )
            continue
        verdict.statements[name] = read


def _device(directory: Path, verdict: Verdict, release: ReleaseStatement) -> Iterator[Finding]:
    """Compare what the statements say with the device, whose description the list names."""
    if any(each.where in release.files for each in verdict.errors):
        return  # Facts of other files would only say once more that they are others.
    try:
        device = devices.load(directory)
        expected = facts.of_device(device, directory)
    except BootsealError as error:
        yield finding("evidence.facts", devices.FILE_NAME, error.message)
        return
    about = subjects(device, release.files)
    yield from _bills(directory, device, about.get(SBOM, ()))
    yield from companions.check(directory, device, release.files)
    for name, paths in about.items():
        where = _place(name)
        if name not in release.predicate.statements:
            message = f"there is no statement about {', '.join(paths)}"
            yield finding("evidence.incomplete", where, message)
        elif name in verdict.statements:
            yield from _subjects(verdict.statements[name], paths, release.files, where)
    if release.predicate.device != device.name:
        message = f"it is of the device {release.predicate.device!r}: expected {device.name!r}"
        yield finding("evidence.facts", _place(listing.RELEASE), message)
    for name, each in verdict.statements.items():
        yield from _facts(each, device, expected, release, _place(name))


def _bills(directory: Path, device: Device, paths: Iterable[str]) -> Iterator[Finding]:
    """Compare the artefacts with what the bills of materials name."""
    named: set[str] = set()
    for path in paths:
        try:
            named |= sbom.digests(read_bounded(directory / path, limit=sbom.MAX_SIZE), path)
        except FormatError as error:
            yield finding("evidence.sbom", path, error.message)
            return
    if not paths:
        message = f"there is no bill of materials, {sbom.SUFFIX.removeprefix('.')}"
        yield finding("evidence.no-sbom", listing.FOLDER, message)
        return
    for path in sbom.unnamed(device, named):
        yield finding("evidence.sbom", path, "no bill of materials has a file with its SHA-256")


def _subjects(
    read: ProvenanceStatement, paths: Iterable[str], files: Mapping[str, str], where: str
) -> Iterator[Finding]:
    said = {each.name: each.digest[statement.SHA256] for each in read.subject}
    wanted = {path: files.get(path, "") for path in paths}
    for path in sorted(said.keys() | wanted.keys()):
        if said.get(path) != wanted.get(path):
            yield finding(
                "evidence.subject",
                where,
                f"of {path} it gives SHA-256 {said.get(path)}: expected {wanted.get(path)}",
                expected=str(wanted.get(path)),
                observed=str(said.get(path)),
            )


def _facts(
    read: ProvenanceStatement,
    device: Device,
    expected: Facts,
    release: ReleaseStatement,
    where: str,
) -> Iterator[Finding]:
    built = read.predicate.buildDefinition
    asked, found = built.externalParameters, built.internalParameters
    for name, right, said in (
        ("device", device.name, asked.device),
        ("profile", device.profile, asked.profile),
        ("release", release.predicate.name, asked.release),
        ("epoch", expected.epoch, found.epoch),
        ("firmware", expected.firmware, found.firmware),
        ("keys", expected.keys, found.keys),
        ("login", expected.login, found.login),
        ("rollbackIndex", expected.rollbackIndex, found.rollbackIndex),
        ("slots", expected.slots, found.slots),
    ):
        if right != said:
            yield finding(
                "evidence.facts",
                where,
                f"it gives another {name} than {devices.FILE_NAME} and the FIT",
                expected=str(right)[:200],
                observed=str(said)[:200],
            )
