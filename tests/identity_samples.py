# SPDX-License-Identifier: MIT
"""A device and its TPM in Python: an attestation key, an identity key, and what they sign."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from tests import event_logs

from bootseal import documents
from bootseal.attest.store import QUOTED_PCRS, Challenge, Record
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.tpm.eventlog import EventLog
from bootseal.identity import messages
from bootseal.identity.messages import IdentityAnswer, Proof
from bootseal.identity.registry import Entry
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import EcPublicKey
from bootseal.keys.signers.file import FileSigner
from bootseal.measure import approved, inputs
from bootseal.measure.approved import Approved
from bootseal.measure.predict import CAP, Prediction, predict

VERSION: Final = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"
NOW: Final = 1_800_000_000
NONCE: Final = bytes(range(32))
CHALLENGE: Final = Challenge(device="dev-1", nonce=NONCE.hex(), issued=NOW, expires=NOW + 300)
AK: Final = 0x00050072
IDENTITY: Final = 0x00040472
CREATION: Final = 0x801A
CERTIFY: Final = 0x8017


def sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def area(
    signer: FileSigner, attributes: int, *, scheme: str = "0010", policy: bytes = b""
) -> bytes:
    """Return the TPMT_PUBLIC of a key on P-256 or P-384, with name algorithm SHA-256."""
    key = signer.public_key
    assert isinstance(key, EcPublicKey)
    size = key.bits // 8
    head = struct.pack(">HHI", 0x23, 0xB, attributes) + sized(policy)
    parameters = struct.pack(">H", 0x10) + bytes.fromhex(scheme)
    curve = struct.pack(">HH", 3 if size == 32 else 4, 0x10)
    point = sized(key.x.to_bytes(size)) + sized(key.y.to_bytes(size))
    return head + parameters + curve + point


def name(public_area: bytes) -> bytes:
    return b"\0\x0b" + hashlib.sha256(public_area).digest()


@cache
def release(kernel: bytes) -> tuple[Approved, Prediction]:
    """Return a list with one release, and what it measures."""
    images = [
        fdt.Node("kernel-1", {"data": kernel}),
        fdt.Node("fdt-a", {"data": fdt.emit(fdt.Node("", {}, []))}),
    ]
    conf = fdt.Node("conf-a", {"kernel": b"kernel-1\0", "fdt": b"fdt-a\0"})
    children = [fdt.Node("images", {}, images), fdt.Node("configurations", {}, [conf])]
    data = fdt.emit(fdt.Node("", {"description": b"d\0"}, children))
    artefacts = inputs.Source(fit=data, version=VERSION, slots={"conf-a": "a"})
    listed = approved.release("1.0", inputs.predictions(artefacts), data, VERSION)
    found = predict(fit_format.parse(data), "conf-a", version=VERSION)
    return Approved(releases=(listed,)), found


def new_key(curve: ec.EllipticCurve | None = None) -> FileSigner:
    return FileSigner(ec.generate_private_key(curve or ec.SECP256R1()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that booted a kernel."""

    ak: FileSigner = field(default_factory=new_key)
    identity: FileSigner = field(default_factory=new_key)
    kernel: bytes = b"KERNEL 1"
    capped: bool = True
    resets: int = 2

    @property
    def ak_area(self) -> bytes:
        return area(self.ak, AK, scheme="0018000b")

    @property
    def record(self) -> Record:
        """What the verifier knows of it."""
        return Record(
            name="dev-1",
            ek_certificate="e5" * 32,
            ek_issuer="CN=maker",
            ek_key="ek",
            chip="id:00001014:aabb:1f",
            ak=self.ak_area.hex(),
            ak_name=name(self.ak_area).hex(),
            secret_sha256="",
            certified=NOW,
        )

    def sign(self, message: bytes) -> bytes:
        """Sign with the attestation key; a TPMT_SIGNATURE."""
        algorithm = Algorithm.parse("sha256,ecdsa256")
        raw = self.ak.sign_digest(hashlib.sha256(message).digest(), algorithm)
        return struct.pack(">HH", 0x18, 0xB) + sized(raw[:32]) + sized(raw[32:])

    def _head(self, kind: int, nonce: bytes) -> bytes:
        head = b"\xffTCG" + struct.pack(">H", kind) + sized(b"\0\x0b" + bytes(32)) + sized(nonce)
        return head + struct.pack(">QIIBQ", 1000, self.resets, 0, 1, 0)

    def quote(self, nonce: bytes = NONCE) -> bytes:
        """Return a TPMS_ATTEST over the PCRs."""
        _, prediction = release(self.kernel)
        values = dict(prediction.pcrs)
        if self.capped:
            values[9] = hashlib.sha256(values[9] + CAP).digest()
        digest = hashlib.sha256(b"".join(values[pcr] for pcr in QUOTED_PCRS)).digest()
        selection = bytes.fromhex("00000001000b03ff0300")
        return self._head(0x8018, nonce) + selection + sized(digest)

    def statement(self, public_area: bytes, *, nonce: bytes = NONCE, kind: int = CREATION) -> bytes:
        """Return a TPMS_ATTEST about a key."""
        last = sized(bytes(32)) if kind == CREATION else sized(b"\0\x0b" + bytes(32))
        return self._head(kind, nonce) + sized(name(public_area)) + last

    def answer(self, **changes: bytes) -> IdentityAnswer:
        """Return a genuine answer to `CHALLENGE`, with changes to what would be signed or sent."""
        key = changes.pop("key", area(self.identity, IDENTITY))
        certification = changes.pop("certification", self.statement(key))
        quote = changes.pop("quote", self.quote())
        _, prediction = release(self.kernel)
        made = IdentityAnswer(
            key=key,
            certification=certification,
            certification_signature=self.sign(certification),
            csr=request(self.identity),
            quote=quote,
            signature=self.sign(quote),
            event_log=event_logs.emit(EventLog(algorithms=("sha256",), events=prediction.events)),
        )
        return dataclasses.replace(made, **changes)  # type: ignore[arg-type]

    def proof(self, **changes: bytes) -> Proof:
        """Return the same, read."""
        return messages.parse(documents.dump(self.answer(**changes)))


def request(signer: FileSigner) -> bytes:
    """Return a certification request by a key, DER, which asks for more than it will get."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root of everything")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    more = x509.BasicConstraints(ca=True, path_length=None)
    asked = builder.add_extension(more, critical=True).sign(signer._private, SHA256())
    return asked.public_bytes(Encoding.DER)


def issued(record: Record, *, proven: int = NOW, serial: str = "4" * 32) -> Entry:
    """Return an entry of the registry with a certificate, which nobody vouches for."""
    signer = new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, record.name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    builder = builder.not_valid_before(datetime.fromtimestamp(proven, UTC))
    until = datetime.fromtimestamp(proven, UTC) + timedelta(days=365)
    builder = builder.not_valid_after(until).serial_number(int(serial, 16))
    made = builder.public_key(signer._private.public_key()).sign(signer._private, SHA256())
    return Entry(
        serial=serial,
        device=record.name,
        key=area(signer, IDENTITY),
        ak_name=record.ak_name,
        release="1.0",
        proven=proven,
        authority="ca",
        certificate=made.public_bytes(Encoding.DER),
        not_after=int(until.timestamp()),
    )
