# SPDX-License-Identifier: MIT
"""How programs, libraries and kernel modules of a root file system are hardened and signed."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import zlib
from typing import TYPE_CHECKING, Final

from bootseal.disk.findings import finding
from bootseal.errors import BootsealError, FormatError
from bootseal.findings.model import ByDirectory, Severity
from bootseal.formats import elf, module_signature
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import EcPublicKey, der_to_raw, verify_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.check.rootfs.allowlist import Policy
    from bootseal.disk.filesystems.node import Node
    from bootseal.findings.model import Finding
    from bootseal.formats.elf import Elf
    from bootseal.keys.public import PublicKey

_MODULES: Final = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")
_MAX_MODULE: Final = 64 << 20
# Where the loader may look for libraries: below these only root writes.
_SAFE: Final = ("$ORIGIN", "${ORIGIN}", "/usr/", "/lib", "/opt/")

_SAID: Final = {
    "elf-damaged": (Severity.WARNING, "cannot be judged: {}", "check where these files come from"),
    "elf-stack": (
        Severity.ERROR,
        "have an executable stack: {}",
        "link with -z noexecstack; mark assembler files with .note.GNU-stack",
    ),
    "elf-writable-code": (
        Severity.ERROR,
        "have memory that is writable and executable: {}",
        "link with -z separate-code",
    ),
    "elf-search-path": (
        Severity.ERROR,
        "look for libraries where others may write (RPATH or RUNPATH): {}",
        "link without -rpath, or chrpath -d",
    ),
    "elf-text-relocations": (
        Severity.WARNING,
        "change their own code while they are loaded: {}",
        "compile with -fPIC",
    ),
    "elf-pie": (Severity.WARNING, "are always loaded at the same address: {}", "link with -pie"),
    "elf-relro": (
        Severity.WARNING,
        "keep their relocations writable: {}",
        "link with -z relro",
    ),
    "elf-bind-now": (
        Severity.WARNING,
        "keep a writable table of functions (no BIND_NOW): {}",
        "link with -z now",
    ),
    "elf-canary": (
        Severity.INFO,
        "do not use the stack protector: {}",
        "compile with -fstack-protector-strong",
    ),
    "elf-fortify": (
        Severity.INFO,
        "call only unchecked functions: {}",
        "compile with -O2 -D_FORTIFY_SOURCE=2",
    ),
    "module-unsigned": (
        Severity.WARNING,
        "are kernel modules without a signature: {}",
        "CONFIG_MODULE_SIG_ALL=y, and do not strip modules afterwards",
    ),
    "module-signature": (
        Severity.ERROR,
        "are kernel modules whose signature does not verify with the module key: {}",
        "sign them with the key the kernel was built with",
    ),
    "module-damaged": (
        Severity.ERROR,
        "are kernel modules that cannot be read: {}",
        "check where these files come from",
    ),
}
"""Severity, message and remedy of each finding that is made once for a directory."""


def check(nodes: Sequence[Node], policy: Policy, where: str) -> Iterator[Finding]:
    """Yield what is wrong with programs, libraries and kernel modules, grouped by directory.

    Raises:
        FormatError: A file cannot be read.
    """
    groups = {name: _group(name, where) for name in _SAID}
    for node in nodes:
        if node.content is None:
            continue
        if node.path.endswith(_MODULES):
            name = _module(node, policy.module_key)
            if name:
                groups[name].add(node.path)
            continue
        if node.content.read(4) != elf.MAGIC:
            continue
        for name in _program(node):
            groups[name].add(node.path)
    for group in groups.values():
        yield from group.findings()


def _group(name: str, where: str) -> ByDirectory:
    severity, message, remedy = _SAID[name]
    return ByDirectory(
        lambda directory, names: finding(
            name, severity, f"{where}:{directory}", message.format(names), remedy=remedy
        )
    )


def _program(node: Node) -> Iterator[str]:
    """Yield the names of what is wrong with an ELF file."""
    content = node.content
    if content is None:
        return
    try:
        with content.view() as data:
            found = elf.parse(data)
    except FormatError:
        yield "elf-damaged"
        return
    if found is not None:
        yield from judge(found)


def judge(found: Elf) -> Iterator[str]:
    """Yield the names of what is wrong with a program or library."""
    verdicts = {
        "elf-stack": found.stack_executable,
        "elf-writable-code": found.writable_code,
        "elf-search-path": not all(path.startswith(_SAFE) for path in found.search),
        "elf-text-relocations": found.text_relocations,
        "elf-pie": found.program and not found.pie,
        "elf-relro": found.dynamic and not found.relro,
        "elf-bind-now": found.dynamic and not found.bind_now,
        "elf-canary": found.dynamic and not found.canary,
        "elf-fortify": found.fortified is False,
    }
    yield from (name for name, bad in verdicts.items() if bad)


def _module(node: Node, key: PublicKey | None) -> str:
    """Return the name of what is wrong with a kernel module, empty when nothing is."""
    try:
        module = unpack(node)
        signature = module_signature.parse(module)
        if signature is None:
            return "module-unsigned"
    except FormatError:
        return "module-damaged"
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
        return "module-signature"
    return ""


def unpack(node: Node) -> bytes:
    """Return a kernel module, decompressed where its name says that it is compressed.

    Raises:
        FormatError: It is damaged or too large.
    """
    if node.content is None or node.size > _MAX_MODULE:
        raise FormatError(f"{node.path} is too large for a kernel module")
    raw = node.content.read(_MAX_MODULE)
    try:
        data = _decompressed(raw, node.path)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, MemoryError) as error:
        raise FormatError(f"{node.path} does not decompress: {error}") from error
    if len(data) > _MAX_MODULE:
        raise FormatError(f"{node.path} is too large for a kernel module")
    return data


def _decompressed(raw: bytes, path: str) -> bytes:
    if path.endswith(".xz"):
        return lzma.LZMADecompressor().decompress(raw, _MAX_MODULE + 1)
    if path.endswith(".gz"):
        return gzip.GzipFile(fileobj=io.BytesIO(raw)).read(_MAX_MODULE + 1)
    if path.endswith(".zst"):
        import zstandard  # noqa: PLC0415 - only such modules need it

        try:
            reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw))
            return bytes(reader.read(_MAX_MODULE + 1))
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from error
    return raw
