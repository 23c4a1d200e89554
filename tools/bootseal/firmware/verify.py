# SPDX-License-Identifier: MIT
"""Checks a FIP against the hash of a master root key, as BL1 and BL2 do, and more strictly.

TF-A reads whatever certificate comes first with the right name and never asks whether another is
of the same release. Here all of them are read, the subject key of each is the key that signs it,
and all that share a counter agree about its value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bootseal.errors import FormatError, VerificationRefused
from bootseal.findings.catalogue import finding
from bootseal.firmware import chain
from bootseal.firmware.chain import Certificate, Counter, Key
from bootseal.firmware.coverage import Region, regions
from bootseal.keys import public, tbbr

if TYPE_CHECKING:
    from bootseal.findings.model import Finding
    from bootseal.formats.fip import Fip
    from bootseal.keys.public import PublicKey
    from bootseal.keys.tbbr import BootCertificate


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareVerdict:
    """What is known of a FIP.

    Attributes:
        findings: What refuses it; none for a good one.
        keys: SHA-256 of the SubjectPublicKeyInfo of every key that the chain leads to.
        counters: The values of the counters, where all certificates agree.
        regions: Every byte, and what protects it.
    """

    findings: tuple[Finding, ...]
    keys: dict[Key, str]
    counters: dict[Counter, int]
    regions: tuple[Region, ...]


@dataclass(slots=True)
class _State:
    """What the certificates so far have led to."""

    keys: dict[Key, PublicKey] = field(default_factory=dict)
    counters: dict[Counter, dict[str, int]] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)


def check(
    found: Fip, root_hash: str, least: Mapping[Counter, int] | None = None
) -> FirmwareVerdict:
    """Verify a FIP.

    Args:
        found: The FIP.
        root_hash: SHA-256 of the master root key's SubjectPublicKeyInfo, as lower-case hex.
        least: The lowest values that the counters may have; 0 where it says nothing.
    """
    state = _State()
    names = {entry.name for entry in found.entries}
    findings = [
        finding("firmware.missing", name, "it is not in the FIP")
        for name in (*chain.REQUIRED, *chain.CERTIFICATES)
        if name not in names
    ]
    findings += [
        finding("firmware.unexpected", name, "no certificate of the chain covers it")
        for name in chain.strangers(found)
    ]
    for row in chain.CHAIN:
        if row.image in names:
            findings += _certificate(found, row, root_hash, state)
    counters: dict[Counter, int] = {}
    for counter, values in state.counters.items():
        findings += _counter(counter, values, (least or {}).get(counter, 0))
        if len(set(values.values())) == 1:
            counters[counter] = next(iter(values.values()))
    return FirmwareVerdict(
        findings=tuple(findings),
        keys={name: key.fingerprint() for name, key in state.keys.items()},
        counters=counters,
        regions=regions(found, state.good),
    )


def lowest_counter(found: Fip) -> int | None:
    """Return the lowest security version that a certificate of a FIP states.

    No signature is checked. None when a certificate is missing or malformed.
    """
    try:
        return min(
            tbbr.read_counter(tbbr.read(found.image(row.image) or b"").extensions[row.counter])
            for row in chain.CHAIN
        )
    except (FormatError, KeyError):
        return None


def _certificate(found: Fip, row: Certificate, root_hash: str, state: _State) -> Iterator[Finding]:
    """Check a certificate and the images it vouches for, and take the keys it vouches for."""
    where = row.image
    try:
        certificate = tbbr.read(found.image(where) or b"")
        _check_extensions(row, certificate)
        vouched = {key: public.from_der(certificate.extensions[n]) for n, key in row.keys.items()}
        for number, key in row.keys.items():
            _check_canonical(number, certificate.extensions[number], vouched[key])
        digests = {n: tbbr.read_digest_info(certificate.extensions[n]) for n in row.hashes}
        counter = tbbr.read_counter(certificate.extensions[row.counter])
    except FormatError as error:
        yield finding("firmware.certificate", where, error.message)
        return
    subject = certificate.public_key.fingerprint()
    if row.signer is Key.MRK and subject != root_hash:
        message = f"its key is {subject}: the master root key is {root_hash}"
        yield finding("firmware.root-key", where, message, expected=root_hash, observed=subject)
        return
    signer = certificate.public_key if row.signer is Key.MRK else state.keys.get(row.signer)
    if signer is None:
        yield finding(
            "firmware.signature", where, f"no good certificate names its key {row.signer}"
        )
        return
    try:
        tbbr.verify(certificate, signer)
    except VerificationRefused as error:
        yield finding("firmware.signature", where, error.message)
        return
    if signer != certificate.public_key:
        message = f"its subject key is {subject}: the key that signs it is {signer.fingerprint()}"
        yield finding("firmware.subject-key", where, message)
        return
    state.good.add(where)
    state.keys |= {row.signer: signer} | vouched
    state.counters.setdefault(row.counter, {})[where] = counter
    for number, name in row.hashes.items():
        yield from _image(found, name, *digests[number], state)


def _check_extensions(row: Certificate, certificate: BootCertificate) -> None:
    """Refuse a certificate with other extensions than its place in the chain has.

    Raises:
        FormatError: Some are missing, or there are more.
    """
    expected = [int(row.counter), *row.keys, *row.hashes]
    if list(certificate.extensions) != expected:
        raise FormatError(
            f"the extensions are {list(certificate.extensions)}: expected {expected}, in this order"
        )


def _check_canonical(number: int, value: bytes, key: PublicKey) -> None:
    if key.spki_der != value:
        raise FormatError(f"the key in extension {number} is not in DER form")


def _image(
    found: Fip, name: str, hash_name: str, expected: bytes, state: _State
) -> Iterator[Finding]:
    image = found.image(name)
    digest = bytes(len(expected)) if image is None else hashlib.new(hash_name, image).digest()
    if digest == expected:
        if image is not None:
            state.good.add(name)
        return
    observed = "it is not in the FIP" if image is None else f"its digest is {digest.hex()}"
    yield finding(
        "firmware.hash",
        name,
        f"{observed}: its certificate has {hash_name} {expected.hex()}",
        expected=expected.hex(),
        observed=digest.hex(),
    )


def _counter(counter: Counter, values: Mapping[str, int], least: int) -> Iterator[Finding]:
    what = f"the {counter.name.lower()} counter"
    if len(set(values.values())) > 1:
        said = ", ".join(f"{name} {value}" for name, value in values.items())
        yield finding("firmware.counters-differ", what, f"{said}: expected the same in each")
    for name, value in values.items():
        if value < least:
            yield finding("firmware.rollback", name, f"{what} is {value}: expected {least} or more")
