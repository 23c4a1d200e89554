# SPDX-License-Identifier: MIT
"""A verifier next to the device: enrols it, checks the proof of its identity key, certifies it.

The two talk over a dedicated virtio port. On the device, commands typed at its shell do what an
operator would; here is what `bootseal attest enrol|certify` and `bootseal identity challenge|
verify|issue` do.
"""

from __future__ import annotations

import base64
import hashlib
import os
import select
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bootseal.attest import messages as attest_messages
from bootseal.attest import verify as attest
from bootseal.attest.store import Store
from bootseal.boot.machine import swtpm
from bootseal.errors import Inconclusive, VerificationRefused
from bootseal.files import read_bounded
from bootseal.formats.tpm.structures import parse_public
from bootseal.identity import issue as issuing
from bootseal.identity import messages
from bootseal.identity.registry import Registry
from bootseal.identity.verify import Verifier
from bootseal.keys import identity as certificates
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.keys.tpm import credential, endorsement
from bootseal.measure import approved, inputs
from bootseal.measure.approved import Approved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.identity.registry import Entry
    from bootseal.keys.identity import Authority
    from bootseal.keys.signers.base import Signer

NAME: Final = "device-1"
_PORT: Final = "io.bootseal.station"
PATH: Final = f"/dev/virtio-ports/{_PORT}"
"""Where the device has its end of the port."""
URI: Final = (
    "pkcs11:token=device;object=identity;type={}?pin-source=file:/run/bootseal/identity/pin"
)
"""Of what is in the token: `private` is the key, `cert` its certificate."""
_SIGNED: Final = b"signed by the token\n"
_REFUSED: Final = b"-----END: refused\n"
# Less than the time that a step has, so that what is missing is told.
_PATIENCE: Final = 540.0
_LONGEST: Final = 256 * 1024

COMMANDS: Final = "; ".join(
    (
        f"exec 3<>{PATH}",
        "bootseal-attest identity >&3",
        "read -r c <&3",
        'bootseal-attest activate "$c" >&3',
        "bootseal-identity create",
        "read -r n <&3",
        'bootseal-identity prove "$n" >&3',
        "sed '/^-----END/q' <&3 >/tmp/c",
        "bootseal-identity install /tmp/c",
        f"echo {_SIGNED.decode().strip()} >/tmp/t",
        "set -a",
        ". /usr/lib/bootseal/identity.env",
        f"openssl dgst -sha256 -sign '{URI.format('private')}' /tmp/t | base64 -w 0 >&3",
        "echo >&3",
    )
)
"""What is typed on the device, for `certify` at the other end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Our end of the port.

    Attributes:
        incoming: File descriptor of what the device sends.
        outgoing: File descriptor of what it reads.
        patience: Factor for the time limit of a line, for slow machines.
    """

    incoming: int
    outgoing: int
    patience: float = 1.0

    def line(self) -> bytes:
        """Return the next line, and leave what comes behind it.

        Raises:
            Inconclusive: None came in time.
        """
        text, deadline = bytearray(), time.monotonic() + _PATIENCE * self.patience
        while not text.endswith(b"\n") and len(text) < _LONGEST:
            left = max(deadline - time.monotonic(), 0.0)
            ready = select.select([self.incoming], [], [], left)[0]
            data = os.read(self.incoming, 1) if ready else b""
            if not data:
                raise Inconclusive(
                    f"the device sent no line to the station, only {bytes(text[-80:])!r}"
                )
            text += data
        return bytes(text)

    def send(self, data: bytes) -> None:
        """Send bytes, no more than a pipe holds.

        Raises:
            Inconclusive: The device is off.
        """
        try:
            os.write(self.outgoing, data)
        except BrokenPipeError as error:
            raise Inconclusive("the device is off, and takes nothing from the station") from error


def plug(workspace: Workspace) -> None:
    """Connect the port in every later power cycle."""
    base = workspace.work / "station"
    for suffix in ("in", "out"):
        os.mkfifo(base.with_suffix(f".{suffix}"))
    workspace.add_qemu("-chardev", f"pipe,id=station,path={base}")
    workspace.add_qemu("-device", f"virtserialport,chardev=station,name={_PORT}")


