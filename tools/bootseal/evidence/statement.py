# SPDX-License-Identifier: MIT
"""Statements: in-toto's, with SLSA provenance or with the list of a release, in one written form.

The names of the fields are those of the specifications. A member that has its default is not
written; the others are, sorted, without a space. What is read must be what would be written.

Spec: in-toto Attestation Framework, Statement v1 and ResourceDescriptor v1; SLSA Provenance v1.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from bootseal import documents
from bootseal.errors import FormatError
from bootseal.evidence import envelope

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
RELEASE: Final = "urn:bootseal:release:1"
SHA256: Final = "sha256"
COMMIT: Final = "gitCommit"

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""Of a release and of a device."""
_DIGESTS: Final = {
    SHA256: re.compile(r"[0-9a-f]{64}"),
    COMMIT: re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A file, or a commit of a repository; `digest` is lower-case hex by its algorithm."""

    name: str
    digest: dict[str, str]
    uri: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFacts:
    """What a slot starts: root hash, and the predicted PCR values by index, lower-case hex."""

    rootHash: str
    pcrs: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareFacts:
    """What a boot ROM starts: the master root key's fingerprint, and the security version."""

    masterRootKey: str
    counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found out about a device from its files.

    Attributes:
        epoch: SOURCE_DATE_EPOCH of the build.
        firmware: What its boot ROM starts; None for a device without one.
        keys: Fingerprints of the SubjectPublicKeyInfo by role, lower-case hex.
        login: Whether anyone can log in.
        rollbackIndex: Security version of the system; None for a device without slots.
        slots: What each slot starts.
    """

    epoch: int
    firmware: FirmwareFacts | None = None
    keys: dict[str, str]
    login: bool
    rollbackIndex: int | None = None
    slots: dict[str, SlotFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a build was asked for.

    Attributes:
        device: Name of the device.
        profile: Key profile.
        release: Name of the release.
        configuration: Settings of the build, such as machine and distribution.
        targets: What was built.
    """

    device: str
    profile: str
    release: str
    configuration: dict[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildDefinition:
    """SLSA's BuildDefinition."""

    buildType: str
    externalParameters: Parameters
    internalParameters: Facts
    resolvedDependencies: tuple[Resource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """SLSA's Builder: the platform and its boundary of trust, and versions of what ran on it."""

    id: str
    version: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """SLSA's BuildMetadata."""

    invocationId: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """SLSA's RunDetails."""

    builder: Builder
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """SLSA's Provenance."""

    buildDefinition: BuildDefinition
    runDetails: RunDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceStatement:
    """What files were made from, and how."""

    _type: str = STATEMENT
    subject: tuple[Resource, ...]
    predicateType: str = PROVENANCE
    predicate: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What closes the set.

    Attributes:
        created: When the list was made, RFC 3339 text in UTC.
        device: Name of the device.
        name: Name of the release.
        sizes: Bytes of each file.
        statements: SHA-256 of the payload of each other statement, by its name, lower-case hex.
        tool: Versions of what made the list.
    """

    created: str
    device: str
    name: str
    sizes: dict[str, int]
    statements: dict[str, str]
    tool: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseStatement:
    """Every file of a release: the subjects."""

    _type: str = STATEMENT
    subject: tuple[Resource, ...]
    predicateType: str = RELEASE
    predicate: Release

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of each file by its path, lower-case hex."""
        return {each.name: each.digest[SHA256] for each in self.subject}


def emit(statement: ProvenanceStatement | ReleaseStatement) -> bytes:
    """Write a statement."""
    text = json.dumps(_plain(statement), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def parse_provenance(data: bytes, what: str) -> ProvenanceStatement:
    """Read a statement with provenance.

    Args:
        data: The payload of an envelope.
        what: What it is, for messages.

    Raises:
        FormatError: It is none, or not in the one form.
    """
    found = documents.read(ProvenanceStatement, data, what, limit=envelope.MAX_SIZE)
    _check(found, emit(found), data, what)
    for each in found.predicate.buildDefinition.resolvedDependencies:
        _check_digest(each, what)
    return found


def parse_release(data: bytes, what: str) -> ReleaseStatement:
    """Read the list of a release.

    Args:
        data: The payload of an envelope.
        what: What it is, for messages.

    Raises:
        FormatError: It is none, or not in the one form, or a path leads out of the directory.
    """
    found = documents.read(ReleaseStatement, data, what, limit=envelope.MAX_SIZE)
    _check(found, emit(found), data, what)
    if list(found.predicate.sizes) != [each.name for each in found.subject]:
        raise FormatError(f"{what} gives sizes of other files than it lists")
    for name, size in found.predicate.sizes.items():
        if not is_inside(name) or size < 0:
            raise FormatError(f"{what} lists {name[:80]!r} with {size} bytes: expected a file")
    for name, digest in found.predicate.statements.items():
        if not NAME.fullmatch(name) or not _DIGESTS[SHA256].fullmatch(digest):
            raise FormatError(f"{what} lists a statement {name[:80]!r} without its digest")
    return found


def is_commit(text: str) -> bool:
    """Tell whether a text is the id of a commit, and not the name of a branch or a tag."""
    return _DIGESTS[COMMIT].fullmatch(text) is not None


def is_inside(path: str) -> bool:
    """Tell whether a path is in its one form, and leads to a file below where it starts."""
    place = PurePosixPath(path)
    return (
        bool(place.parts)
        and str(place) == path
        and not place.is_absolute()
        and ".." not in place.parts
        and path.isprintable()
    )


def _check(
    found: ProvenanceStatement | ReleaseStatement, expected: bytes, observed: bytes, what: str
) -> None:
    wanted = type(found)
    for name in ("_type", "predicateType"):
        default = next(f.default for f in dataclasses.fields(wanted) if f.name == name)
        if getattr(found, name) != default:
            raise FormatError(
                f"{what} has {name} {getattr(found, name)[:80]!r}: expected {default}"
            )
    envelope.refuse_other_form(expected, observed, what)
    names = [each.name for each in found.subject]
    if not names or names != sorted(set(names)):
        raise FormatError(f"{what} has no subjects, or not each once and sorted")
    for each in found.subject:
        _check_digest(each, what)
        if list(each.digest) != [SHA256]:
            raise FormatError(f"{what}: {each.name[:80]!r} has no SHA-256 alone")


def _check_digest(resource: Resource, what: str) -> None:
    pairs = resource.digest.items()
    wrong = [n for n, text in pairs if n not in _DIGESTS or not _DIGESTS[n].fullmatch(text)]
    if wrong or len(resource.digest) != 1:
        raise FormatError(
            f"{what}: {resource.name[:80]!r} has no digest: expected {' or '.join(_DIGESTS)}"
        )


def _plain(value: object) -> object:
    """Return what JSON knows, without the members that have their defaults."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    found: dict[str, object] = {}
    for each in dataclasses.fields(value):
        member = getattr(value, each.name)
        factory = each.default_factory
        default = each.default if factory is dataclasses.MISSING else factory()
        if each.name in {"_type", "predicateType"} or member != default:
            found[each.name] = _plain(member)
    return found
