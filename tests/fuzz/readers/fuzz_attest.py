# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of everything a device sends its verifier, and of PCR values next to it.

    pip install atheris
    python -m tests.fuzz.readers.fuzz_attest CORPUS -max_total_time=600

Any bytes must end in a model or a `BootsealError`, and no signature may be accepted. The first byte
chooses the reader; CORPUS is filled with well-formed structures when it is empty.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["bootseal"]):
    from tests import event_logs
    from tests.fuzz.readers import seeded

    from bootseal import documents
    from bootseal.attest import messages
    from bootseal.errors import VerificationRefused
    from bootseal.formats.tpm import eventlog, structures
    from bootseal.formats.tpm.eventlog import Event, EventLog, EventType
    from bootseal.formats.tpm.policy import PCR_COUNT
    from bootseal.keys.tpm import credential, endorsement
    from bootseal.keys.tpm import identity as tpm_identity
    from bootseal.measure import approved, explain, pcr_values

if TYPE_CHECKING:
    from collections.abc import Callable

LOCALITY = Event(
    pcr=0,
    type=EventType.NO_ACTION,
    digests={"sha256": bytes(32)},
    data=b"StartupLocality\0\3",
)
FDT = bytes.fromhex("d00dfeed 00000030") + bytes(40)
EXPECTED = eventlog.bootm_events(kernel=b"k", ramdisk=b"r", fdt=FDT, version=b"U-Boot")
# The base point of P-256: a public key that everyone knows.
GX = bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296")
GY = bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
LOCALITIES = 5
WHEN = datetime(2026, 11, 22, tzinfo=UTC)


def read_log(data: bytes) -> None:
    log = eventlog.parse(data)
    for bank in log.algorithms:
        eventlog.replay(log.events, bank)
    if log.algorithms:
        again = eventlog.parse(event_logs.emit(log))
        assert again == EventLog(algorithms=log.algorithms, events=log.events)
    assert log.padding < len(data)
    assert 0 <= eventlog.startup_locality(log.events) < LOCALITIES
    for entry in explain.compare(log.events[:64], EXPECTED):
        assert entry.meaning


def read_values(data: bytes) -> None:
    """Read PCR values in front of a NUL, and compare them with the log behind it."""
    text, _, raw = data.partition(b"\0")
    read = pcr_values.parse(text)
    for found in read.values():
        assert all(0 <= pcr < PCR_COUNT for pcr in found)
    log = eventlog.parse(raw) if raw else EventLog(algorithms=("sha256",), events=EXPECTED)
    pcr_values.compare(log, read, [approved.CAPPED])


def read_public(data: bytes) -> None:
    public = structures.parse_public(data)
    key = credential.public_key(public.key)
    with suppress(VerificationRefused):
        credential.check_attestation_key(public)
    tpm_identity.wrong_attributes(public)
    tpm_identity.wrong_form(public)
    numbers = (b"\1", b"\1") if len(data) % 2 else (b"\1",)
    signature = structures.Signature(
        scheme=structures.Scheme.ECDSA, hash_name="sha256", numbers=numbers
    )
    try:
        credential.verify(public, key, b"message", signature)
    except VerificationRefused:
        return
    raise AssertionError("a signature nobody made was accepted")


READERS: tuple[Callable[[bytes], object], ...] = (
    read_log,
    read_public,
    structures.parse_quote,
    structures.parse_signature,
    messages.parse_evidence,
    messages.parse_identity,
    approved.parse,
    lambda data: endorsement.check(data, [], WHEN),
    read_values,
)


def a_release() -> approved.Release:
    values = {bank: eventlog.replay(EXPECTED, bank) for bank in EXPECTED[0].digests}
    boot = approved.Boot(
        slot="a",
        configuration="conf-a",
        pcrs={b: {str(p): v.hex() for p, v in sorted(of.items())} for b, of in values.items()},
        events=tuple(approved.from_event(event) for event in EXPECTED),
    )
    return approved.Release(
        name="1.0", rollback_index=1, fit="00" * 32, firmware="U-Boot", boots=(boot,)
    )


def other_bank() -> bytes:
    """Return a log with the banks SM3-256 and SHA-256, of which the first is not read."""
    header = (
        b"Spec ID Event03\0" + bytes(4) + b"\0\2\0\2" + struct.pack("<I4H", 2, 0x12, 32, 0xB, 32)
    )
    digests = struct.pack("<IH32sH32s", 2, 0x12, b"\2" * 32, 0xB, b"\3" * 32)
    event = struct.pack("<II", 0, EventType.S_CRTM_VERSION) + digests + struct.pack("<I", 1) + b"v"
    return struct.pack("<II20xI", 0, EventType.NO_ACTION, len(header) + 1) + header + b"\0" + event


def seeds() -> dict[str, bytes]:
    replayed = eventlog.replay(EXPECTED)
    text = "sha256:\n" + "".join(f"  {pcr} : 0x{of.hex()}\n" for pcr, of in replayed.items())
    log = event_logs.emit(EventLog(algorithms=("sha256",), events=EXPECTED))
    sized = (32).to_bytes(2)
    ecc = bytes.fromhex("0023000b00050072000000100018000b00030010") + sized + GX + sized + GY
    quote = (
        bytes.fromhex("ff5443478018000000057c7c7c7c7c")
        + bytes(16)
        + b"\1"
        + bytes(8)
        + bytes.fromhex("00000001000b03030300")
        + sized
        + bytes(32)
    )
    signature = bytes.fromhex("0018000b") + (sized + b"\1" * 32) * 2
    evidence = documents.dump(messages.Answer(quote=quote, signature=signature, event_log=log))
    return {
        "log": b"\0" + log,
        "public": b"\1" + ecc,
        "quote": b"\2" + quote,
        "signature": b"\3" + signature,
        "evidence": b"\4" + evidence,
        "identity": b"\5" + documents.dump(messages.Identity(ek_certificate=b"", ak=ecc)),
        "locality": b"\0"
        + event_logs.emit(EventLog(algorithms=("sha256",), events=(LOCALITY, *EXPECTED))),
        "filler": b"\0" + log + bytes(64),
        "unknown-bank": b"\0" + other_bank(),
        "tpm12": b"\0" + struct.pack("<II20sI", 0, 8, b"\1" * 20, 4) + b"1.0\0",
        "values": b"\x08" + text.encode(),
        "values-of-log": b"\x08" + text.encode() + b"\0" + log,
        "approved": b"\6" + documents.dump(approved.Approved(releases=(a_release(),))),
    }


if __name__ == "__main__":
    seeded.run(READERS, seeds)
