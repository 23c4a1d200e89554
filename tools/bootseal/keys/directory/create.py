# SPDX-License-Identifier: MIT
"""Makes keys and puts them into a directory: all files or none, and never over another."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bootseal.errors import UsageError
from bootseal.files import write_file, write_new
from bootseal.keys import certificate
from bootseal.keys.certificate import Issuer
from bootseal.keys.manifest import MANIFEST, KeyEntry, Manifest, manifest_json
from bootseal.keys.signers import base as signers
from bootseal.keys.signers.file import FileSigner
from bootseal.keys.signers.pin import OTHERS_MAY

if TYPE_CHECKING:
    from bootseal.keys.profile import KeySpec
    from bootseal.keys.signers.base import Access, Signer

SUFFIXES: Final = (".key", ".crt", ".pub")
_PRIVATE_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new key.

    Attributes:
        entry: Its line in the manifest.
        issuer: The key as a certifier of others.
        files: File name to content and permission bits.
    """

    entry: KeyEntry
    issuer: Issuer
    files: Mapping[str, tuple[bytes, int]]


def make(spec: KeySpec, issuer: Issuer | None, uri: str, access: Access | None) -> Made:
    """Make a key and its certificate; with a URI, certify the key that exists there.

    Args:
        spec: What to make.
        issuer: Certifies it; None for a self-signed certificate.
        uri: Key URI of a key in a token or service, to which the private key file then refers;
            empty makes a key in a file.
        access: What opening that key needs, such as a PIN.

    Raises:
        UsageError: The token holds no such key or another kind, or the certificate would outlive
            its issuer's.
        ToolError: The token fails.
    """
    holder: Signer
    if uri:
        private = signers.write_reference(uri)
        holder = signers.open(uri, access)
        cert = certificate.certify(spec, holder, issuer)
    else:
        made = certificate.issue(spec, issuer)
        private = made.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        holder, cert = FileSigner(made.private), made.certificate
    key = holder.public_key
    return Made(
        entry=KeyEntry(name=spec.name, algorithm=spec.algorithm, fingerprint=key.fingerprint()),
        issuer=Issuer(signer=holder, certificate=cert, hash_name=spec.algorithm.hash_name),
        files={
            f"{spec.name}.key": (private, _PRIVATE_MODE),
            f"{spec.name}.crt": (cert.public_bytes(Encoding.PEM), _PUBLIC_MODE),
            f"{spec.name}.pub": (key.pem, _PUBLIC_MODE),
        },
    )


def refuse_open_directory(directory: Path) -> None:
    """Refuse a directory that other users can look into.

    Raises:
        UsageError: It is one, or not a directory.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} exists and is not a directory")
    if (mode := stat.S_IMODE(directory.stat().st_mode)) & OTHERS_MAY:
        raise UsageError(
            f"{directory} has mode {mode:04o}: other users could read private keys in it",
            hint=f"chmod 700 {directory}",
        )


def refuse_overwriting(directory: Path, name: str) -> None:
    """Refuse a key name of which there is a file already.

    Raises:
        UsageError: There is one.
    """
    for suffix in SUFFIXES:
        _refuse_existing(directory / f"{name}{suffix}")


def write_all(
    directory: Path, files: Mapping[str, tuple[bytes, int]], manifest: Manifest | None
) -> None:
    """Write new files and then the manifest; if anything fails, no new file is left behind.

    Raises:
        UsageError: A file is in the way.
    """
    created: list[Path] = []
    new_directory = not directory.exists()
    try:
        if new_directory:
            directory.mkdir(mode=0o700, parents=True)
        for name, (content, mode) in files.items():
            path = directory / name
            _refuse_existing(path)
            write_new(path, content, mode=mode)
            created.append(path)
        if manifest:
            write_file(directory / MANIFEST, manifest_json(manifest), mode=_PUBLIC_MODE)
    except BaseException:
        for path in created:
            path.unlink(missing_ok=True)
        if new_directory:
            with suppress(OSError):
                directory.rmdir()
        raise


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise UsageError(
            f"{path} exists: a key is never overwritten, and nothing was made",
            hint="choose another directory, or --only the roles that are missing",
        )
