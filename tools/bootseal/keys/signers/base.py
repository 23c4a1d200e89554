# SPDX-License-Identifier: MIT
"""Whatever can sign with a private key: a file, a token, a remote service.

A signer is handed a digest, never a payload: a FIT of hundreds of megabytes is hashed where it is,
and a token or remote service sees 32 to 64 bytes. `open` finds the signer for a key URI.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bootseal.errors import ToolError, UsageError
from bootseal.files import opened, resolved
from bootseal.keys import published
from bootseal.keys.manifest import containing
from bootseal.keys.signers import file, pkcs11_uri, schemes
from bootseal.keys.signers.pin import SecretSource

if TYPE_CHECKING:
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.public import PublicKey

REFERENCE: Final = "bootseal-signer:"
_REFERENCE_SIZE: Final = 4096
_SYSTEM: Final = ("/usr", "/opt")
_log: Final = logging.getLogger(__name__)


class Signer(Protocol):
    """Something that signs digests with one private key: a file, a token, a remote service."""

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key that signs."""
        ...

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Sign a digest made with the algorithm's hash.

        Returns:
            RSA: big-endian, as long as the modulus. ECDSA: r, then s, each big-endian and as
            long as the curve's field.

        Raises:
            UsageError: The key or the digest does not fit the algorithm.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What opening a key may need besides its URI.

    Attributes:
        secret: Where the PIN or passphrase comes from; by default the environment only.
        module: PKCS#11 library, unless the URI names one.
    """

    secret: SecretSource = field(default_factory=SecretSource)
    module: Path | None = None


def open(  # noqa: A001 - reads as signers.open(...), as gzip.open does
    uri: str, access: Access | None = None
) -> Signer:
    """Find the signer for a key URI.

    Args:
        uri: The path of a private key file, or a URI of one of `schemes.SCHEMES`. A file that
            holds `bootseal-signer: <uri>` refers to the key of that URI.
        access: What opening the key may need besides.

    Raises:
        UsageError: There is no such key, its secret is wrong or missing, it was revoked in its
            key directory, or it is a published test key outside of a development profile.
        FormatError: The file does not hold a usable private key.
        ToolError: The token or service fails.
    """
    access = access or Access()
    if schemes.find(uri):
        signer = _open_uri(uri, access)
        where = uri.partition("?")[0]
        published.refuse(signer.public_key, where)
        _say(where, signer)
        return signer
    path = Path(uri)
    reference = read_reference(path)
    if reference.startswith(pkcs11_uri.SCHEME):
        _check_module(path, pkcs11_uri.parse(reference).module_path)
    opened = _open_uri(reference, access) if reference else file.open_file(path, access.secret)
    manifest = containing(path)
    if manifest:
        manifest.refuse_revoked(opened.public_key, path)
    if not (manifest and manifest.development):
        published.refuse(opened.public_key, str(path))
    _say(f"{path} ({reference.partition('?')[0]})" if reference else str(path), opened)
    return opened


def write_reference(uri: str) -> bytes:
    """Return the content of a file that refers to a key in a token or service.

    Raises:
        UsageError: The URI is the path of a file, or malformed.
    """
    if schemes.find(uri) is None:
        raise UsageError(f"{uri!r} is not a token or service: expected {schemes.EXAMPLES}")
    if uri.startswith(pkcs11_uri.SCHEME):
        pkcs11_uri.parse(uri)
    return f"{REFERENCE} {uri}\n".encode()


def read_reference(path: Path) -> str:
    """Return the key URI a file refers to, empty for any other file and for none."""
    try:
        with opened(path) as stream:
            line = stream.read(_REFERENCE_SIZE)
    except (FileNotFoundError, IsADirectoryError):
        return ""
    if not line.startswith(REFERENCE.encode()):
        return ""
    return line.decode(errors="replace").splitlines()[0].removeprefix(REFERENCE).strip()


def _check_module(path: Path, module: Path | None) -> None:
    """Refuse a library that a key file names, unless it is one that the system installed.

    Raises:
        UsageError: It is elsewhere; a key file may come from someone else.
    """
    if module is not None and not any(map(resolved(module).is_relative_to, _SYSTEM)):
        raise UsageError(
            f"{path} names the PKCS#11 module {module}: a key file may only name one below "
            f"{' or '.join(_SYSTEM)}",
            hint=f"take module-path out of {path}, and name the module with --module",
        )


def _say(where: str, signer: Signer) -> None:
    key = signer.public_key
    signed_by = type(signer).__name__
    _log.info("key %s: %s, %s, fingerprint %s", where, signed_by, key.kind, key.fingerprint())


def _open_uri(uri: str, access: Access) -> Signer:
    """Load what talks to a token or service only now: it needs packages that are optional."""
    scheme = schemes.find(uri)
    if scheme is None:
        raise UsageError(f"a {REFERENCE} line names a file: expected {schemes.EXAMPLES}")
    try:
        module = importlib.import_module(f"{__package__}.{scheme.module}")
    except ImportError as error:
        raise ToolError(
            f"keys of the form {uri.partition(':')[0]}: need the Python package {error.name}, "
            "which is not installed",
            hint=f"pip install 'bootseal[{scheme.extra}]'",
        ) from error
    signer: Signer = module.open_uri(uri, access)
    return signer
