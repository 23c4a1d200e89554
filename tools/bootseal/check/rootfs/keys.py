# SPDX-License-Identifier: MIT
"""Keys in a root file system: none private, none published, none for development."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs.allowlist import Allowlist, allows
from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding
from bootseal.findings.grouped import ByDirectory
from bootseal.formats.elf import MAGIC
from bootseal.keys import certificate, profile
from bootseal.keys.search import search

if TYPE_CHECKING:
    from bootseal.disk.filesystems.node import Node
    from bootseal.findings.model import Finding
    from bootseal.keys.search.found import FoundKey


_SELF_TEST: Final = "disk.root-self-test-key"


def check(
    nodes: Sequence[Node], allowlist: Allowlist, where: str, *, development: bool = False
) -> Iterator[Finding]:
    """Yield the keys that must not ship.

    A published key inside a program or library is taken for the data of a self-test, which
    protects nothing and opens nothing.

    Args:
        nodes: The files.
        allowlist: Which private keys they may hold.
        where: Name of the partition.
        development: Whether the device has development keys anyway.

    Raises:
        FormatError: A file cannot be read.
    """
    tests = ByDirectory(where, {_SELF_TEST: "holds published keys, as self-tests do: {}"})
    for node in nodes:
        if node.content is None:
            continue
        with node.content.view() as data:
            program = bytes(data[:4]) == MAGIC
            found = list(search.find(data))
        if program and any(key.origin for key in found):
            tests.add(_SELF_TEST, node.path)
        for key in found:
            known = key.origin
            if key.private and not (program and known):
                if not allows(allowlist.private_keys, node.path):
                    yield _private(key, f"{where}:/{node.path}", known)
            elif known and not program:
                yield _published(key, f"{where}:/{node.path}", known)
            elif key.certificate and not development:
                yield from _for_development(key, f"{where}:/{node.path}")
    yield from tests.findings()


def _private(key: FoundKey, place: str, known: str) -> Finding:
    more = f", and it is published ({known})" if known else ""
    return finding(
        "disk.root-private-key",
        place,
        f"holds a private key ({key.form}) at byte {key.offset}{more}",
        observed=key.fingerprint or key.digest,
    )


def _for_development(key: FoundKey, place: str) -> Iterator[Finding]:
    try:
        names = certificate.common_names(key.certificate, place)
    except FormatError:
        return
    for name in names:
        if profile.says_development(name):
            yield finding(
                "disk.root-development-certificate",
                place,
                f"holds the certificate of a development key, {name!r}, at byte {key.offset}",
                observed=key.fingerprint,
            )


def _published(key: FoundKey, place: str, known: str) -> Finding:
    return finding(
        "disk.root-published-key",
        place,
        f"holds a public key at byte {key.offset} whose private half is published ({known})",
        observed=key.fingerprint or key.digest,
    )
