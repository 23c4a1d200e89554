# SPDX-License-Identifier: MIT
"""Key profiles: the key hierarchy of a device family, declared in TOML.

The format is described in keys-template/README.md.
"""

from __future__ import annotations

import logging
import re
import tomllib
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import BootsealError, FormatError, UsageError
from bootseal.files import read_bounded
from bootseal.keys.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Mapping

_log: Final = logging.getLogger(__name__)

DEV_PREFIX: Final = "DEV-"
# A file stem and a device tree node name at once (Devicetree Spec 2.2.1, without comma and plus).
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,26}")
_POLICY_ALGORITHM: Final = "sha256,rsa2048"
_NO_ATTESTATION: Final = ("ecdsa384",)
"""Kinds of keys that verifiers of attestations do not take (docs/evidence.md)."""
# In an installed package, then in a source tree.
_TEMPLATES: Final = (
    Path(__file__).parents[1] / "keys-template",
    Path(__file__).parents[3] / "keys-template",
)


class Role(StrEnum):
    """What a key is for."""

    ROOT = "root"
    FIT = "fit"
    FIT_NEXT = "fit-next"
    POLICY = "policy"
    UPDATE_CA = "update-ca"
    UPDATE = "update"
    APP = "app"
    MODULES = "modules"
    DEVICE_CA = "device-ca"
    ESCROW = "escrow"
    MRK = "mrk"
    FW_TRUSTED = "fw-trusted"
    FW_NONTRUSTED = "fw-nontrusted"
    FW_SOC = "fw-soc"
    FW_BOOT = "fw-boot"
    ATTESTATION = "attestation"


