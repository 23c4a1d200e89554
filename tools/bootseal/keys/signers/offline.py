# SPDX-License-Identifier: MIT
"""Signing in two steps, for keys on a machine that is connected to nothing.

The first step writes the digests to be signed, the second takes the signatures. What is carried
between the machines is not trusted: the second step computes the digests again, from the disk,
and checks every signature with the public key it was given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.files import opened, read_bounded, write_file
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm, Padding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer

SCHEMA: Final = "bootseal.signing-requests/1"
FILE_NAME: Final = "requests.json"
SUMMARY: Final = "SUMMARY.txt"
_DIGEST: Final = ".digest"
_AGAIN: Final = "export the requests again, and carry the whole directory"
ROLES: Final = {
    "fit": "a FIT configuration",
    "policy": "a PCR policy",
    "update": "the manifest of an update bundle",
    "app": "the root hash of an application",
    "modules": "a kernel module",
    "attestation": "a statement of a release's evidence",
    "device-ca": "an identity certificate of a device, or a revocation list",
} | dict.fromkeys(
    ("mrk", "fw-trusted", "fw-nontrusted", "fw-soc", "fw-boot"), "a certificate of a boot loader"
)
"""Whose signatures are asked for, and of what."""
_MAX_SIGNATURE: Final = 4096
_LONGEST_DIGEST: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSignature:
    """A digest to be signed."""

    role: str
    digest: bytes
    algorithm: Algorithm

    @property
    def name(self) -> str:
        """Name of its files: role and the start of the digest."""
        return f"{self.role}-{self.digest.hex()[:16]}"


@dataclass(slots=True, kw_only=True)
class Recorder:
    """A signer that records each digest once, and answers with zeros."""

    public_key: PublicKey
    role: str
    wanted: dict[bytes, WantedSignature] = field(default_factory=dict)

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Keep the digest.

        Raises:
            UsageError: The key or the digest does not fit the algorithm.
        """
        public.check_request(self.public_key, digest, algorithm)
        self.wanted[digest] = WantedSignature(role=self.role, digest=digest, algorithm=algorithm)
        return bytes(algorithm.signature_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A signer that looks signatures up in a directory of answered requests."""

    public_key: PublicKey
    role: str
    directory: Path

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Return the signature that was made elsewhere.

        ECDSA signatures may be in DER, as openssl writes them.

        Raises:
            UsageError: There is none for this digest.
            FormatError: It is malformed.
            VerificationRefused: It is not by this key, or of something else.
        """
        public.check_request(self.public_key, digest, algorithm)
        wanted = WantedSignature(role=self.role, digest=digest, algorithm=algorithm)
        path = self.directory / f"{wanted.name}.sig"
        try:
            signature = read_bounded(path, limit=_MAX_SIGNATURE)
        except FileNotFoundError:
            raise UsageError(
                f"no signature {path}: it is missing, or the requests are for something else",
                hint=f"{command(wanted)}  (as {self.directory / SUMMARY} says)",
            ) from None
        if not algorithm.kind.is_rsa and len(signature) != algorithm.signature_size:
            try:
                signature = public.der_to_raw(signature, algorithm)
            except (FormatError, ValueError) as error:
                raise FormatError(f"{path} is not an {algorithm.name} signature") from error
        public.verify_digest(self.public_key, digest, signature, algorithm)
        return signature


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    name: str
    role: str
    algorithm: str
    padding: str | None
    digest: str
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Requests:
    schema: str = SCHEMA
    subject: str
    keys: dict[str, str]
    requests: tuple[_Request, ...]


def export(directory: Path, recorders: Sequence[Recorder], subject: str) -> list[WantedSignature]:
    """Write the requests to a directory, which must be new or empty.

    Args:
        directory: Receives the files.
        recorders: What was asked of whom.
        subject: What is to be signed, for people.

    Raises:
        UsageError: The directory holds something.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise UsageError(f"{directory} is not empty", hint="name a new directory")
    wanted = [each for recorder in recorders for each in recorder.wanted.values()]
    for each in wanted:
        write_file(directory / f"{each.name}{_DIGEST}", each.digest)
    keys = {recorder.role: recorder.public_key.fingerprint() for recorder in recorders}
    document = _Requests(
        subject=subject,
        keys=keys,
        requests=tuple(
            _Request(
                name=each.name,
                role=each.role,
                algorithm=each.algorithm.name,
                padding=each.algorithm.padding if each.algorithm.kind.is_rsa else None,
                digest=each.digest.hex(),
                command=command(each),
            )
            for each in wanted
        ),
    )
    write_file(directory / SUMMARY, _summary(subject, keys, wanted).encode())
    write_file(directory / FILE_NAME, documents.dump(document))
    return wanted


def load(directory: Path) -> list[WantedSignature]:
    """Read the requests in a directory and compare them with the files next to them.

    Raises:
        UsageError: There are none.
        FormatError: They are malformed.
        VerificationRefused: A file holds another digest than the request names, a request has
            another name than its digest gives it, or a file belongs to no request.
    """
    path = directory / FILE_NAME
    try:
        found = documents.load(_Requests, path).requests
        wanted = [_parse(each) for each in found]
    except FileNotFoundError:
        raise UsageError(f"{directory} holds no {FILE_NAME}") from None
    except (ValueError, UsageError, FormatError) as error:
        raise FormatError(f"{path} does not hold signing requests: {error}") from error
    for request, each in zip(found, wanted, strict=True):
        _compare(directory, request, each)
    expected = {f"{each.name}{_DIGEST}" for each in wanted}
    more = sorted({file.name for file in directory.glob(f"*{_DIGEST}")} - expected)
    if more:
        raise VerificationRefused(
            f"{directory / more[0]} belongs to no request in {FILE_NAME}", hint=_AGAIN
        )
    return wanted


def _compare(directory: Path, request: _Request, wanted: WantedSignature) -> None:
    """Compare a request with its own name, its command, and the file that people look at."""
    path = directory / f"{wanted.name}{_DIGEST}"
    for what, expected, observed in (
        ("name", wanted.name, request.name),
        ("command", command(wanted), request.command),
    ):
        if expected != observed:
            raise VerificationRefused(
                f"{directory / FILE_NAME} gives digest {wanted.digest.hex()} the {what} "
                f"{observed[:200]!r}: expected {expected!r}",
                hint=_AGAIN,
            )
    try:
        with opened(path) as file:
            held = file.read(_LONGEST_DIGEST + 1)
    except OSError as error:
        raise VerificationRefused(
            f"{path} cannot be read ({error.strerror}): expected the digest that {FILE_NAME} names",
            hint=_AGAIN,
        ) from error
    if held != wanted.digest:
        raise VerificationRefused(
            f"{path} holds {held.hex()[: 2 * _LONGEST_DIGEST]}: {FILE_NAME} names "
            f"{wanted.digest.hex()}",
            hint=_AGAIN,
        )


def _parse(request: _Request) -> WantedSignature:
    algorithm = Algorithm.parse(request.algorithm, request.padding or Padding.PKCS1)
    if request.role not in ROLES:
        raise ValueError(f"{request.role!r} is not a role")
    return WantedSignature(
        role=request.role, digest=bytes.fromhex(request.digest), algorithm=algorithm
    )


def answer(directory: Path, wanted: Sequence[WantedSignature], signer: Signer) -> None:
    """Sign requests, each into the file that `Answers` looks for.

    Raises:
        UsageError: The key or a digest does not fit.
        ToolError: A token or service failed.
    """
    signatures = [signer.sign_digest(each.digest, each.algorithm) for each in wanted]
    for each, signature in zip(wanted, signatures, strict=True):
        public.verify_digest(signer.public_key, each.digest, signature, each.algorithm)
        write_file(directory / f"{each.name}.sig", signature)


def command(wanted: WantedSignature) -> str:
    """Return how openssl answers a request, on the machine that holds the key."""
    algorithm = wanted.algorithm
    options = [f"-pkeyopt digest:{algorithm.hash_name}"]
    if algorithm.padding is Padding.PSS:
        options += ["-pkeyopt rsa_padding_mode:pss", "-pkeyopt rsa_pss_saltlen:digest"]
    return (
        f"openssl pkeyutl -sign -inkey {wanted.role}.key {' '.join(options)} "
        f"-in {wanted.name}.digest -out {wanted.name}.sig"
    )


def _summary(subject: str, keys: dict[str, str], wanted: Sequence[WantedSignature]) -> str:
    lines = [f"To be signed: {subject}", ""]
    lines += [f"{role} key   {fingerprint}" for role, fingerprint in keys.items()]
    for each in wanted:
        lines += [
            "",
            f"{each.name}: {ROLES[each.role]}, {each.algorithm.name}",
            f"  digest  {each.digest.hex()}",
            f"  {command(each)}",
        ]
    lines += ["", "Bring the .sig files back into this directory.", ""]
    return "\n".join(lines)
