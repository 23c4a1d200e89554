# SPDX-License-Identifier: MIT
"""A verifier's records: devices with their attestation keys, and its open challenges.

A directory of small files; there is no lock, because every change is one rename: the rename that
marks a challenge as answered succeeds once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseal import documents
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.files import write_file

DEVICE_SCHEMA: Final = "bootseal.attest-device/1"
CHALLENGE_SCHEMA: Final = "bootseal.challenge/1"
NONCE_SIZE: Final = 32
QUOTED_PCRS: Final = tuple(range(10))
"""What a device is asked to quote: everything firmware measures into."""
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# How long an answered or expired challenge is remembered, so that a late answer gets its reason.
_MEMORY: Final = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A device the verifier knows.

    Attributes:
        name: Its name.
        ek_certificate: SHA-256 of its endorsement certificate, lower-case hex.
        ek_issuer: Who issued that.
        ek_key: Fingerprint of its endorsement key; empty in records of older versions.
        ak: Its attestation key, TPMT_PUBLIC in lower-case hex.
        ak_name: The key's name, lower-case hex.
        chip: What names its TPM in certificates; empty in records of older versions.
        secret_sha256: While the key is not certified: digest of what its TPM must tell.
        certified: When the key was certified, seconds since 1970; 0 while it is not.
        reset_count: Of the last accepted quote, as are the next two.
        restart_count: See above.
        clock: See above; milliseconds.
    """

    schema: str = DEVICE_SCHEMA
    name: str
    ek_certificate: str
    ek_issuer: str
    ak: str
    ak_name: str
    secret_sha256: str
    ek_key: str = ""
    chip: str = ""
    certified: int = 0
    reset_count: int = 0
    restart_count: int = 0
    clock: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A question to one device.

    Attributes:
        device: Its name.
        nonce: What the quote must hold, lower-case hex.
        issued: Seconds since 1970.
        expires: Seconds since 1970.
        bank: The bank to quote.
        pcrs: The PCRs to quote.
    """

    schema: str = CHALLENGE_SCHEMA
    device: str
    nonce: str
    issued: int
    expires: int
    bank: str = "sha256"
    pcrs: tuple[int, ...] = QUOTED_PCRS


class Store:
    """The verifier's directory."""

    def __init__(self, directory: Path) -> None:
        self._devices = directory / "devices"
        self._challenges = directory / "challenges"

    def record(self, name: str) -> Record:
        """Return a device.

        Raises:
            UsageError: There is no such device.
            FormatError: Its record is damaged.
        """
        path = self._device(name)
        try:
            found = documents.load(Record, path)
        except FileNotFoundError:
            raise UsageError(
                f"the verifier knows no device {name!r}", hint="bootseal attest enrol"
            ) from None
        if _HEX.fullmatch(found.ak) is None:
            raise FormatError(f"{path}: 'ak' is not bytes in lower-case hex")
        return found

    def known(self, name: str) -> bool:
        """Tell whether there is a record of this device."""
        return self._device(name).exists()

    def admit(self, record: Record) -> None:
        """Write the record of a device that is enrolled or certified: one TPM is one device.

        Raises:
            VerificationRefused: Another device has the endorsement key, the certificate of it, or
                the attestation key.
            FormatError: A record is damaged.
        """
        for path in sorted(self._devices.glob("*.json")):
            other = documents.load(Record, path)
            same = [
                what
                for what, own, theirs in (
                    ("endorsement key", record.ek_key, other.ek_key),
                    ("endorsement certificate", record.ek_certificate, other.ek_certificate),
                    ("attestation key", record.ak_name, other.ak_name),
                )
                if own and own == theirs
            ]
            if same and other.name != record.name:
                raise VerificationRefused(
                    f"the TPM of {record.name!r} is already enrolled as {other.name!r}: it has "
                    f"the same {same[0]}",
                    hint=f"{path} is its record; remove it when {other.name!r} no longer exists",
                )
        self.save(record)

    def save(self, record: Record) -> None:
        """Write a device's record."""
        _save(self._device(record.name), record)

    def ask(self, name: str, *, now: int, validity: int) -> Challenge:
        """Make a challenge for a device and remember it.

        Args:
            name: The device.
            now: Seconds since 1970.
            validity: Seconds in which it must be answered.

        Raises:
            UsageError: There is no such device.
        """
        self.record(name)
        for path in self._stale(now):
            path.unlink(missing_ok=True)
        challenge = Challenge(
            device=name,
            nonce=os.urandom(NONCE_SIZE).hex(),
            issued=now,
            expires=now + validity,
        )
        _save(self._challenges / f"{challenge.nonce}.json", challenge)
        return challenge

    def take(self, nonce: bytes, *, now: int) -> Challenge:
        """Return the challenge of this nonce; from now on it counts as answered.

        Raises:
            VerificationRefused: It was answered before, has expired, or was never asked.
        """
        open_ = self._challenges / f"{nonce.hex()}.json"
        used = open_.with_suffix(".used")
        try:
            open_.rename(used)
        except OSError:
            if used.exists():
                raise VerificationRefused(
                    f"the challenge {nonce.hex()} was answered before: the quote is a replay"
                ) from None
            raise VerificationRefused(
                f"the quote answers {nonce.hex() or 'no nonce'}, which is not an open challenge"
            ) from None
        found = documents.load(Challenge, used)
        if now > found.expires:
            raise VerificationRefused(
                f"the challenge {found.nonce} expired {now - found.expires} seconds ago"
            )
        return found

    def _device(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise UsageError(
                f"{name!r} cannot name a device: expected up to 64 letters, digits and . _ -"
            )
        return self._devices / f"{name}.json"

    def _stale(self, now: int) -> Iterator[Path]:
        if not self._challenges.is_dir():
            return
        for path in self._challenges.iterdir():
            try:
                if path.stat().st_mtime + _MEMORY < now:
                    yield path
            except FileNotFoundError:
                continue


def _save(path: Path, content: Record | Challenge) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(path, documents.dump(content), mode=0o600)