class Storage(StrEnum):
    """Where a private key lives."""

    FILE = "file"
    TOKEN = "token"  # noqa: S105 - a place, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What a profile says about a key."""

    name: str
    algorithm: Algorithm
    subject: str
    issuer: Role | None = None
    authority: bool = False
    valid_days: int
    storage: Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec(_Entry):
    """One key as declared.

    Attributes:
        role: What it is for.
        name: File stem and key-name-hint.
        algorithm: Hash and kind of key.
        subject: Certificate subject, RFC 4514.
        issuer: Role that certifies it, or None when it is self-signed.
        authority: Whether it may certify others.
        valid_days: Lifetime of its certificate.
        storage: Where the private key lives.
    """

    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A key hierarchy; `keys` has every issuer before what it certifies."""

    name: str
    development: bool
    keys: tuple[KeySpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    name: str
    development: bool
    keys: dict[Role, _Entry]


def find(name: str) -> Path:
    """Return the file of a shipped profile (`dev`, `production`), or `name` as a path.

    Raises:
        UsageError: It is neither.
    """
    for directory in _TEMPLATES:
        if (shipped := directory / f"{name}.toml").is_file():
            _log.info("key profile %s: the shipped %s", name, shipped)
            return shipped
    if (path := Path(name)).is_file():
        _log.info("key profile %s: a file", name)
        return path
    raise UsageError(
        f"there is no key profile {name!r}: expected dev, production or a TOML file",
        hint="start from keys-template/production.toml",
    )


def load(path: Path) -> Profile:
    """Read a profile.

    Raises:
        UsageError: It cannot be read, or an entry is unknown, missing, of the wrong kind or
            contradicts another.
    """
    try:
        document = tomllib.loads(read_bounded(path).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"key profile {path} cannot be read: {error}") from error
    what = f"key profile {path}"
    try:
        found = documents.decode(_Document, document, what, texts={Algorithm: Algorithm.parse})
    except FormatError as error:
        raise UsageError(error.message) from error
    try:
        return _profile(found)
    except BootsealError as error:
        raise UsageError(f"{what}: {error.message}", hint=error.hint) from error


def _profile(document: _Document) -> Profile:
    if not document.keys:
        raise UsageError("it does not declare any keys")
    specs = {}
    for role in (role for role in Role if role in document.keys):
        values = {each.name: getattr(document.keys[role], each.name) for each in fields(_Entry)}
        spec = specs[role] = KeySpec(role=role, **values)
        try:
            _check(spec, development=document.development)
        except BootsealError as error:
            raise UsageError(f"[keys.{role}]: {error.message}", hint=error.hint) from error
    names = [spec.name.lower() for spec in specs.values()]
    for spec in specs.values():
        if names.count(spec.name.lower()) > 1:
            raise UsageError(f"the name {spec.name!r} is used by more than one key")
    return Profile(name=document.name, development=document.development, keys=_ordered(specs))


def _check(spec: KeySpec, *, development: bool) -> None:
    name = spec.algorithm.name
    if spec.role is Role.POLICY and name != _POLICY_ALGORITHM:
        raise UsageError(f"algorithm {name}: systemd and TPMs need {_POLICY_ALGORITHM} here")
    if spec.role is Role.ESCROW and not spec.algorithm.kind.is_rsa:
        raise UsageError(f"algorithm {name}: recovery keys are encrypted to an RSA key")
    if spec.role is Role.ATTESTATION and (
        spec.algorithm.hash_name != "sha256" or spec.algorithm.kind in _NO_ATTESTATION
    ):
        raise UsageError(
            f"algorithm {name}: verifiers of attestations take SHA-256 with RSA or P-256 alone"
        )
    if spec.role is Role.MODULES and (
        spec.algorithm.hash_name != "sha256" or not spec.algorithm.kind.is_rsa
    ):
        raise UsageError(
            f"algorithm {name}: the layer's kernels verify modules by SHA-256 and RSA alone"
        )
    if spec.valid_days < 1:
        raise UsageError(f"valid_days is {spec.valid_days}: expected at least 1")
    _check_names(spec, development=development)


def says_development(common_name: str) -> bool:
    """Tell whether a certificate's common name says that its key is for development.

    >>> says_development("DEV update signing CA"), says_development("DEVON Ltd updates")
    (True, False)
    """
    return "DEV" in common_name.split()


def _check_names(spec: KeySpec, *, development: bool) -> None:
    if not NAME.fullmatch(spec.name):
        raise UsageError(
            f"name {spec.name!r} is not a file stem and node name: expected a letter, then at most "
            "26 letters, digits, dots, underscores or hyphens"
        )
    from cryptography import x509  # noqa: PLC0415 - slow to load, and signing reads roles only

    try:
        subject = x509.Name.from_rfc4514_string(spec.subject)
    except ValueError as error:
        raise UsageError(f"subject {spec.subject!r} is not RFC 4514: {error}") from error
    common = [str(a.value) for a in subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if len(common) != 1:
        raise UsageError(f"subject {spec.subject!r} has {len(common)} CN: expected one")
    if development and not (spec.name.startswith(DEV_PREFIX) and "DEV" in common[0]):
        raise UsageError(
            f"name {spec.name!r}, CN {common[0]!r}: a development key's name starts with "
            f"{DEV_PREFIX} and its CN contains DEV"
        )
    if not development and (
        spec.name.upper().startswith(DEV_PREFIX) or says_development(common[0])
    ):
        raise UsageError(
            f"name {spec.name!r}, CN {common[0]!r}: only a development profile's keys say DEV"
        )


def _ordered(specs: Mapping[Role, KeySpec]) -> tuple[KeySpec, ...]:
    """Put every issuer before what it certifies, and refuse chains that cannot be."""
    ordered: list[KeySpec] = []
    pending = list(specs.values())
    for spec in pending:
        issuer = specs.get(spec.issuer) if spec.issuer else None
        if spec.issuer and issuer is None:
            raise UsageError(
                f"[keys.{spec.role}]: its issuer {spec.issuer.value!r} is not declared"
            )
        if issuer and not issuer.authority:
            raise UsageError(
                f"[keys.{spec.role}]: its issuer {issuer.role.value!r} is not an authority",
                hint=f"set authority = true in [keys.{issuer.role}]",
            )
        if issuer and spec.valid_days > issuer.valid_days:
            raise UsageError(
                f"[keys.{spec.role}]: valid_days {spec.valid_days} exceeds the "
                f"{issuer.valid_days} of its issuer {issuer.role.value!r}"
            )
    while pending:
        ready = [s for s in pending if not s.issuer or specs[s.issuer] in ordered]
        if not ready:
            roles = ", ".join(spec.role for spec in pending)
            raise UsageError(f"these keys certify each other in a circle: {roles}")
        ordered += ready
        pending = [spec for spec in pending if spec not in ready]
    return tuple(ordered)
