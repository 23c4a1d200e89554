# SPDX-License-Identifier: MIT
"""A small kernel module, as far as anything here looks at one, and keys for modules."""

from __future__ import annotations

import os
import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests import update_samples

from bootseal.formats import module_signature
from bootseal.keys.profile import Role
from bootseal.keys.signers.file import FileSigner
from bootseal.modules.sign import Signing

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.certificate import CertifiedKey

SECTIONS: Final = (b"", b".modinfo", b".gnu.linkonce.this_module", b".shstrtab")
RELOCATABLE, EXECUTABLE = 1, 2
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_AARCH64: Final = 183


def module(
    text: bytes = b"license=GPL\0",
    *,
    sections: tuple[bytes, ...] = SECTIONS,
    kind: int = RELOCATABLE,
) -> bytes:
    """Return an object file for 64-bit Arm, little-endian: text, names, table of sections."""
    names = b"\0".join(sections) + b"\0"
    start = _HEADER.size + len(text)
    table = start + len(names)
    ident = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header = _HEADER.pack(
        *(ident, kind, _AARCH64, 1, 0, 0, table, 0, _HEADER.size, 0, 0, _SECTION.size),
        *(len(sections), len(sections) - 1),
    )
    entries, at = b"", 0
    for name in sections:
        entries += _SECTION.pack(at, 3, 0, 0, start, len(names), 0, 0, 1, 0)
        at += len(name) + 1
    return header + text + names + entries


@cache
def key(number: int = 1, kind: str = "rsa2048") -> CertifiedKey:
    """Return a key for modules; another one for each number."""
    del number
    return update_samples.key(Role.MODULES, update_samples.keys().root, kind=kind)


def signed(content: bytes, made: CertifiedKey | None = None) -> bytes:
    """Return a module, signed."""
    made = made or key()
    signing = Signing(signer=FileSigner(made.private), certificate=made.certificate)
    return b"".join(signing.parts(content, "module"))


def trailer(message: bytes, **fields: int) -> bytes:
    """Return a message, and what follows it in a module; fields as in `struct module_signature`."""
    names = ("algo", "hash", "id_type", "signer_len", "key_id_len", "pad", "sig_len")
    values = {"id_type": 2, "sig_len": len(message)} | fields
    packed = struct.pack(">5B3xI", *(values.get(n, 0) for n in names if n != "pad"))
    packed = packed[:5] + bytes([0, 0, values.get("pad", 0)]) + packed[8:]
    return message + packed + module_signature.MARK


def write_key(made: CertifiedKey, directory: Path, name: str) -> tuple[Path, Path]:
    """Write certificate and private key."""
    certificate, private = directory / f"{name}.crt", directory / f"{name}.key"
    certificate.write_bytes(made.certificate.public_bytes(Encoding.PEM))
    data = made.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(private, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    return certificate, private
