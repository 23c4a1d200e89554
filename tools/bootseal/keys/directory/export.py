# SPDX-License-Identifier: MIT
"""Directories in the form other programs expect their keys in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.errors import UsageError
from bootseal.files import read_bounded
from bootseal.keys.directory.create import write_all
from bootseal.keys.manifest import KeyState, read_manifest
from bootseal.keys.profile import Role
from bootseal.keys.signers.base import read_reference, write_reference

if TYPE_CHECKING:
    from pathlib import Path

_PRIVATE_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644
_SIGNING: Final = (Role.FIT, Role.FIT_NEXT)


def for_mkimage(directory: Path, output: Path, *, signers: dict[str, str]) -> tuple[str, ...]:
    """Write the FIT keys in the layout of `mkimage -k` and OE's UBOOT_SIGN_KEYDIR.

    RSA keys become `<hint>.key` and `<hint>.crt`, ECDSA keys `<hint>.pem`, which is where mkimage
    looks. A key in a token becomes a file that names the token, which satisfies OE's check for
    the file and which `bootseal-mkimage` follows; mkimage itself stops at it with an error.

    Args:
        directory: A key directory.
        output: A directory that does not exist yet; made with mode 0700.
        signers: Key name to the source of its private key, instead of what the directory has.

    Returns:
        The names of the exported keys, revoked ones being left out.

    Raises:
        UsageError: The output exists, a named key does not, or a private key is missing.
    """
    if output.exists():
        raise UsageError(f"{output} exists: an export never adds to a directory")
    manifest = read_manifest(directory)
    entries = [
        entry
        for role, entry in manifest.entries()
        if role in _SIGNING and entry.state is not KeyState.REVOKED
    ]
    names = tuple(entry.name for entry in entries)
    if unknown := sorted(set(signers) - set(names)):
        raise UsageError(
            f"there is no FIT key {unknown[0]!r} to export: {directory} has {', '.join(names)}"
        )
    files: dict[str, tuple[bytes, int]] = {}
    for entry in entries:
        private = _private(directory, entry.name, signers.get(entry.name, ""))
        certificate = read_bounded(directory / f"{entry.name}.crt")
        suffix = ".key" if entry.algorithm.kind.is_rsa else ".pem"
        files[f"{entry.name}{suffix}"] = private, _PRIVATE_MODE
        files[f"{entry.name}.crt"] = certificate, _PUBLIC_MODE
    write_all(output, files, None)
    return names


def _private(directory: Path, name: str, source: str) -> bytes:
    if source:
        return write_reference(source)
    path = directory / f"{name}.key"
    if reference := read_reference(path):
        return write_reference(reference)
    if not path.is_file():
        raise UsageError(
            f"the private key of {name} is not in {directory}",
            hint=f"say where it is: --signer {name}=pkcs11:token=...",
        )
    return read_bounded(path)
