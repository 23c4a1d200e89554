# SPDX-License-Identifier: MIT
"""Finds what trusts a key and what it signed, in a tree of files.

Looked at: control device trees, alone and inside boot loaders, FITs and disks; FITs, alone and on
disks; boot ROMs, and FIPs, alone and on disks; application images; certificates, public and
private keys; `keys.json`, `device.json` and PCR policies. What is compressed or encrypted is not
opened.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from bootseal import documents
from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.files import mapped, opened, stretches
from bootseal.fit import control_dtb
from bootseal.fit.verify.digest import PayloadCache
from bootseal.formats import fip
from bootseal.formats.app import signature as app_signature
from bootseal.formats.app.layout import SIGNATURE_SIZE
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.keys import cms, tbbr
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import inspect
from bootseal.keys.public import PublicKey, RsaPublicKey, verify_digest

if TYPE_CHECKING:
    from bootseal.formats.fit.model import Fit, Signature

_TREE: Final = bytes.fromhex("d00dfeed")
_PEM: Final = b"-----BEGIN "
_SIGNATURE: Final = b'{"rootHash":"'
_SMALL: Final = 1 << 20
_CHUNK: Final = 16 << 20

# DigestInfo of SHA-256 up to the digest: TF-A puts it in front of the master root key's hash.
_ROOT_HASH: Final = bytes.fromhex("3031300d060960864801650304020105000420")
_NEW_ROM: Final = "a new ROM, and therefore new devices: existing ones cannot change it"
_NEW_FIRMWARE: Final = (
    "firmware signed again, with a higher counter: until that is a device's lowest, the device "
    "starts what this key signed"
)

_NEW_SIGNATURE: Final = (
    "applications signed again, once devices have a release with the certificate of another key"
)

Held: TypeAlias = Sequence[tuple[int, int]]


class Relation(StrEnum):
    """How an artefact relates to a key."""

    TRUSTS = "trusts"
    SIGNED = "signed by"
    HOLDS = "holds"
    NAMES = "names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One place where a key matters.

    Attributes:
        path: The file.
        offset: Where in it, in bytes; 0 for the file as a whole.
        relation: How it relates to the key.
        what: What was found there.
        change: What it takes to replace the key there; empty where there is nothing to say.
    """

    path: str
    offset: int
    relation: Relation
    what: str
    change: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All uses of a key.

    Attributes:
        fingerprint: SHA-256 of its SubjectPublicKeyInfo.
        public_key: The key, None when nothing in the trees holds it; then signatures by it cannot
            be told from others.
        uses: Where it matters, sorted by path.
        files: How many files were looked at.
        skipped: Files that could not be read.
    """

    fingerprint: str
    public_key: PublicKey | None
    uses: tuple[Use, ...]
    files: int
    skipped: tuple[str, ...]


def trace(fingerprint: str, trees: Iterable[Path], *, key: PublicKey | None = None) -> Trace:
    """Look through directories and files for a key.

    Args:
        fingerprint: SHA-256 of its SubjectPublicKeyInfo, lower-case hex.
        trees: Where to look; symbolic links are not followed.
        key: The key itself, when it is known; else it is looked for as well.

    Raises:
        UsageError: A tree does not exist.
    """
    paths = sorted(path for tree in trees for path in _files(tree))
    search = _Search(fingerprint, key)
    skipped = [str(path) for path in paths if not search.look(path)]
    if key is None and search.key is not None:
        # Only now is it known what to check signatures with.
        search.uses.clear()
        skipped = [str(path) for path in paths if not search.look(path)]
    return Trace(
        fingerprint=fingerprint,
        public_key=search.key,
        uses=tuple(dict.fromkeys(search.uses)),
        files=len(paths),
        skipped=tuple(skipped),
    )


def _files(tree: Path) -> Iterator[Path]:
    if tree.is_file():
        yield tree
        return
    if not tree.is_dir():
        raise UsageError(f"there is no file or directory {tree}")
    for directory, _, names in os.walk(tree):
        for name in names:
            path = tree.__class__(directory) / name
            if path.is_file() and not path.is_symlink():
                yield path


class _Search:
    """Collects uses of one key."""

    def __init__(self, fingerprint: str, key: PublicKey | None) -> None:
        self.fingerprint = fingerprint
        self.key = key
        self.uses: list[Use] = []

    def look(self, path: Path) -> bool:
        """Examine a file; False when it cannot be read."""
        try:
            with opened(path) as file:
                held = [*stretches(file.fileno(), 0, os.fstat(file.fileno()).st_size)]
            with mapped(path) as data:
                if len(data) <= _SMALL:
                    self._look_at_text(path, bytes(data))
                self._look_inside(path, data, held)
        except OSError:
            return False
        return True

    def _found(
        self, path: Path, offset: int, relation: Relation, what: str, change: str = ""
    ) -> None:
        self.uses.append(
            Use(path=str(path), offset=offset, relation=relation, what=what, change=change)
        )

    def _is_it(self, key: PublicKey) -> bool:
        if key.fingerprint() != self.fingerprint:
            return False
        self.key = key
        return True

    def _look_at_text(self, path: Path, data: bytes) -> None:
        if data.startswith(_PEM) or b"\n" + _PEM in data:
            try:
                shown = inspect.show(path)
            except BootsealError:
                return
            if self._is_it(shown.public_key):
                self._found(path, 0, Relation.HOLDS, shown.kind)
        elif data[:1] in {b"{", b"["}:
            self._look_at_json(path, data)

    def _look_at_json(self, path: Path, data: bytes) -> None:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return
        schema = document.get("schema", "") if isinstance(document, dict) else ""
        texts = set(documents.texts(document))
        if self.fingerprint in texts:
            self._found(path, 0, Relation.NAMES, f"fingerprint in {schema or 'JSON'}")
        if isinstance(self.key, RsaPublicKey):
            policy = hashlib.sha256(self.key.pkcs1_der).hexdigest()
            if policy in texts:
                self._found(path, 0, Relation.SIGNED, "PCR policy")

    def _look_inside(self, path: Path, data: memoryview, held: Held) -> None:
        """Examine what begins anywhere in a file."""
        root = _ROOT_HASH + bytes.fromhex(self.fingerprint)
        for start, magic in _occurrences(data, held, (_TREE, fip.HEADER, _SIGNATURE, root)):
            if magic == root:
                what = "master root key of a ROM or BL2"
                self._found(path, start, Relation.TRUSTS, what, _NEW_ROM)
                continue
            try:
                if magic == _TREE:
                    self._look_at_tree(path, start, data[start:])
                elif magic == _SIGNATURE:
                    self._look_at_application(path, start, data[start : start + SIGNATURE_SIZE])
                else:
                    self._look_at_fip(path, start, data[start : start + fip.MAX_SIZE])
            except (FormatError, VerificationRefused):
                continue

    def _look_at_application(self, path: Path, start: int, view: memoryview) -> None:
        found = app_signature.parse(bytes(view))
        if found and self._is_it(cms.signer_of_detached(found.message, found.signed)):
            what = f"root hash {found.root_hash} of an application"
            self._found(path, start, Relation.SIGNED, what, _NEW_SIGNATURE)

    def _look_at_tree(self, path: Path, start: int, view: memoryview) -> None:
        size = fdt.total_size(view)
        tree = fdt.read(view[:size], lenient=True)
        if tree.find("/signature") is not None:
            self._look_at_control(path, start, view[:size])
        if tree.find("/images") is not None and tree.find("/configurations") is not None:
            self._look_at_fit(path, start, view)

    def _look_at_fip(self, path: Path, start: int, view: memoryview) -> None:
        found = fip.parse(view[: fip.size(view)])
        for entry in found.entries:
            try:
                certificate = tbbr.read(bytes(found.data[entry.offset : entry.end]))
            except FormatError:
                continue
            where = start + entry.offset
            if self._is_it(certificate.public_key):
                self._found(path, where, Relation.SIGNED, entry.name, _NEW_FIRMWARE)
            for value in certificate.extensions.values():
                if hashlib.sha256(value).hexdigest() == self.fingerprint:
                    self._found(path, where, Relation.TRUSTS, entry.name, _NEW_FIRMWARE)

    def _look_at_control(self, path: Path, start: int, tree: memoryview) -> None:
        try:
            keys = control_dtb.read_keys(tree)
        except FormatError:
            return
        for key in keys:
            if self._is_it(key.public_key):
                required = f"required={key.required}" if key.required else "not required"
                self._found(path, start, Relation.TRUSTS, f"{key.path}, {required}")

    def _look_at_fit(self, path: Path, start: int, data: memoryview) -> None:
        if self.key is None:
            return
        try:
            model = fit_format.parse(data, lenient=True)
        except FormatError:
            return
        for signature, digest, algorithm in digests(model):
            try:
                verify_digest(self.key, digest, signature.value, algorithm)
            except VerificationRefused:
                continue
            self._found(path, start, Relation.SIGNED, signature.path)


def digests(model: Fit) -> Iterator[tuple[Signature, bytes, Algorithm]]:
    """Yield each signature node with the digest over its own list of nodes.

    Nodes of unsupported algorithms are left out.
    """
    cache = PayloadCache()
    for image in model.images:
        for signature in image.signatures:
            if algorithm := _algorithm(signature):
                yield signature, cache.digest(image, algorithm.hash_name), algorithm
    for configuration in model.configurations:
        for signature in configuration.signatures:
            if algorithm := _algorithm(signature):
                size = int.from_bytes(signature.hashed_strings[4:8])
                chunks = model.regions.chunks(signature.hashed_nodes, size)
                yield signature, algorithm.digest(chunks), algorithm


def _algorithm(signature: Signature) -> Algorithm | None:
    try:
        return Algorithm.parse(signature.algorithm, signature.padding)
    except UsageError:
        return None


def _occurrences(
    data: memoryview, held: Held, magics: Sequence[bytes]
) -> Iterator[tuple[int, bytes]]:
    """Yield the offsets of texts, and which of them; what is a hole is not looked at."""
    whole = data.obj
    if not isinstance(whole, mmap.mmap):
        return
    for first, last in held:
        for begin in range(first, last, _CHUNK):
            for magic in magics:
                end = min(begin + _CHUNK + len(magic) - 1, last)
                start = whole.find(magic, begin, end)
                while start >= 0:
                    yield start, magic
                    start = whole.find(magic, start + 1, end)
            # What was read of a large file is not kept: it can be had again.
            aligned = begin - begin % mmap.PAGESIZE
            whole.madvise(mmap.MADV_DONTNEED, aligned, min(begin + _CHUNK, last) - aligned)