def certify(workspace: Workspace) -> None:
    """Do the verifier's part of `COMMANDS`.

    Raises:
        VerificationRefused: The endorsement key, the proof or the token's signature is refused.
        Inconclusive: The device does not answer.
        BootsealError: The verifier cannot do its part.
    """
    with opened(workspace) as port:
        try:
            entry = _proven(workspace, port)
        except VerificationRefused:
            port.send(_REFUSED)
            raise
        port.send(_certificate(workspace, entry))
        _check_signature(entry, port.line())


def _proven(workspace: Workspace, port: Port) -> Entry:
    """Enrol the device, and take the proof of its identity key."""
    store, now = Store(workspace.work / "verifier"), int(time.time())
    trusted = [
        one
        for name in swtpm.AUTHORITIES
        for one in endorsement.authorities(read_bounded(workspace.tpm / name), name)
    ]
    said = attest_messages.parse_identity(port.line())
    record, sealed = attest.enrol(said, trusted, NAME, datetime.now(UTC))
    store.admit(record)
    port.send(base64.b64encode(sealed) + b"\n")
    record = attest.certify(record, attest_messages.parse_activation(port.line()), now)
    store.admit(record)
    port.send(store.ask(NAME, now=now, validity=300).nonce.encode() + b"\n")
    proof = messages.parse(port.line())
    asked = store.take(proof.evidence.quote.nonce, now=now)
    verdict = Verifier(_approved(workspace)).inspect(proof, record, asked, now)
    if not verdict.accepted:
        raise VerificationRefused(
            f"the proof of the device is refused: {verdict.findings[0].message}"
        )
    return Registry(workspace.work / "verifier").accept(proof, verdict, record, now)


def _certificate(workspace: Workspace, entry: Entry) -> bytes:
    """Issue the certificate, and remember it; PEM."""
    store = workspace.work / "verifier"
    found, signer = authority(workspace)
    entry, made = issuing.issue(Store(store).record(NAME), entry, found, signer, 365)
    certificates.verify(made, found)
    Registry(store).save(entry)
    return made.pem


def authority(workspace: Workspace) -> tuple[Authority, Signer]:
    """Return the certificate of what certifies devices, and its key."""
    path = key_directory.certificate_of(workspace.keys, Role.DEVICE_CA)
    signer = key_directory.signer(workspace.keys, Role.DEVICE_CA)
    return certificates.authority(path, int(time.time())), signer


def _check_signature(entry: Entry, line: bytes) -> None:
    """Check what the token signed, with the key that was proven."""
    try:
        signature = base64.b64decode(line)
    except ValueError as error:
        raise VerificationRefused(f"the token's signature is not base64: {error}") from error
    key = credential.public_key(parse_public(entry.key, "identity key").key)
    algorithm = Algorithm.parse("sha256,ecdsa256")
    raw = public.der_to_raw(signature, algorithm)
    public.verify_digest(key, hashlib.sha256(_SIGNED).digest(), raw, algorithm)


def _approved(workspace: Workspace) -> Approved:
    """Approve the device's own release."""
    artefacts = inputs.load(workspace.directory)
    found = inputs.predictions(artefacts)
    release = approved.release("as-built", found, artefacts.fit, artefacts.version or b"")
    return Approved(releases=(release,))


@contextmanager
def opened(workspace: Workspace) -> Iterator[Port]:
    """Open our end of the port in a machine that runs."""
    names = (("in", os.O_WRONLY), ("out", os.O_RDONLY | os.O_NONBLOCK))
    outgoing, incoming = (
        os.open(workspace.work / f"station.{suffix}", flags) for suffix, flags in names
    )
    try:
        yield Port(incoming=incoming, outgoing=outgoing, patience=workspace.patience)
    finally:
        os.close(incoming)
        os.close(outgoing)
