# SPDX-License-Identifier: MIT
"""How many quotes one core verifies in a second, from the bytes a device sent to the verdict.

    python -m tests.benchmarks.attest [--json]

Counts processor seconds, so that a busy machine gives about the same figure as an idle one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import sys
import time
from typing import TYPE_CHECKING

from tests import event_logs

from bootseal import documents
from bootseal.attest import messages, verify
from bootseal.attest.store import QUOTED_PCRS, Challenge, Record
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.tpm.eventlog import EventLog
from bootseal.keys import certificate
from bootseal.keys.algorithms import Algorithm, KeyKind, Padding
from bootseal.keys.public import EcPublicKey, RsaPublicKey
from bootseal.keys.signers.file import FileSigner
from bootseal.measure import approved, inputs
from bootseal.measure.approved import Approved
from bootseal.measure.predict import CAP, predict

if TYPE_CHECKING:
    from bootseal.measure.predict import Prediction

VERSION = b"U-Boot 2025.01 (Jan 01 2026 - 00:00:00 +0000)"
NOW = 1_800_000_000
ATTRIBUTES = 0x00050072
ROUNDS = 500


def sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def fit(kernel: bytes) -> bytes:
    images = [
        fdt.Node("kernel-1", {"data": kernel}),
        fdt.Node("fdt-a", {"data": fdt.emit(fdt.Node("", {}, []))}),
    ]
    conf = fdt.Node("conf-a", {"kernel": b"kernel-1\0", "fdt": b"fdt-a\0"})
    children = [fdt.Node("images", {}, images), fdt.Node("configurations", {}, [conf])]
    return fdt.emit(fdt.Node("", {"description": b"d\0"}, children))


def many_releases(count: int) -> Approved:
    found = Approved()
    for number in range(count):
        data = fit(b"KERNEL %d" % number)
        artefacts = inputs.Source(fit=data, version=VERSION, slots={"conf-a": "a"})
        release = approved.release(f"{number}", inputs.predictions(artefacts), data, VERSION)
        found = found.add(release)
    return found


def public_area(signer: FileSigner) -> bytes:
    key = signer.public_key
    if isinstance(key, RsaPublicKey):
        head = struct.pack(">HHIHHHHHI", 1, 0xB, ATTRIBUTES, 0, 0x10, 0x14, 0xB, key.bits, 0)
        return head + sized(key.modulus.to_bytes(key.bits // 8))
    assert isinstance(key, EcPublicKey)
    head = struct.pack(">HHIHHHHHH", 0x23, 0xB, ATTRIBUTES, 0, 0x10, 0x18, 0xB, 3, 0x10)
    return head + sized(key.x.to_bytes(32)) + sized(key.y.to_bytes(32))


def quote(prediction: Prediction, nonce: bytes) -> bytes:
    values = dict(prediction.pcrs)
    values[9] = hashlib.sha256(values[9] + CAP).digest()
    digest = hashlib.sha256(b"".join(values[pcr] for pcr in QUOTED_PCRS)).digest()
    head = b"\xffTCG" + struct.pack(">H", 0x8018) + sized(b"\0\x0b" + bytes(32)) + sized(nonce)
    clock = struct.pack(">QIIBQ", 1000, 2, 0, 1, 0)
    return head + clock + bytes.fromhex("00000001000b03ff0300") + sized(digest)


def sign(signer: FileSigner, message: bytes) -> bytes:
    kind = signer.public_key.kind
    algorithm = Algorithm(hash_name="sha256", kind=kind, padding=Padding.PKCS1)
    raw = signer.sign_digest(hashlib.sha256(message).digest(), algorithm)
    if kind.is_rsa:
        return struct.pack(">HH", 0x14, 0xB) + sized(raw)
    return struct.pack(">HH", 0x18, 0xB) + sized(raw[:32]) + sized(raw[32:])


def measure(kind: KeyKind) -> dict[str, object]:
    """Verify one quote many times, against a list of 50 releases."""
    signer = FileSigner(certificate.make_private(kind))
    prediction = predict(fit_format.parse(fit(b"KERNEL 7")), "conf-a", version=VERSION)
    log = event_logs.emit(EventLog(algorithms=("sha256",), events=prediction.events))
    record = Record(
        name="dev-1",
        ek_certificate="",
        ek_issuer="",
        ak=public_area(signer).hex(),
        ak_name="",
        secret_sha256="",
        certified=NOW,
    )
    nonce = bytes(range(32))
    challenge = Challenge(device="dev-1", nonce=nonce.hex(), issued=NOW, expires=NOW + 300)
    message = quote(prediction, nonce)
    signature = sign(signer, message)
    answer = documents.dump(messages.Answer(quote=message, signature=signature, event_log=log))
    listed = many_releases(50)

    start = time.process_time()
    verifier = verify.Verifier(listed)
    prepared = time.process_time() - start
    start = time.process_time()
    for _ in range(ROUNDS):
        verdict = verifier.inspect(messages.parse_evidence(answer), record, challenge, NOW)
        assert verdict.release == "7"
    rate = ROUNDS / (time.process_time() - start)
    return {
        "key": kind.value,
        "quotes_per_second": round(rate),
        "list_read_ms": round(prepared * 1000),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    as_json = parser.parse_args().json
    results = [measure(kind) for kind in (KeyKind.ECDSA256, KeyKind.RSA2048)]
    if as_json:
        text = json.dumps({"schema": "bootseal.benchmark/1", "results": results}, indent=2)
    else:
        text = "\n".join(
            f"{found['key']}: {found['quotes_per_second']} quotes a second; "
            f"list of 50 releases read in {found['list_read_ms']} ms"
            for found in results
        )
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
