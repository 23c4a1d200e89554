# SPDX-License-Identifier: MIT
"""How programs, libraries and kernel modules of a root file system are hardened and signed."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from bootseal.errors import BootsealError, FormatError
from bootseal.findings.grouped import ByDirectory
from bootseal.formats import elf, module_signature
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import EcPublicKey, PublicKey, der_to_raw, verify_digest

if TYPE_CHECKING:
    from bootseal.check.rootfs.allowlist import Allowlist
    from bootseal.disk.filesystems.node import Node
    from bootseal.findings.model import Finding
    from bootseal.formats.elf import Elf

MODULES: Final = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")
"""How names of kernel modules end."""
MAX_MODULE: Final = 64 << 20
"""Bytes that one may have, also decompressed."""
# Where the loader may look for libraries: below these only root writes.
_SAFE: Final = ("$ORIGIN", "${ORIGIN}", "/usr/", "/lib", "/opt/")

_SAID: Final = {
    "disk.elf-damaged": "cannot be checked: {}",
    "disk.elf-stack": "have an executable stack: {}",
    "disk.elf-writable-code": "have memory that is writable and executable: {}",
    "disk.elf-search-path": "look for libraries where others may write (RPATH or RUNPATH): {}",
    "disk.elf-text-relocations": "change their own code while they are loaded: {}",
    "disk.elf-pie": "are always loaded at the same address: {}",
    "disk.elf-relro": "keep their relocations writable: {}",
    "disk.elf-bind-now": "are not linked with BIND_NOW (full RELRO): {}",
    "disk.elf-canary": "do not use the stack protector: {}",
    "disk.elf-fortify": "call only unchecked functions: {}",
    "disk.module-unsigned": "are kernel modules without a signature: {}",
    "disk.module-signature": "are kernel modules whose signature does not verify with the module"
    " key: {}",
    "disk.module-damaged": "are kernel modules that cannot be read: {}",
}
"""Message of each finding that is made once for a directory."""


def check(nodes: Sequence[Node], allowlist: Allowlist, where: str) -> Iterator[Finding]:
    """Yield what is wrong with programs, libraries and kernel modules, grouped by directory.

    Raises:
        FormatError: A file cannot be read.
    """
    found = ByDirectory(where, _SAID)
    for node in nodes:
        if node.content is None:
            continue
        if node.path.endswith(MODULES):
            if name := _module(node, allowlist.module_key):
                found.add(name, node.path)
            continue
        if node.content.read(4) != elf.MAGIC:
            continue
        for name in _program(node):
            found.add(name, node.path)
    yield from found.findings()


def _program(node: Node) -> Iterator[str]:
    """Yield the names of what is wrong with an ELF file."""
    content = node.content
    if content is None:
        return
    try:
        with content.view() as data:
            found = elf.parse(data)
    except FormatError:
        yield "disk.elf-damaged"
        return
    if found is not None:
        yield from weaknesses(found)


def weaknesses(found: Elf) -> Iterator[str]:
    """Yield the names of what is wrong with a program or library."""
    verdicts = {
        "disk.elf-stack": found.stack_executable,
        "disk.elf-writable-code": found.writable_code,
        "disk.elf-search-path": not all(path.startswith(_SAFE) for path in found.search),
        "disk.elf-text-relocations": found.text_relocations,
        "disk.elf-pie": found.program and not found.pie,
        "disk.elf-relro": found.dynamic and not found.relro,
        "disk.elf-bind-now": found.dynamic and not found.bind_now,
        "disk.elf-canary": found.dynamic and not found.canary,
        "disk.elf-fortify": found.fortified is False,
    }
    yield from (name for name, bad in verdicts.items() if bad)


def _module(node: Node, key: PublicKey | None) -> str:
    """Return the name of what is wrong with a kernel module, empty when nothing is."""
    try:
        module = unpack(node)
        signature = module_signature.parse(module)
        if signature is None:
            return "disk.module-unsigned"
    except FormatError:
        return "disk.module-damaged"
    if key is None:
        return ""
    content = memoryview(module)[: signature.content]
    digest = hashlib.new(signature.hash_name, content, usedforsecurity=True).digest()
    try:
        algorithm = Algorithm.parse(f"{signature.hash_name},{key.kind}")
        raw = signature.signature
        if isinstance(key, EcPublicKey):
            raw = der_to_raw(raw, algorithm)
        verify_digest(key, digest, raw, algorithm)
    except (BootsealError, ValueError):
        return "disk.module-signature"
    return ""


def unpack(node: Node) -> bytes:
    """Return a kernel module, decompressed where its name says that it is compressed.

    Raises:
        FormatError: It is damaged or too large.
    """
    if node.content is None or node.size > MAX_MODULE:
        raise FormatError(f"{node.path} is too large for a kernel module")
    return decompressed(node.content.read(MAX_MODULE), node.path)


def decompressed(raw: bytes, path: str) -> bytes:
    """Return a kernel module, decompressed where its name says that it is compressed.

    Args:
        raw: The content of the file.
        path: Its name.

    Raises:
        FormatError: It is damaged or too large.
    """
    try:
        data = _decompressed(raw, path)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, MemoryError) as error:
        raise FormatError(f"{path} does not decompress: {error}") from error
    if len(data) > MAX_MODULE:
        raise FormatError(f"{path} is too large for a kernel module")
    return data


def _decompressed(raw: bytes, path: str) -> bytes:
    if path.endswith(".xz"):
        decoder = lzma.LZMADecompressor()
        data = decoder.decompress(raw, MAX_MODULE + 1)
        if not decoder.eof and len(data) <= MAX_MODULE:
            raise EOFError("it ends too early")
        return data
    if path.endswith(".gz"):
        return gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MAX_MODULE + 1)
    if path.endswith(".zst"):
        import zstandard  # noqa: PLC0415 - only such modules need it

        try:
            reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw))
            return bytes(reader.read(MAX_MODULE + 1))
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from error
    return raw
