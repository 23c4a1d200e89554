# SPDX-License-Identifier: MIT
"""What a verifier remembers of identity keys: proofs, certificates issued for them, revocations.

One file for each serial number, next to the devices and challenges of `attest.store`. A serial
number is chosen when a proof is accepted, so that a certificate can be made in two steps.
"""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.files import write_file

if TYPE_CHECKING:
    from bootseal.attest.store import Record
    from bootseal.identity.messages import Proof
    from bootseal.identity.verify import IdentityVerdict

_SERIAL: Final = re.compile(r"[4-7][0-9a-f]{31}")
_SERIAL_SIZE: Final = 16
_PROVE: Final = "bootseal identity challenge, and verify the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A proven identity key, and the certificate that was issued for it.

    Attributes:
        schema: Always `bootseal.identity-entry/1`.
        serial: Serial number, 32 lower-case hex digits.
        device: The device.
        key: The key, TPMT_PUBLIC.
        ak_name: Name of the attestation key that vouched for it, lower-case hex.
        release: The approved release that the device ran.
        proven: When the proof was accepted, seconds since 1970.
        authority: Fingerprint of the key that certified it; empty before that, as is the next.
        certificate: The certificate, DER.
        not_after: Until when it is valid, seconds since 1970; 0 before it is issued.
        revoked: When it was revoked; 0 if it was not.
        reason: Why.
    """

    schema: str = "bootseal.identity-entry/1"
    serial: str
    device: str
    key: bytes
    ak_name: str
    release: str
    proven: int
    authority: str = ""
    certificate: bytes = b""
    not_after: int = 0
    revoked: int = 0
    reason: str = ""

    def state(self, now: int) -> str:
        """Return `revoked`, `proven` (not issued yet), `expired` or `issued`."""
        if self.revoked:
            return "revoked"
        if not self.certificate:
            return "proven"
        return "expired" if now > self.not_after else "issued"


class Registry:
    """The identities in a verifier's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "identities"

    def entries(self, device: str = "") -> list[Entry]:
        """Return what is known, the oldest proof first.

        Args:
            device: Of this device only.

        Raises:
            FormatError: An entry is damaged, or has another serial number than its file's name.
        """
        found = []
        for path in self._directory.glob("*.json"):
            entry = documents.load(Entry, path)
            if entry.serial != path.stem or _SERIAL.fullmatch(entry.serial) is None:
                raise FormatError(f"{path}: the serial number is {entry.serial!r}")
            if device in ("", entry.device):
                found.append(entry)
        return sorted(found, key=lambda entry: (entry.proven, entry.serial))

    def accept(self, proof: Proof, verdict: IdentityVerdict, record: Record, now: int) -> Entry:
        """Remember a key whose proof was accepted, with a serial number for its certificate.

        Raises:
            UsageError: The proof was refused.
            VerificationRefused: Another device has the key.
            FormatError: An entry is damaged.
        """
        if not verdict.accepted:
            raise UsageError(f"the proof of {record.name} was refused: no record is changed")
        for other in self.entries():
            if other.key == proof.area and other.device != record.name:
                raise VerificationRefused(
                    f"the identity key of {record.name} is already that of {other.device}"
                )
        entry = Entry(
            serial=_new_serial(),
            device=record.name,
            key=proof.area,
            ak_name=record.ak_name,
            release=verdict.boot.release,
            proven=now,
        )
        self.save(entry)
        return entry

    def latest(self, record: Record) -> Entry:
        """Return the newest proof of a device, to issue a certificate for it.

        Raises:
            UsageError: There is none.
            VerificationRefused: It was revoked, or another attestation key vouched for it than the
                one that the device is enrolled with now.
            FormatError: An entry is damaged.
        """
        found = self.entries(record.name)
        if not found:
            raise UsageError(f"{record.name} has not proven an identity key", hint=_PROVE)
        # Of two proofs in one second, that which has no certificate yet.
        entry = max(found, key=lambda entry: (entry.proven, not entry.certificate))
        if entry.revoked:
            raise VerificationRefused(
                f"the last identity of {record.name}, {entry.serial}, was revoked: {entry.reason}",
                hint=_PROVE,
            )
        if entry.ak_name != record.ak_name or not record.certified:
            raise VerificationRefused(
                f"{record.name} was enrolled again after its identity key was proven", hint=_PROVE
            )
        return entry

    def revoke(self, device: str, serial: str, *, reason: str, now: int) -> list[Entry]:
        """Revoke the certificates and proven keys of a device.

        Args:
            device: The device.
            serial: Only this; empty for all.
            reason: Why.
            now: Seconds since 1970.

        Returns:
            What is revoked by this.

        Raises:
            UsageError: There is nothing to revoke.
            FormatError: An entry is damaged.
        """
        open_ = [
            entry
            for entry in self.entries(device)
            if not entry.revoked and serial in ("", entry.serial)
        ]
        if not open_:
            which = f"no identity {serial}" if serial else "no identity"
            raise UsageError(
                f"{device} has {which} that is not revoked", hint="bootseal identity list"
            )
        changed = [dataclasses.replace(e, revoked=now, reason=reason) for e in open_]
        for entry in changed:
            self.save(entry)
        return changed

    def save(self, entry: Entry) -> None:
        """Write an entry."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"{entry.serial}.json"
        write_file(path, documents.dump(entry), mode=0o600)


def _new_serial() -> str:
    """Return a random positive number of 16 bytes, RFC 5280 section 4.1.2.2."""
    number = bytearray(os.urandom(_SERIAL_SIZE))
    # Neither negative nor shorter than the others.
    number[0] = number[0] & 0x3F | 0x40
    return number.hex()
